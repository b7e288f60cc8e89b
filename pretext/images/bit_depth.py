"""Samples of more than 8 bits -> 8 bits, in the range that a file means.

A file of 16 bits often holds the 12 of a scanner or a microscope, and read as 16 it would be black. So whole numbers
have the range of 8, 10, 12, 14 or 16 bits, the first that holds the largest value: the one that a TIFF file declares
(MaxSampleValue, or BitsPerSample below 16), or else the one that occurs. So a dark picture of 12 bits that says nothing
may be read as 10. The sBIT of PNG does not count: samples there fill 16 bits whatever it says.
"""

import io
import re
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import UInt8
from PIL import Image

_TOPS = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 16))
_BRIGHTEST_LIGHT = 16.0  # floats beyond white, up to here, are light and not levels of 8 bits

_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE_VALUE, _WHITE_IS_ZERO = 258, 262, 281, 0  # TIFF 6.0

# Pillow's raw modes, of which it keeps the high bytes.
_COLOURS_OF_16_BITS = re.compile("((?:RGB|RGBA|RGBX);16)([BLN])")
_OTHER_BYTE_ORDER = {"B": "L", "L": "B", "N": "B" if sys.byteorder == "little" else "L"}

_STRIP_PIXELS = 2**18


def has_deep_grey(image: Image.Image) -> bool:
    """Whether the pixels are numbers beyond 8 bits: Pillow's modes I, F and I;16."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def grey_levels(image: Image.Image, curve: UInt8[np.ndarray, "65536"]) -> tuple[Image.Image, int | None]:
    """Deep grey -> 8 bits, and of how many bits the file was taken to be where it does not say so itself.

    Whole numbers beyond the ranges above go from their minimum, black, to their maximum, white. Floats have the range
    of 1, of their maximum up to 16, or those of whole numbers; those that are not finite count as 0. Where a TIFF file
    says WhiteIsZero, the range is turned round.

    Args:
        curve: the level of each grey of 16 bits.
    """
    values = np.array(image)
    if image.mode == "F":
        np.nan_to_num(values, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    low, high, guessed_bits = float(values.min()), float(values.max()), None
    if low >= 0 and high <= _TOPS[-1]:
        low = 0.0
        if image.mode != "F":
            high, guessed_bits = _whole_range(image, int(high))
        elif not 1 < high < _BRIGHTEST_LIGHT:
            high = next(float(top) for top in (1, *_TOPS) if high <= top)
    white_is_zero = _tags(image).get(_PHOTOMETRIC) == _WHITE_IS_ZERO
    levels = np.empty(values.shape, np.uint8)
    rows = max(1, _STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        share = (values[top : top + rows] - np.float64(low)) / ((high - low) or 1)
        share = 1 - share if white_is_zero else share
        levels[top : top + rows] = curve[(65535 * share).round().astype(np.uint16)]
    return Image.fromarray(levels), guessed_bits


def stretch_colours(
    image: Image.Image, tiles: Sequence[Any], file: io.BytesIO | io.BufferedReader
) -> int | None:
    """Give an image of 16 bits a channel its own range, in place, where that is a smaller one.

    Pillow has kept the high byte of each sample; where none of them is large, the low ones are read as well.

    Args:
        tiles: what `image.tile` was before it was loaded.
        file: that it was opened from.

    Returns:
        Of how many bits the file was taken to be, where it is not 16 and the file does not say so itself.
    """
    rawmodes = {tile.args[0] if isinstance(tile.args, tuple) else tile.args for tile in tiles}
    match = _COLOURS_OF_16_BITS.fullmatch(str(rawmodes.pop())) if len(rawmodes) == 1 else None
    if match is None or np.max(image.getextrema()[:3]) >= 2**14 // 256:
        return None
    file.seek(0)
    low_bytes = Image.open(file)
    rawmode = match[1] + _OTHER_BYTE_ORDER[match[2]]
    low_bytes.tile = [
        tile._replace(args=(rawmode, *tile.args[1:]) if isinstance(tile.args, tuple) else rawmode)
        for tile in low_bytes.tile
    ]
    samples = np.asarray(image).astype(np.uint16) * 256 + np.asarray(low_bytes)
    high, guessed_bits = _whole_range(image, int(samples[..., :3].max()))
    for top in range(image.height):
        row = (samples[top] * (255 / high)).round().clip(max=255)
        image.paste(Image.fromarray(row.astype(np.uint8)[None]), (0, top))
    return guessed_bits


def _whole_range(image: Image.Image, largest: int) -> tuple[float, int | None]:
    """What is white, and the bits of it where they are fewer than 16 and not declared."""
    tags = _tags(image)
    declared = tags.get(_MAX_SAMPLE_VALUE, 2 ** tags.get(_BITS_PER_SAMPLE, (16,))[0] - 1)
    declared = declared[0] if isinstance(declared, tuple) else declared
    is_declared = largest <= declared <= _TOPS[-1] and (_MAX_SAMPLE_VALUE in tags or declared < _TOPS[-1])
    high = next(top for top in _TOPS if (declared if is_declared else largest) <= top)
    return float(high), None if is_declared or high == _TOPS[-1] else high.bit_length()


def _tags(image: Image.Image) -> Any:
    """The tags of a TIFF file; none for another format."""
    return getattr(image, "tag_v2", {})
