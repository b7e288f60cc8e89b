"""Writing a colorized picture, with what its original's file held beside it."""

from pathlib import Path
from typing import Any

from PIL import Image

from pretext.images.image_file import OpenedImage, on_white
from pretext.runtime.whole_file import whole_file

# Formats that hold 8-bit RGB, with what keeps them near what was computed; any other is written as PNG.
SAVE_OPTIONS: dict[str, dict[str, Any]] = {
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
    ".png": {},
    ".webp": {"lossless": True, "exact": True},
    ".tif": {},  # not compressed: libtiff, which would do that, does not write EXIF for Pillow
    ".tiff": {},
    ".bmp": {},
}
_OPAQUE = {".jpg", ".jpeg", ".bmp"}  # the formats that hold no transparency


def save_colorized(image: Image.Image, original: OpenedImage, path: Path) -> None:
    """Write `image` in the format that the suffix of `path` names, whole or not at all.

    Transparency, or white in its place, and the original's resolution, EXIF and a profile go with it as far as the
    format holds them.
    """
    suffix = path.suffix.lower()
    kept = {"dpi": original.resolution, "exif": original.exif, "icc_profile": original.profile}
    options = SAVE_OPTIONS[suffix] | {name: value for name, value in kept.items() if value is not None}
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as temporary:
        picture = on_white(image) if suffix in _OPAQUE else image
        picture.save(temporary, format=Image.registered_extensions()[suffix], **options)
