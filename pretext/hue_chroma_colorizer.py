"""Intensity in, distributions over hue and chroma out: the way of Larsson et al. (2016)."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from pretext.color.hue_chroma import colorized, decode_chroma, hue_directions
from pretext.color.lab import rgb_to_lab
from pretext.colorizer import require_hints, to_8_bits
from pretext.hints import Hint
from pretext.images.image_file import on_white
from pretext.networks.backbone import Backbone
from pretext.networks.larsson import HYPERCOLUMN_STRIDE, upsampled

MULTIPLE = 32  # of which the square's side is one
BORDER = 12  # pixels of the square that a picture leaves free


class HueChromaColorizer:
    """Colorizes pictures with a network from intensity to hue and chroma.

    A picture is made smaller, so that its short side is half of a square's, and laid into its middle, on black. Hue is
    the mean direction, with chroma fading where hues disagree; chroma is the median. Both are brought to full size, and
    each pixel to its own intensity.

    Args:
        network: in evaluation mode, on the device where it shall run.
        size: side of the square, of which the nearest multiple of 32 is taken; 512 in the released code.

    Raises:
        ValueError: a size below 1.
    """

    decoding = "mean hue with fading, median chroma"

    def __init__(self, network: Backbone, *, size: int = 512) -> None:
        if size < 1:
            raise ValueError(
                f"the size at which colours are predicted must be at least 1 pixel but is {size}"
            )
        self.network, self.size = network, max(1, round(size / MULTIPLE)) * MULTIPLE

    @torch.inference_mode()
    def __call__(self, image: Image.Image, hints: Sequence[Hint] = ()) -> Image.Image:
        """Colorize `image` (RGB or RGBA): same size and mode, the mean of R, G and B kept, alpha kept.

        Raises:
            ValueError: there are hints, which such a network does not take.
        """
        if hints:
            require_hints(self.network)
        if image.mode not in ("RGB", "RGBA"):
            image = image.convert("RGB")
        intensity, _, directions, chroma = self._predict(np.array(on_white(image))[None])
        rgb = to_8_bits(colorized(directions, chroma, intensity))[0]
        result = Image.fromarray(rgb.permute(1, 2, 0).cpu().numpy())
        if image.mode == "RGBA":
            result.putalpha(image.getchannel("A"))
        return result

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
        rgb = torch.from_numpy(pictures).to(next(self.network.parameters()).device).permute(0, 3, 1, 2) / 255
        intensity = self.network.see(rgb)
        sides = intensity.shape[-2:]
        scale = min(1.0, self.size / 2 / min(sides), max(1, self.size - BORDER) / max(sides))
        rows, columns = (max(1, round(side * scale)) for side in sides)
        small = F.interpolate(intensity, size=(rows, columns), mode="bilinear", antialias=True)
        top, left = (self.size - rows) // 2, (self.size - columns) // 2
        square = F.pad(small, (left, self.size - columns - left, top, self.size - rows - top))
        hue, chroma = self.network(square).float().chunk(2, dim=1)
        directions = hue_directions(upsampled(hue.softmax(dim=1), HYPERCOLUMN_STRIDE))
        median = decode_chroma(upsampled(chroma.softmax(dim=1), HYPERCOLUMN_STRIDE))
        part = (..., slice(top, top + rows), slice(left, left + columns))
        return intensity, small, directions[part], median[part]
