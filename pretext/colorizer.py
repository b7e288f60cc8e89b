"""Lightness in, colours out: network, decoding, and the way back to RGB with the original lightness."""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from pretext.color.bins import AbBins
from pretext.color.decoding import annealed_mean, mean, mode, top_k_mean
from pretext.color.lab import fit_chroma_to_gamut, lab_to_rgb, rgb_to_lab
from pretext.config import Decoding
from pretext.networks.backbone import AB_SCALE, Backbone


def decode(
    output: Float[Tensor, "batch outputs height width"],
    bins: AbBins | None,
    *,
    decoding: Decoding = "annealed_mean",
    temperature: float = 0.38,
    top_k: int = 5,
) -> Float[Tensor, "batch 2 height width"]:
    """A network's output as ab: a distribution over `bins` decoded, or a regression's answer in its units.

    Args:
        output: logits over the bins; ab / 110 where `bins` is None.
        decoding: annealed_mean (at `temperature`), mean, mode, or top_k_mean (over the `top_k` likeliest bins).
    """
    if bins is None:
        return output.float() * AB_SCALE
    centres = bins.centres.to(output.device)
    if decoding == "annealed_mean":
        return annealed_mean(output, centres, temperature)
    if decoding == "mean":
        return mean(output, centres)
    if decoding == "mode":
        return mode(output, centres)
    return top_k_mean(output, centres, top_k)


class Colorizer:
    """Paints images of any size with a trained network.

    Args:
        network: in evaluation mode, on the device where it shall run.
        bins: the network's bins; None for a regression network.
        size: colours are predicted on a copy of about size x size pixels in the image's own proportions (the
            networks were trained at 256) and brought to full resolution bilinearly.
        decoding, temperature, top_k: see `decode`.
    """

    def __init__(
        self,
        network: Backbone,
        bins: AbBins | None,
        *,
        size: int = 256,
        decoding: Decoding = "annealed_mean",
        temperature: float = 0.38,
        top_k: int = 5,
    ) -> None:
        self.network, self.bins, self.size = network, bins, size
        self.decoding: Decoding = decoding
        self.temperature, self.top_k = temperature, top_k

    def predict_ab(
        self, lightness: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch 2 height width"]:
        """ab of images whose sides the network takes as they are (multiples of `network.input_multiple`)."""
        return self.ab_from_output(self.network(lightness), lightness.shape[-2:])

    def ab_from_output(
        self, output: Float[Tensor, "batch outputs grid_height grid_width"], size: Sequence[int]
    ) -> Float[Tensor, "batch 2 height width"]:
        """The network's output, decoded and brought bilinearly to `size` (height, width)."""
        ab = decode(output, self.bins, decoding=self.decoding, temperature=self.temperature, top_k=self.top_k)
        return F.interpolate(ab, size=list(size), mode="bilinear")

    @torch.inference_mode()
    def __call__(self, image: Image.Image) -> Image.Image:
        """Paint `image` (RGB; only its lightness is looked at): same size, lightness kept to the rounding of 8 bits.

        Colours that sRGB cannot show at a pixel's lightness lose chroma, not lightness or hue.
        """
        device = next(self.network.parameters()).device
        rgb = torch.from_numpy(np.array(image.convert("RGB"))).to(device).permute(2, 0, 1)[None]
        lightness = rgb_to_lab(rgb / 255)[:, :1]
        painted = self.paint(lightness, self.network_output(lightness))[0]
        return Image.fromarray(painted.permute(1, 2, 0).cpu().numpy())

    @torch.inference_mode()
    def network_output(
        self, lightness: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch outputs grid_height grid_width"]:
        """The network's answer to images of any size, looked at in copies of `network_size`."""
        size = self.network_size(*lightness.shape[-2:])
        return self.network(F.interpolate(lightness, size=size, mode="bilinear", antialias=True))

    @torch.inference_mode()
    def paint(
        self,
        lightness: Float[Tensor, "batch 1 height width"],
        output: Float[Tensor, "batch outputs grid_height grid_width"],
    ) -> UInt8[Tensor, "batch 3 height width"]:
        """RGB in 0..255 of images whose `network_output` is `output`."""
        height, width = lightness.shape[-2:]
        ab = self.ab_from_output(output, self.network_size(height, width))
        ab = F.interpolate(ab, size=(height, width), mode="bilinear", align_corners=False)
        return to_8_bits(lab_to_rgb(fit_chroma_to_gamut(torch.cat([lightness, ab], dim=1))))

    def network_size(self, height: int, width: int) -> tuple[int, int]:
        """Sides near size x size in area and height : width in proportion, in multiples that the network takes."""
        scale = self.size / math.sqrt(height * width)
        multiple = self.network.input_multiple
        rows, columns = (max(1, round(side * scale / multiple)) * multiple for side in (height, width))
        return rows, columns


def to_8_bits(rgb: Float[Tensor, "*batch 3 height width"]) -> UInt8[Tensor, "*batch 3 height width"]:
    """RGB in [0, 1] -> 0..255, rounded."""
    return (rgb * 255).round().byte()
