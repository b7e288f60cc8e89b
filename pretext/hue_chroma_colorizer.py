"""Intensity in, distributions over hue and chroma out: the way of Larsson et al. (2016)."""

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from pretext.color.hue_chroma import (
    colorized,
    hue_directions,
    likeliest_chroma,
    likeliest_directions,
    mean_chroma,
    median_chroma,
)
from pretext.color.lab import rgb_to_lab
from pretext.colorizer import to_8_bits
from pretext.config import Decoding
from pretext.networks.larsson import HYPERCOLUMN_STRIDE, upsampled
from pretext.picture_colorizer import WholePictureColorizer, as_picture

BORDER = 12  # pixels of the square that a picture leaves free


class HueChromaColorizer(WholePictureColorizer):
    """Colorizes pictures with a network from intensity to hue and chroma.

    A picture is made smaller, so that its short side is half of a square's, and laid into its middle, on black. Hue is
    the mean direction, with chroma fading where hues disagree; chroma is the median. By `mean` chroma is the mean, by
    `mode` both are the likeliest, and nothing fades. Both are brought to full size and each pixel to its own intensity.

    Args:
        network, size: see `WholePictureColorizer`; the side of the square is 512 in the released code.
    """

    multiple = 32
    decodings = ("mean", "mode")
    _decoding: Decoding | None = None

    @property
    def decoding(self) -> str:
        if self._decoding == "mode":
            return "likeliest hue and chroma"
        return f"mean hue with fading, {'mean' if self._decoding == 'mean' else 'median'} chroma"

    def decode_by(self, decoding: Decoding) -> None:
        super().decode_by(decoding)
        self._decoding = decoding

    def colorized(self, image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
        intensity, _, directions, chroma = self._predict(np.array(image)[None])
        return as_picture(to_8_bits(colorized(directions, chroma, intensity)))

    @torch.inference_mode()
    def look(
        self, frames: UInt8[np.ndarray, "frames height width 3"]
    ) -> tuple[Float[Tensor, "frames 1 rows columns"], Float[Tensor, "frames 2 rows columns"]]:
        """Lightness and ab of some pictures where their colours are predicted."""
        _, small, directions, chroma = self._predict(frames)
        grey = small.expand(-1, 3, -1, -1)
        return rgb_to_lab(grey)[:, :1], rgb_to_lab(colorized(directions, chroma, small))[:, 1:]

    def _predict(
        self, pictures: UInt8[np.ndarray, "batch height width 3"]
    ) -> tuple[
        Float[Tensor, "batch 1 height width"],
        Float[Tensor, "batch 1 rows columns"],
        Float[Tensor, "batch 2 rows columns"],
        Float[Tensor, "batch rows columns"],
    ]:
        """Intensity, the same as it is seen, and there the mean directions of hue and the chroma."""
        intensity = self.network.see(self.as_tensor(pictures))
        sides = intensity.shape[-2:]
        scale = min(1.0, self.size / 2 / min(sides), max(1, self.size - BORDER) / max(sides))
        rows, columns = (max(1, round(side * scale)) for side in sides)
        small = F.interpolate(intensity, size=(rows, columns), mode="bilinear", antialias=True)
        top, left = (self.size - rows) // 2, (self.size - columns) // 2
        square = F.pad(small, (left, self.size - columns - left, top, self.size - rows - top))
        hue, chroma = self.network(square).float().chunk(2, dim=1)
        of_hue, of_chroma = (upsampled(of.softmax(dim=1), HYPERCOLUMN_STRIDE) for of in (hue, chroma))
        if self._decoding == "mode":
            directions, decoded = likeliest_directions(of_hue), likeliest_chroma(of_chroma)
        else:
            directions = hue_directions(of_hue)
            decoded = mean_chroma(of_chroma) if self._decoding == "mean" else median_chroma(of_chroma)
        part = (..., slice(top, top + rows), slice(left, left + columns))
        return intensity, small, directions[part], decoded[part]
