"""Files with colour profiles against Little CMS by itself, and the profiles of scikit-image's own photographs.

rocket.jpg there is Adobe RGB, chelsea.png sRGB by Hewlett-Packard, page.png grey with the dot gain of a press.
"""

import io
import logging
import struct
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageCms, ImageOps

from pretext.images.colour_profiles import SRGB_PROFILE
from pretext.images.image_file import open_image, open_rgb

PACKAGED = Path(skimage.data.__file__).parent


def packaged_profile(name: str) -> bytes:
    with Image.open(PACKAGED / name) as image:
        return image.info["icc_profile"]


ADOBE_RGB, HP_SRGB, DOT_GAIN = map(packaged_profile, ("rocket.jpg", "chelsea.png", "page.png"))


def cmyk_profile() -> bytes:
    """ICC version 2, one table (lut8Type) of two steps per ink, whose 16 colours are those of printed paper."""
    header = bytearray(128)
    header[8:12], header[12:24], header[36:40] = b"\x02\x10\0\0", b"prtrCMYKLab ", b"acsp"
    header[68:80] = struct.pack(">3i", 63190, 65536, 54061)
    inks = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1).reshape(16, 4)
    grey = 255 * (0.95 - 0.7 * inks[:, 3] - 0.15 * inks[:, :3].sum(1)).clip(0.05)
    table = np.stack(
        [grey, 128 + 40 * (inks[:, 1] - inks[:, 0]), 128 + 60 * (inks[:, 2] - inks[:, 0])], axis=1
    )
    straight = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 * np.eye(3, dtype=int)).ravel())
    lut = b"mft1\0\0\0\0\4\3\2\0" + matrix + 4 * straight + table.astype(np.uint8).tobytes() + 3 * straight
    tag = struct.pack(">I4sII", 1, b"A2B0", 144, len(lut)) + lut
    header[0:4] = struct.pack(">I", 128 + len(tag))
    return bytes(header) + tag


def converted(image: Image.Image, source: bytes | None = None, target: bytes | None = None) -> Image.Image:
    """Little CMS's conversion to RGB, perceptual as it is by default; None is sRGB."""
    ends = [
        ImageCms.createProfile("sRGB") if profile is None else io.BytesIO(profile)
        for profile in (source, target)
    ]
    result = ImageCms.profileToProfile(image, *ends, outputMode="RGB")
    assert result is not None
    return result


def difference(first: Image.Image, second: Image.Image) -> float:
    assert first.mode == second.mode == "RGB"
    return float(np.abs(np.asarray(first).astype(int) - np.asarray(second)).mean())


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("png", {}),
        ("jpg", {"quality": 100, "subsampling": 0}),
        ("tif", {}),
        ("webp", {"lossless": True}),
        ("avif", {"quality": 100, "subsampling": "4:4:4"}),
    ],
)
def test_a_photograph_in_adobe_rgb_is_read_as_its_twin_in_srgb(
    suffix: str, options: dict[str, object], photograph: Image.Image, tmp_path: Path
) -> None:
    wide = converted(photograph, target=ADOBE_RGB)
    wide.save(tmp_path / f"wide.{suffix}", icc_profile=ADOBE_RGB, **options)
    assert difference(wide, photograph) > 4
    assert difference(open_rgb(tmp_path / f"wide.{suffix}"), photograph) < 1


def test_files_of_scikit_image_are_read_as_little_cms_converts_them() -> None:
    for name in ("rocket.jpg", "page.png"):
        with Image.open(PACKAGED / name) as stored:
            expected = converted(stored, stored.info["icc_profile"])
        np.testing.assert_array_equal(np.asarray(open_rgb(PACKAGED / name)), np.asarray(expected))


@pytest.mark.parametrize("profile", [HP_SRGB, SRGB_PROFILE])
def test_pixels_with_a_profile_of_srgb_stay_as_they_are(
    profile: bytes, photograph: Image.Image, tmp_path: Path
) -> None:
    photograph.save(tmp_path / "plain.png", icc_profile=profile)
    np.testing.assert_array_equal(np.asarray(open_rgb(tmp_path / "plain.png")), np.asarray(photograph))
    assert open_image(tmp_path / "plain.png").profile == profile


def test_the_profile_is_applied_to_a_jpeg_that_is_decoded_smaller(
    photograph: Image.Image, tmp_path: Path
) -> None:
    wide = converted(photograph, target=ADOBE_RGB).resize((1800, 1200))
    wide.save(tmp_path / "wide.jpg", icc_profile=ADOBE_RGB, quality=95)
    small = open_rgb(tmp_path / "wide.jpg", 300)
    assert small.height == 300
    assert difference(small, photograph.resize(small.size)) < 3


