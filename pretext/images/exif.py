"""EXIF of a photograph: which way up it is, and what of it holds for another file of the same picture."""

from PIL import Image
from PIL.ExifTags import IFD, Base

_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # EXIF tag 274 (CIPA DC-008, section 4.6.5) -> what undoes it

# Of the first directory; its other tags, which TIFF files share, say how that file holds the pixels.
_ABOUT_THE_PHOTOGRAPH = {
    Base.DocumentName,
    Base.ImageDescription,
    Base.Make,
    Base.Model,
    Base.XResolution,
    Base.YResolution,
    Base.ResolutionUnit,
    Base.Software,
    Base.DateTime,
    Base.Artist,
    Base.HostComputer,
    Base.Rating,
    Base.RatingPercent,
    Base.Copyright,
    Base.XPTitle,
    Base.XPComment,
    Base.XPAuthor,
    Base.XPKeywords,
    Base.XPSubject,
}
_SRGB = 1


def orientation(stored: Image.Image) -> int:
    """1 for upright to 8; 1 where the metadata are damaged, which does not make the picture unusable."""
    try:
        value = stored.getexif().get(Base.Orientation, 1)
    except Exception:  # whatever Pillow's parser trips over
        return 1
    return value if value in _TURNED else 1


def upright(image: Image.Image, turned: int) -> Image.Image:
    """`image`, which lies as the orientation `turned` says, on its feet."""
    return image.transpose(_TURNED[turned]) if turned in _TURNED else image


def is_on_its_side(turned: int) -> bool:
    """Whether width and height change places in `upright`."""
    return turned >= 5


def kept_exif(stored: Image.Image) -> bytes | None:
    """The EXIF of an upright sRGB version of the picture `stored`; None where there is nothing to say.

    Camera, dates, place, author and rights are kept; orientation, size and colour space are those of that version; a
    thumbnail, which would show the old picture, is left out.

    Raises whatever Pillow raises for damaged metadata.
    """
    exif, kept = stored.getexif(), Image.Exif()
    kept.endian = exif.endian
    for tag in _ABOUT_THE_PHOTOGRAPH & set(exif):
        kept[tag] = exif[tag]
    details = dict(exif.get_ifd(IFD.Exif))
    details.pop(IFD.Interop, None)  # names the colour space
    width, height = stored.size
    if is_on_its_side(orientation(stored)):
        width, height = height, width
        if Base.XResolution in kept and Base.YResolution in kept:
            kept[Base.XResolution], kept[Base.YResolution] = kept[Base.YResolution], kept[Base.XResolution]
    now = {Base.ExifImageWidth: width, Base.ExifImageHeight: height, Base.ColorSpace: _SRGB}
    details |= {tag: value for tag, value in now.items() if tag in details}
    for directory, content in ((IFD.Exif, details), (IFD.GPSInfo, dict(exif.get_ifd(IFD.GPSInfo)))):
        if content:
            kept[directory] = content
    if not len(kept):
        return None
    kept[Base.Orientation] = 1
    return kept.tobytes()
