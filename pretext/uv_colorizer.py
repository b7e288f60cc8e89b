"""Luma in, U and V out."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from pretext.color.lab import rgb_to_lab
from pretext.colorizer import to_8_bits
from pretext.networks.backbone import LUMA
from pretext.picture_colorizer import WholePictureColorizer, as_picture

# U = 0.492 (B - Y) and V = 0.877 (R - Y), and the largest that sRGB has of each.
FACTORS = {"u": 0.492, "v": 0.877}
LARGEST = {"u": 0.435912, "v": 0.614777}


def rgb_to_uv(rgb: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 2 height width"]:
    """U and V of RGB in [0, 1], each squashed into [0, 1]."""
    luma = torch.einsum("bchw,c->bhw", rgb, rgb.new_tensor(LUMA))
    u = FACTORS["u"] * (rgb[:, 2] - luma) / (2 * LARGEST["u"]) + 0.5
    v = FACTORS["v"] * (rgb[:, 0] - luma) / (2 * LARGEST["v"]) + 0.5
    return torch.stack([u, v], dim=1)


def uv_to_rgb(
    luma: Float[Tensor, "batch 1 height width"], uv: Float[Tensor, "batch 2 height width"]
) -> Float[Tensor, "batch 3 height width"]:
    """RGB of luma in [0, 1] and U and V as `rgb_to_uv` gives them, clipped to [0, 1]."""
    y = luma[:, 0]
    blue = y + (uv[:, 0] - 0.5) * 2 * LARGEST["u"] / FACTORS["u"]
    red = y + (uv[:, 1] - 0.5) * 2 * LARGEST["v"] / FACTORS["v"]
    green = (y - LUMA[0] * red - LUMA[2] * blue) / LUMA[1]
    return torch.stack([red, green, blue], dim=1).clamp(0, 1)


class UvColorizer(WholePictureColorizer):
    """Colorizes pictures with a network from luma to U and V, their luma kept where sRGB has the colours.

    Colours are predicted on a copy of about size x size pixels in the picture's own proportions, and brought to full
    resolution bilinearly.

    Args:
        network, size: see `WholePictureColorizer`.
    """

    decoding = "U and V, with the luma of the original"

    def colorized(self, image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
        luma, small = self._luma(np.array(image)[None])
        uv = F.interpolate(self.network(small), size=luma.shape[-2:], mode="bilinear")
        return as_picture(to_8_bits(uv_to_rgb(luma, uv)))

    @torch.inference_mode()
    def look(
        self, frames: UInt8[np.ndarray, "frames height width 3"]
    ) -> tuple[Float[Tensor, "frames 1 rows columns"], Float[Tensor, "frames 2 rows columns"]]:
        """Lightness and ab of some pictures where their colours are predicted."""
        _, small = self._luma(frames)
        uv = F.interpolate(self.network(small), size=small.shape[-2:], mode="bilinear")
        grey = small.expand(-1, 3, -1, -1)
        return rgb_to_lab(grey)[:, :1], rgb_to_lab(uv_to_rgb(small, uv))[:, 1:]

    def _luma(
        self, pictures: UInt8[np.ndarray, "batch height width 3"]
    ) -> tuple[Float[Tensor, "batch 1 height width"], Float[Tensor, "batch 1 rows columns"]]:
        """The luma, and at the size at which the network sees it."""
        luma = self.network.see(self.as_tensor(pictures))
        height, width = luma.shape[-2:]
        scale = self.size / math.sqrt(height * width)
        size = [max(8, round(side * scale)) for side in (height, width)]
        return luma, F.interpolate(luma, size=size, mode="bilinear", antialias=True)
