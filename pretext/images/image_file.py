"""Opening image files: whatever Pillow reads becomes 8-bit sRGB, or says why it cannot."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from pretext.images.bit_depth import grey_levels, has_deep_grey, stretch_colours
from pretext.images.colour_profiles import LAB_PROFILE, PLAIN_CURVE, SRGB_PROFILE, ColourProfile, open_profile
from pretext.images.exif import is_on_its_side, kept_exif, orientation, upright

MAX_DECODED_PIXELS = 2**29
"""About 537 megapixels: 2 GiB as Pillow holds RGB. A file that decodes to more is refused, not swallowed."""

_NOT_PICTURES = {"BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF"}  # Pillow needs other programs to decode these
_NOT_PAGES = {"MPO", "PSD"}  # behind the picture they hold previews, gain maps and layers
_GREY_MODES = {"1", "L", "LA", "La"}
_OTHER_SPACES = {"CMYK": "CMYK", "LAB": "Lab"}  # of Pillow's modes


class BrokenImageError(Exception):
    """A file that cannot be decoded into a picture; the message is the reason."""


@dataclass(frozen=True, kw_only=True)
class OpenedImage:
    """A picture, and what its file holds beside it.

    Attributes:
        image: upright, sRGB, 8 bits a channel; RGBA where the file has transparency, else RGB.
        profile: a profile of sRGB, where the file has a profile that could be used.
        resolution: horizontal and vertical, in dots per inch, where the file says it.
        exif: of `image`, where the file has any; see `kept_exif`.
        remarks: what of the file was left out, ignored or guessed.
    """

    image: Image.Image
    profile: bytes | None
    resolution: tuple[float, float] | None
    exif: bytes | None
    remarks: tuple[str, ...]


def open_rgb(
    file: Path | io.BytesIO, short_side: int | None = None, *, name: str | None = None
) -> Image.Image:
    """The picture in a file: upright, sRGB, 8 bits a channel, in memory.

    Colours of an embedded ICC profile are converted with the perceptual intent; a profile that is damaged or does not
    fit the pixels is ignored, and a line in the log names it. PNG's gAMA and cHRM are not applied, about which viewers
    differ. Grey, palette, CMYK, CIE Lab and deeper pictures are converted (see `pretext.images.bit_depth`),
    transparency is laid on white, of an animation the first frame is taken, the EXIF orientation is applied.

    Args:
        short_side: a JPEG is decoded at 1/2, 1/4 or 1/8 of its size where the short side of the result still has at
            least that many pixels: a large photograph then costs little more than a small one.
        name: of the picture, for the log; the file's by default.

    Raises:
        BrokenImageError: the file is missing, unreadable, truncated, no picture, larger than `MAX_DECODED_PIXELS`, or
            needs more memory than there is.
    """
    with _decoded(file, short_side) as (stored, *_):
        rgb = upright(to_rgb(stored, name or str(file)), orientation(stored))
    rgb.info = {}  # else Pillow would write the old profile behind the new colours
    return rgb


def open_image(file: Path) -> OpenedImage:
    """The picture in a file in the colours of `open_rgb`, with its transparency, and what the file holds beside it.

    Raises BrokenImageError as `open_rgb` does.
    """
    with _decoded(file, None, counts_pages=True) as (stored, num_pages, guessed_bits):
        resolution, turned = _resolution(stored), orientation(stored)
        if resolution and is_on_its_side(turned):
            resolution = resolution[::-1]
        exif, exif_damage = None, None
        try:
            exif = kept_exif(stored)
        except Exception as error:  # damaged metadata do not make the picture unusable
            exif_damage = f"its EXIF is damaged and was left out ({_reason(error)})"
        pixels = _in_srgb(stored)
        image = upright(pixels.image, turned)
    image.info = {}
    bits = guessed_bits or pixels.guessed_bits
    remarks = (
        f"1 of {num_pages} pages was read" if num_pages > 1 else None,
        pixels.ignored_profile,
        f"its largest value fits {bits} bits, so it was read as {bits} bits and not as 16" if bits else None,
        exif_damage,
    )
    return OpenedImage(
        image=image,
        profile=pixels.profile,
        resolution=resolution,
        exif=exif,
        remarks=tuple(remark for remark in remarks if remark),
    )


def file_stamp(file: Path) -> str:
    """Size in bytes and time of the last change, in one word; `missing` where there is no such file."""
    try:
        status = file.stat()
    except OSError:
        return "missing"
    return f"{status.st_size}@{status.st_mtime_ns}"


def to_rgb(image: Image.Image, name: str) -> Image.Image:
    """An opened image of any Pillow mode in sRGB as `open_rgb` does it, but for its orientation.

    Args:
        name: of the picture, for the log.
    """
    pixels = _in_srgb(image)
    if pixels.ignored_profile:
        _log_once(f"{name}: {pixels.ignored_profile}")
    return on_white(pixels.image)


def on_white(image: Image.Image) -> Image.Image:
    """RGB or RGBA -> RGB, its transparency laid on white."""
    if image.mode == "RGB":
        return image
    return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")


def image_extensions() -> frozenset[str]:
    """The file extensions of the picture formats that Pillow decodes by itself: lower case, with the dot."""
    return frozenset(
        extension
        for extension, format_name in Image.registered_extensions().items()
        if format_name in Image.OPEN and format_name not in _NOT_PICTURES
    )


class _Pixels(NamedTuple):
    """An image in sRGB, RGB or RGBA, with what `OpenedImage` says of it."""

    image: Image.Image
    profile: bytes | None
    ignored_profile: str | None
    guessed_bits: int | None


def _in_srgb(image: Image.Image) -> _Pixels:
    is_deep = has_deep_grey(image)
    is_grey = is_deep or image.mode in _GREY_MODES
    space = "GRAY" if is_grey else _OTHER_SPACES.get(image.mode, "RGB")
    profile, ignored_profile = _usable_profile(image, space)
    curve = profile.grey_curve if profile and profile.space == "GRAY" and not profile.is_srgb else PLAIN_CURVE
    embedded = None
    if profile:
        embedded = image.info["icc_profile"] if profile.is_srgb and profile.space == "RGB" else SRGB_PROFILE
    if image.mode == "RGBA" and (profile is None or profile.is_srgb):
        return _Pixels(image, embedded, ignored_profile, None)
    alpha, guessed_bits = None, None
    if is_deep:
        image, guessed_bits = grey_levels(image, curve)
    else:
        if image.has_transparency_data:
            image = image.convert("LA" if is_grey else "RGBA")
            alpha = image.getchannel("A")
        if is_grey and curve is not PLAIN_CURVE:
            image = image.convert("L").point(curve[::257].tolist())
    if image.mode not in ("RGB", "LAB") and not (image.mode == "CMYK" and profile):
        image = image.convert("RGB")
    if profile and profile.space != "GRAY":
        image = profile.to_srgb(image)
    elif image.mode == "LAB":
        image = open_profile(LAB_PROFILE).to_srgb(image)
    if alpha:
        image.putalpha(alpha)
    return _Pixels(image, embedded, ignored_profile, guessed_bits)


def _usable_profile(image: Image.Image, space: str) -> tuple[ColourProfile | None, str | None]:
    """The embedded profile, or why there is one that cannot be used."""
    if "icc_profile" not in image.info:
        return None, None
    content = image.info["icc_profile"]
    if not isinstance(content, bytes):  # Pillow could not put its parts together
        return None, "its colour profile was ignored: it is damaged"
    try:
        profile = open_profile(content)
    except ValueError as error:
        return None, f"its colour profile was ignored: {error}"
    # Where grey has an RGB profile, as programs leave it that take the colours out, it is that of three equal channels.
    if profile.space != space and (profile.space, space) != ("RGB", "GRAY"):
        return None, f"its colour profile was ignored: it is for {profile.space}, but the pixels are {space}"
    return profile, None


@cache
def _log_once(message: str) -> None:
    logging.getLogger(__name__).warning(message)


def _resolution(stored: Image.Image) -> tuple[float, float] | None:
    """Dots per inch, within what files of other formats can say; 1 is what files say that do not know it."""
    try:
        across, down = map(float, stored.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if 1 < across < 2**16 and 1 < down < 2**16 else None


def _num_pages(stored: Image.Image) -> int:
    """Pages of a document, frames of an animation; 1 where they cannot be counted."""
    try:
        return 1 if stored.format in _NOT_PAGES else getattr(stored, "n_frames", 1)
    except Exception:  # the first page is whole, the others need not be
        return 1


@contextlib.contextmanager
def _decoded(
    file: Path | io.BytesIO, short_side: int | None, *, counts_pages: bool = False
) -> Iterator[tuple[Image.Image, int, int | None]]:
    """The file's image, loaded; its pages, 1 where they are not counted; the bits of its colours where guessed.

    While the block runs, the file is open, and what goes wrong is a BrokenImageError.
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
            # Counting goes to the last page and back, so it comes before the first is loaded, and only where asked for.
            num_pages = _num_pages(image) if counts_pages else 1
            tiles = image.tile
            image.load()
            yield image, num_pages, stretch_colours(image, tiles, stream)
    except BrokenImageError:
        raise
    except Exception as error:
        raise BrokenImageError(_reason(error)) from error


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
    if isinstance(error, MemoryError):
        return "not enough memory for it"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