@pytest.mark.parametrize("mode", ["RGBA", "P", "LA"])
def test_colours_are_converted_before_they_are_laid_on_white(
    mode: str, photograph: Image.Image, tmp_path: Path
) -> None:
    opacity = Image.linear_gradient("L").resize(photograph.size)
    wide = converted(photograph, target=ADOBE_RGB)
    stored = wide.quantize() if mode == "P" else wide.convert("L" if mode == "LA" else "RGB")
    colours = converted(stored.convert("RGB"), ADOBE_RGB)
    if mode == "P":
        stored.save(tmp_path / "clear.png", icc_profile=ADOBE_RGB, transparency=7)
        opacity = Image.fromarray(np.where(np.asarray(stored) == 7, 0, 255).astype(np.uint8))
    else:
        stored.putalpha(opacity)
        stored.save(tmp_path / "clear.png", icc_profile=ADOBE_RGB)
    white = Image.new("RGB", colours.size, "white")
    expected = Image.composite(colours, white, opacity)
    assert difference(expected, white) > 20
    assert difference(open_rgb(tmp_path / "clear.png"), expected) < 1
    assert open_image(tmp_path / "clear.png").image.getchannel("A").tobytes() == opacity.tobytes()


@pytest.mark.parametrize("bits", [8, 16])
def test_a_grey_profile_bends_grey_of_8_and_of_16_bits_and_leaves_it_neutral(
    bits: int, photograph: Image.Image, tmp_path: Path
) -> None:
    grey = np.asarray(ImageOps.autocontrast(photograph.convert("L")))
    stored = Image.fromarray(grey if bits == 8 else grey.astype(np.uint16) * 257)
    stored.save(tmp_path / "press.png", icc_profile=DOT_GAIN)
    opened = open_rgb(tmp_path / "press.png")
    assert np.ptp(np.asarray(opened), axis=2).max() == 0
    assert difference(opened, Image.fromarray(grey).convert("RGB")) > 5
    assert difference(opened, converted(Image.fromarray(grey), DOT_GAIN)) < 0.1


def test_cmyk_is_converted_by_its_own_profile(photograph: Image.Image, tmp_path: Path) -> None:
    inks = photograph.convert("CMYK")
    for name in ("print.tif", "print.jpg"):
        inks.save(
            tmp_path / name, icc_profile=cmyk_profile(), **({"quality": 100} if name.endswith("jpg") else {})
        )
        opened = open_rgb(tmp_path / name)
        assert difference(opened, converted(inks, cmyk_profile())) < 1
        assert difference(opened, inks.convert("RGB")) > 20


@pytest.mark.parametrize(
    ("mode", "profile", "reason"),
    [
        ("RGB", b"no profile", "it is damaged"),
        ("RGB", ADOBE_RGB[:200], "it is damaged"),
        ("RGB", ADOBE_RGB[:128] + bytes(len(ADOBE_RGB) - 128), "it has no way to sRGB"),
        ("RGB", DOT_GAIN, "it is for GRAY, but the pixels are RGB"),
        ("L", cmyk_profile(), "it is for CMYK, but the pixels are GRAY"),
        ("CMYK", HP_SRGB, "it is for RGB, but the pixels are CMYK"),
    ],
)
def test_a_profile_that_is_damaged_or_of_other_pixels_is_ignored_and_named_once(
    mode: str,
    profile: bytes,
    reason: str,
    photograph: Image.Image,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    for name, embedded in (("odd.tif", profile), ("plain.tif", None)):
        photograph.convert(mode).save(tmp_path / name, icc_profile=embedded)
    with caplog.at_level(logging.WARNING):
        opened = [open_rgb(tmp_path / name) for name in ("odd.tif", "odd.tif", "plain.tif")]
    assert len({image.tobytes() for image in opened}) == 1
    assert caplog.messages == [f"{tmp_path / 'odd.tif'}: its colour profile was ignored: {reason}"]
    beside = open_image(tmp_path / "odd.tif")
    assert beside.profile is None
    assert beside.remarks == (f"its colour profile was ignored: {reason}",)


def test_a_profile_that_lacks_one_of_its_parts_is_ignored_and_named(
    photograph: Image.Image, tmp_path: Path
) -> None:
    """A JPEG holds a long profile in several segments, whose number each of them says."""
    photograph.save(tmp_path / "part.jpg", icc_profile=ADOBE_RGB)
    content = (tmp_path / "part.jpg").read_bytes()
    (tmp_path / "part.jpg").write_bytes(content.replace(b"ICC_PROFILE\0\1\1", b"ICC_PROFILE\0\1\2"))
    assert open_image(tmp_path / "part.jpg").remarks == ("its colour profile was ignored: it is damaged",)


def test_a_picture_saved_after_opening_does_not_carry_the_profile_that_it_had(
    photograph: Image.Image, tmp_path: Path
) -> None:
    photograph.save(tmp_path / "wide.png", icc_profile=ADOBE_RGB)
    opened = open_rgb(tmp_path / "wide.png")
    opened.save(tmp_path / "again.png")
    np.testing.assert_array_equal(np.asarray(open_rgb(tmp_path / "again.png")), np.asarray(opened))
