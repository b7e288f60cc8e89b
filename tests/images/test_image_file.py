import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from pretext.images.image_file import BrokenImageError, image_extensions, open_rgb


def pixels(image: Image.Image) -> np.ndarray:
    assert image.mode == "RGB"
    return np.asarray(image).astype(int)


@pytest.mark.parametrize(
    "mode_and_file",
    [
        "1.png",
        "L.png",
        "LA.png",
        "P.png",
        "RGBA.png",
        "P.gif",
        "L.jpg",
        "YCbCr.jpg",
        "CMYK.jpg",
        "CMYK.tif",
        "PA.tif",
        "RGBA.webp",
    ],
)
def test_any_mode_opens_as_the_rgb_that_pillow_itself_converts_it_to(
    mode_and_file: str, photograph: Image.Image, tmp_path: Path
) -> None:
    mode = mode_and_file.split(".")[0]
    photograph.convert("P" if mode == "PA" else mode).convert(mode).save(tmp_path / mode_and_file)
    with Image.open(tmp_path / mode_and_file) as reopened:
        expected = pixels(reopened.convert("RGB"))
    np.testing.assert_array_equal(pixels(open_rgb(tmp_path / mode_and_file)), expected)


@pytest.mark.parametrize("extension", ["png", "tif", "pgm"])
def test_sixteen_bit_grey_is_scaled_and_not_clipped(
    extension: str, photograph: Image.Image, tmp_path: Path
) -> None:
    grey = np.asarray(photograph.convert("L"))
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / f"scan.{extension}")
    opened = pixels(open_rgb(tmp_path / f"scan.{extension}"))
    np.testing.assert_array_equal(opened, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize(("scale", "offset"), [(1 / 255, 0), (1, 0), (257, 0), (1e6, -3e7)])
def test_float_grey_is_scaled_by_the_smallest_range_that_holds_it(
    scale: float, offset: float, photograph: Image.Image, tmp_path: Path
) -> None:
    grey = np.asarray(ImageOps.autocontrast(photograph.convert("L")))
    Image.fromarray((grey.astype(float) * scale + offset).astype(np.float32)).save(tmp_path / "scan.tif")
    np.testing.assert_allclose(pixels(open_rgb(tmp_path / "scan.tif"))[..., 0], grey, atol=1)


def test_a_constant_float_image_beyond_every_nominal_range_is_black(tmp_path: Path) -> None:
    Image.fromarray(np.full((4, 4), 1e9, np.float32)).save(tmp_path / "flat.tif")
    assert pixels(open_rgb(tmp_path / "flat.tif")).max() == 0


def test_transparent_pixels_are_laid_on_white(photograph: Image.Image, tmp_path: Path) -> None:
    faded = photograph.copy()
    faded.putalpha(128)
    faded.save(tmp_path / "half.png")
    expected = np.asarray(photograph) * (128 / 255) + 255 * (127 / 255)
    np.testing.assert_allclose(pixels(open_rgb(tmp_path / "half.png")), expected, atol=1)


@pytest.mark.parametrize("mode", ["P", "L", "RGB"])
def test_a_transparent_palette_entry_or_colour_becomes_white(mode: str, tmp_path: Path) -> None:
    image = Image.new(mode, (8, 8), 0 if mode != "RGB" else (0, 0, 0))
    image.save(tmp_path / "clear.png", transparency=0 if mode != "RGB" else (0, 0, 0))
    assert pixels(open_rgb(tmp_path / "clear.png")).min() == 255


def test_lab_files_come_back_as_the_photograph(photograph: Image.Image, tmp_path: Path) -> None:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    converted = ImageCms.profileToProfile(photograph, srgb, lab, outputMode="LAB")
    assert converted is not None
    converted.save(tmp_path / "lab.tif")
    assert np.abs(pixels(open_rgb(tmp_path / "lab.tif")) - pixels(photograph)).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_exif_orientation_is_applied_as_pillow_does(
    orientation: int, photograph: Image.Image, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    photograph.save(tmp_path / "phone.jpg", exif=exif)
    with Image.open(tmp_path / "phone.jpg") as reopened:
        expected = pixels(ImageOps.exif_transpose(reopened))
    np.testing.assert_array_equal(pixels(open_rgb(tmp_path / "phone.jpg")), expected)


def test_damaged_exif_does_not_break_the_picture(photograph: Image.Image, tmp_path: Path) -> None:
    photograph.save(tmp_path / "odd.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff\x01\x12")
    assert open_rgb(tmp_path / "odd.jpg").size == photograph.size


def test_of_an_animation_the_first_frame_is_taken(photograph: Image.Image, tmp_path: Path) -> None:
    negative = ImageOps.invert(photograph)
    photograph.save(tmp_path / "film.gif", save_all=True, append_images=[negative])
    assert np.abs(pixels(open_rgb(tmp_path / "film.gif")) - pixels(photograph)).mean() < 10


def test_a_scan_above_pillows_decompression_bomb_limit_opens(
    monkeypatch: pytest.MonkeyPatch, photograph: Image.Image, tmp_path: Path
) -> None:
    photograph.save(tmp_path / "scan.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    assert open_rgb(tmp_path / "scan.png").size == photograph.size
    assert Image.MAX_IMAGE_PIXELS == 1000


def test_a_file_that_would_fill_the_memory_is_refused_before_it_is_decoded() -> None:
    header = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    checksum = struct.pack(">I", zlib.crc32(header[12:]))
    with pytest.raises(BrokenImageError, match="100000 x 100000 pixels"):
        open_rgb(io.BytesIO(header + checksum + b"\0\0\0\0IDAT" + struct.pack(">I", 0x35AF061E)))


@pytest.mark.parametrize("size", [(1, 1), (10, 5000), (5000, 10), (3, 2)])
def test_very_small_and_very_long_pictures_open(size: tuple[int, int], tmp_path: Path) -> None:
    Image.new("RGB", size, "orange").save(tmp_path / "odd.png")
    assert open_rgb(tmp_path / "odd.png").size == size


@pytest.mark.parametrize(("asked", "decoded"), [(None, 1200), (601, 1200), (600, 600), (299, 300), (1, 150)])
def test_a_large_jpeg_is_decoded_smaller_but_never_below_the_side_asked_for(
    asked: int | None, decoded: int, photograph: Image.Image, tmp_path: Path
) -> None:
    photograph.resize((1800, 1200)).save(tmp_path / "large.jpg")
    assert open_rgb(tmp_path / "large.jpg", asked).height == decoded


@pytest.mark.parametrize("extension", ["jpg", "png", "gif", "tif", "webp", "bmp"])
def test_a_truncated_file_is_broken(extension: str, photograph: Image.Image, tmp_path: Path) -> None:
    stream = io.BytesIO()
    photograph.save(stream, {"jpg": "jpeg", "tif": "tiff"}.get(extension, extension))
    content = stream.getvalue()
    for kept in (0, 1, 20, len(content) // 2):
        with pytest.raises(BrokenImageError, match=r"\w"):
            open_rgb(io.BytesIO(content[:kept]))


def test_a_text_file_and_a_missing_file_are_broken_and_say_why(tmp_path: Path) -> None:
    (tmp_path / "notes.jpg").write_text("no picture")
    with pytest.raises(BrokenImageError, match="not an image in any format that Pillow reads"):
        open_rgb(tmp_path / "notes.jpg")
    with pytest.raises(BrokenImageError, match="No such file or directory"):
        open_rgb(tmp_path / "gone.jpg")


def test_extensions_are_those_of_formats_that_pillow_decodes() -> None:
    extensions = image_extensions()
    assert {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".ppm"} <= extensions
    assert not {".pdf", ".mpg", ".h5", ".eps"} & extensions
