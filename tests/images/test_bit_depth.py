"""Files of more than 8 bits, written by tifffile and Pillow, against the photograph that they were made from."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from pretext.images.image_file import open_image, open_rgb

MAX_SAMPLE_VALUE = 281


@pytest.fixture(scope="module")
def grey(photograph: Image.Image) -> np.ndarray:
    """From black to white."""
    return np.asarray(ImageOps.autocontrast(photograph.convert("L"))).astype(int)


def in_bits(levels: np.ndarray, bits: int) -> np.ndarray:
    """Levels 0..255 in the range of so many bits, in 16."""
    return (levels * (2**bits - 1) / 255).round().astype(np.uint16)


def error(path: Path, levels: np.ndarray) -> int:
    """The largest difference of what is read from levels 0..255, grey or RGB."""
    expected = levels if levels.ndim == 3 else np.repeat(levels[..., None], 3, axis=2)
    return int(np.abs(np.asarray(open_rgb(path)).astype(int) - expected).max())


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("name", ["scan.png", "scan.tif", "scan_big_endian.tif"])
def test_grey_in_16_bits_has_the_fewest_bits_that_hold_it(
    name: str, bits: int, grey: np.ndarray, tmp_path: Path
) -> None:
    values = in_bits(grey, bits)
    if name == "scan.png":
        Image.fromarray(values).save(tmp_path / name)
    else:
        tifffile.imwrite(tmp_path / name, values, byteorder=">" if "big" in name else "<")
    assert error(tmp_path / name, grey) <= 1
    remarks = open_image(tmp_path / name).remarks
    said = f"its largest value fits {bits} bits, so it was read as {bits} bits and not as 16"
    assert remarks == (() if bits == 16 else (said,))


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("scan.tif", {}),
        ("scan_big_endian.tif", {"byteorder": ">"}),
        ("scan_deflated.tif", {"compression": "zlib"}),
        ("scan.png", {}),
    ],
)
def test_colours_in_16_bits_have_the_fewest_bits_that_hold_them(
    name: str, options: dict[str, str], bits: int, photograph: Image.Image, tmp_path: Path
) -> None:
    levels = np.asarray(ImageOps.autocontrast(photograph)).astype(int)
    values = in_bits(levels, bits)
    if name == "scan.png":
        write_png_of_16_bits(tmp_path / name, values)
    else:
        tifffile.imwrite(tmp_path / name, values, photometric="rgb", **options)
    assert error(tmp_path / name, levels) == 0
    assert len(open_image(tmp_path / name).remarks) == 1


def write_png_of_16_bits(path: Path, values: np.ndarray) -> None:
    """RGB, which Pillow reads but does not write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_a_bright_photograph_of_16_bits_a_channel_keeps_its_range(
    photograph: Image.Image, tmp_path: Path
) -> None:
    levels = np.asarray(photograph).astype(int)
    tifffile.imwrite(tmp_path / "scan.tif", in_bits(levels, 16), photometric="rgb")
    assert error(tmp_path / "scan.tif", levels) == 0
    assert open_image(tmp_path / "scan.tif").remarks == ()


def test_the_range_that_a_tiff_file_declares_goes_before_the_values_in_it(
    grey: np.ndarray, tmp_path: Path
) -> None:
    """A dark picture of 12 bits, whose values alone would say 10, and one of 16 that says so."""
    for bits in (12, 16):
        declared = [(MAX_SAMPLE_VALUE, "H", 1, 2**bits - 1, True)]
        tifffile.imwrite(tmp_path / "dark.tif", in_bits(grey // 8, bits), extratags=declared)
        assert error(tmp_path / "dark.tif", grey // 8) <= 1
        assert open_image(tmp_path / "dark.tif").remarks == ()


def test_packed_12_bits_are_read_in_their_own_range(tmp_path: Path) -> None:
    """TIFF 6.0: two samples in three bytes. A dark ramp from 0 to a quarter of white."""
    values = np.arange(1024)
    pairs = values.reshape(-1, 2)
    packed = np.stack([pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255], 1)
    tags = {256: 32, 257: 32, 258: 12, 259: 1, 262: 1, 273: 122, 277: 1, 278: 32, 279: 1536}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    directory = struct.pack("<2sHIH", b"II", 42, 8, len(tags)) + entries + bytes(4)
    (tmp_path / "packed.tif").write_bytes(directory + packed.astype(np.uint8).tobytes())
    assert error(tmp_path / "packed.tif", (values * 255 / 4095).round().astype(int).reshape(32, 32)) <= 1
    assert open_image(tmp_path / "packed.tif").remarks == ()


@pytest.mark.parametrize(
    ("dtype", "white"), [(np.uint8, 255), (np.uint16, 4095), (np.uint16, 65535), (np.float32, 1)]
)
def test_where_white_is_zero_the_picture_is_not_its_negative(
    dtype: type, white: float, grey: np.ndarray, tmp_path: Path
) -> None:
    values = ((255 - grey) * (white / 255)).round(5 if white == 1 else 0).astype(dtype)
    tifffile.imwrite(tmp_path / "scan.tif", values, photometric="miniswhite")
    assert error(tmp_path / "scan.tif", grey) <= 1


@pytest.mark.parametrize("compression", ["raw", "group4"])
def test_a_fax_in_which_white_is_zero_is_white_where_it_was(
    compression: str, grey: np.ndarray, tmp_path: Path
) -> None:
    lines = Image.fromarray(grey.astype(np.uint8)).convert("1")
    lines.save(tmp_path / "fax.tif", compression=compression, tiffinfo={262: 0})
    with Image.open(tmp_path / "fax.tif") as stored:
        assert stored.tag_v2[262] == 0
    assert error(tmp_path / "fax.tif", np.asarray(lines).astype(int) * 255) == 0


@pytest.mark.parametrize("brightest", [1.0001, 4.7])
def test_floats_beyond_white_are_light_and_do_not_make_the_picture_black(
    brightest: float, grey: np.ndarray, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "light.tif", (grey / 255 * brightest).astype(np.float32))
    assert error(tmp_path / "light.tif", grey) <= 1
