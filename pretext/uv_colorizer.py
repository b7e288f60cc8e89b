"""Luma in, U and V out."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from pretext.color.lab import rgb_to_lab
from pretext.colorizer import require_hints, to_8_bits
from pretext.hints import Hint
from pretext.images.image_file import on_white
from pretext.networks.backbone import LUMA, Backbone

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


class UvColorizer:
    """Colorizes pictures with a network from luma to U and V.

    Args:
        network: in evaluation mode, on the device where it shall run.
        size: colours are predicted on a copy of about size x size pixels in the picture's own proportions, and brought
            to full resolution bilinearly.

    Raises:
        ValueError: a size below 1.
    """

    decoding = "U and V, with the luma of the original"

    def __init__(self, network: Backbone, *, size: int = 224) -> None:
        if size < 1:
            raise ValueError(
                f"the size at which colours are predicted must be at least 1 pixel but is {size}"
            )
        self.network, self.size = network, size

    @torch.inference_mode()
    def __call__(self, image: Image.Image, hints: Sequence[Hint] = ()) -> Image.Image:
        """Colorize `image` (RGB or RGBA): same size and mode, its luma kept where sRGB has the colours, alpha kept.

        Raises:
            ValueError: there are hints, which such a network does not take.
        """
        if hints:
            require_hints(self.network)
        if image.mode not in ("RGB", "RGBA"):
            image = image.convert("RGB")
        luma, small = self._luma(np.array(on_white(image))[None])
        uv = F.interpolate(self.network(small), size=luma.shape[-2:], mode="bilinear")
        rgb = to_8_bits(uv_to_rgb(luma, uv))[0]
        result = Image.fromarray(rgb.permute(1, 2, 0).cpu().numpy())
        if image.mode == "RGBA":
            result.putalpha(image.getchannel("A"))
        return result

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
        rgb = torch.from_numpy(pictures).to(next(self.network.parameters()).device).permute(0, 3, 1, 2) / 255
        luma = self.network.see(rgb)
        height, width = luma.shape[-2:]
        scale = self.size / math.sqrt(height * width)
        size = [max(8, round(side * scale)) for side in (height, width)]
        return luma, F.interpolate(luma, size=size, mode="bilinear", antialias=True)
