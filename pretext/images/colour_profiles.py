"""ICC profiles embedded in image files, and the way from their colours to sRGB.

Little CMS converts, with the perceptual intent as browsers do; between the matrix profiles of cameras and editors that
is the same as the relative colorimetric one.
"""

import io
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageCms

_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
# Bytes 24 to 35 say when Little CMS made it; without them equal pictures are equal files.
SRGB_PROFILE = _SRGB.tobytes()[:24] + bytes(12) + _SRGB.tobytes()[36:]
"""A profile of sRGB, to be embedded."""

LAB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
"""The profile of CIE Lab (D50) itself."""

PLAIN_CURVE: UInt8[np.ndarray, "65536"] = (np.arange(65536) / 257).round().astype(np.uint8)
"""The level, 0..255, of each grey of 16 bits where no profile says otherwise."""

# ICC's name of a colour space -> Pillow's.
_MODES = {"RGB": "RGB", "GRAY": "I;16", "CMYK": "CMYK", "Lab": "LAB"}
_SAME = 1  # of 255: sRGB profiles from different makers differ by so much


class ColourProfile:
    """An embedded profile.

    Args:
        content: the bytes in the file.

    Attributes:
        space: what the pixels it describes consist of: RGB, GRAY, CMYK or Lab.

    Raises:
        ValueError: the bytes are not such a profile; the message is the reason.
    """

    def __init__(self, content: bytes) -> None:
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(content))
            self.space = profile.profile.xcolor_space.strip()
        except (OSError, UnicodeDecodeError):
            raise ValueError("it is damaged") from None
        if self.space not in _MODES:
            raise ValueError(f"it is for {self.space}, which no image has here")
        try:
            self._transform = ImageCms.ImageCmsTransform(profile, _SRGB, _MODES[self.space], "RGB")
        except ValueError:
            raise ValueError("it has no way to sRGB") from None

    @cached_property
    def is_srgb(self) -> bool:
        """Whether its RGB or grey is that of sRGB to a step of 8 bits: then pixels stay as they are."""
        if self.space == "GRAY":
            return bool(np.abs(self.grey_curve.astype(int) - PLAIN_CURVE).max() <= _SAME)
        if self.space != "RGB":
            return False
        levels = np.linspace(0, 255, 18).round().astype(np.uint8)
        colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(18, -1, 3)
        converted = np.asarray(self._transform.apply(Image.fromarray(colours)))
        return bool(np.abs(converted.astype(int) - colours).max() <= _SAME)

    @cached_property
    def grey_curve(self) -> UInt8[np.ndarray, "65536"]:
        """The level in sRGB, 0..255, of each grey of 16 bits; of a profile for GRAY."""
        ramp = Image.frombytes("I;16", (256, 256), np.arange(65536, dtype="<u2").tobytes())
        return np.asarray(self._transform.apply(ramp))[..., 1].flatten()

    def to_srgb(self, image: Image.Image) -> Image.Image:
        """An image in the mode RGB, CMYK or LAB, as the profile's space -> sRGB; RGB is converted in place."""
        if self.is_srgb:
            return image
        return self._transform.apply_in_place(image) if image.mode == "RGB" else self._transform.apply(image)


@lru_cache(maxsize=16)
def open_profile(content: bytes) -> ColourProfile:
    """`ColourProfile`, once for the images that share it."""
    return ColourProfile(content)
