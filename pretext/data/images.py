"""Opening image files: whatever Pillow reads becomes 8-bit RGB, or says why it cannot."""

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms

MAX_DECODED_PIXELS = 2**29
"""About 537 megapixels: 2 GiB as Pillow holds RGB. A file that decodes to more is refused, not swallowed."""

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF tag 274 (CIPA DC-008, section 4.6.5) -> what undoes it

_NOT_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # Pillow needs other programs to decode these


class BrokenImageError(Exception):
    """A file that cannot be decoded into a picture; the message is the reason."""


def open_rgb(file: Path | io.BytesIO, short_side: int | None = None) -> Image.Image:
    """The picture in a file: upright, RGB, 8 bits a channel, in memory.

    Grey, palette, CMYK, CIE Lab and 16-bit pictures are converted (see `to_rgb`), of an animation the first
    frame is taken, the EXIF orientation is applied, embedded colour profiles are ignored.

    With `short_side`, a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where the short side of the result
    still has at least that many pixels: a large photograph then costs little more than a small one.

    Raises BrokenImageError for a file that is missing, unreadable, truncated, no picture, or larger than
    `MAX_DECODED_PIXELS`.
    """
    try:
        # Pillow's plugins let through whatever their parsers trip over (struct.error, SyntaxError, ...).
        with contextlib.ExitStack() as stack:
            stack.enter_context(_without_pixel_limit())
            stream = stack.enter_context(file.open("rb")) if isinstance(file, Path) else file
            image = Image.open(stream)
            if short_side is not None:
                image.draft(None, (short_side, short_side))
            if image.width * image.height > MAX_DECODED_PIXELS:
                raise BrokenImageError(
                    f"{image.width} x {image.height} pixels, above the {MAX_DECODED_PIXELS} decoded here: "
                    "store it smaller"
                )
            image.load()
            return _upright(to_rgb(image), image)
    except BrokenImageError:
        raise
    except Exception as error:
        raise BrokenImageError(_reason(error)) from error


def file_stamp(file: Path) -> str:
    """Size in bytes and time of the last change, in one word; `missing` where there is no such file."""
    try:
        status = file.stat()
    except OSError:
        return "missing"
    return f"{status.st_size}@{status.st_mtime_ns}"


def to_rgb(image: Image.Image) -> Image.Image:
    """An 8-bit RGB picture of the same size, from any Pillow mode.

    Transparency is laid on white. 16-bit grey keeps its nominal range 0..65535; modes I and F have none, so
    the smallest of 0..1 (F only), 0..255 and 0..65535 that holds all values is taken, else minimum..maximum.
    """
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _grey_from_numbers(image).convert("RGB")
    if image.has_transparency_data:
        pixels = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), pixels).convert("RGB")
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None
        return converted
    return image if image.mode == "RGB" else image.convert("RGB")


def image_extensions() -> frozenset[str]:
    """The file extensions of the picture formats that Pillow decodes by itself: lower case, with the dot."""
    return frozenset(
        extension
        for extension, format_name in Image.registered_extensions().items()
        if format_name in Image.OPEN and format_name not in _NOT_PICTURES
    )


def _grey_from_numbers(image: Image.Image) -> Image.Image:
    values = np.nan_to_num(np.asarray(image).astype(np.float32), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = 0.0, 65535.0
    if image.mode in ("I", "F"):
        minimum, maximum = float(values.min()), float(values.max())
        nominal = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
        fitting = [top for top in nominal if minimum >= 0 and maximum <= top]
        low, high = (0.0, fitting[0]) if fitting else (minimum, maximum)
    values -= low
    values *= 255 / ((high - low) or 1)
    return Image.fromarray(values.round().astype(np.uint8))


def _upright(rgb: Image.Image, opened: Image.Image) -> Image.Image:
    try:
        orientation = opened.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata do not make the picture unusable
        return rgb
    transpose = _UPRIGHT.get(orientation)
    return rgb if transpose is None else rgb.transpose(transpose)


@contextlib.contextmanager
def _without_pixel_limit() -> Iterator[None]:
    """Pillow refuses 179 megapixels (a panorama, a scan) and warns of odd metadata: we have our own limit."""
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _reason(error: Exception) -> str:
    if isinstance(error, Image.UnidentifiedImageError):
        return "not an image in any format that Pillow reads"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
