"""Hue and chroma as Larsson et al. (2016) have them: a bicone over intensity, the mean of R, G and B."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

FULL_CHROMA_AT = 0.03  # length of `hue_directions`


def rgb_to_hue_chroma(
    rgb: Float[Tensor, "batch 3 height width"],
) -> tuple[Float[Tensor, "batch height width"], Float[Tensor, "batch height width"]]:
    """HSV's hue, 0 for greys, and the largest of R, G and B less the smallest; both in [0, 1]."""
    largest, where = rgb.max(dim=1)
    chroma = largest - rgb.amin(dim=1)
    red, green, blue = rgb.unbind(dim=1)
    divisor = chroma.clamp_min(1e-12)
    sixths = torch.stack([(green - blue) / divisor, (blue - red) / divisor + 2, (red - green) / divisor + 4])
    hue = sixths.gather(0, where[None])[0] / 6 % 1
    return hue * (chroma > 0), chroma


def hue_chroma_to_rgb(
    hue: Float[Tensor, "batch height width"],
    chroma: Float[Tensor, "batch height width"],
    intensity: Float[Tensor, "batch height width"],
) -> Float[Tensor, "batch 3 height width"]:
    """RGB in [0, 1] of that hue and chroma, moved to that intensity and clipped: the paper's lightness matching.

    Value and saturation are intensity + chroma / 2 and chroma / value, both at most 1.
    """
    value = (intensity + chroma / 2).clamp(0, 1)
    saturation = (chroma / value.clamp_min(1e-12)).clamp(0, 1)
    offsets = torch.tensor([5.0, 3.0, 1.0], device=hue.device).view(1, 3, 1, 1)
    position = (offsets + 6 * hue[:, None]) % 6
    strength = torch.minimum(position, 4 - position).clamp(0, 1)
    rgb = value[:, None] * (1 - saturation[:, None] * strength)
    return (rgb + (intensity - rgb.mean(dim=1))[:, None]).clamp(0, 1)


def hue_directions(
    probabilities: Float[Tensor, "batch bins height width"],
) -> Float[Tensor, "batch 2 height width"]:
    """The mean of the directions of all hues on the circle, divided by the number of bins once more.

    So has the released code it, in which full chroma takes a mean of length 0.96 where there are 32 bins.
    """
    bins = probabilities.shape[1]
    return torch.einsum("bkhw,ck->bchw", probabilities, _circle(probabilities)) / bins


def likeliest_directions(
    probabilities: Float[Tensor, "batch bins height width"],
) -> Float[Tensor, "batch 2 height width"]:
    """The direction of the likeliest hue, of length 1, at which nothing fades."""
    return _circle(probabilities)[:, probabilities.argmax(dim=1)].transpose(0, 1)


def _circle(probabilities: Float[Tensor, "batch bins height width"]) -> Float[Tensor, "2 bins"]:
    bins = probabilities.shape[1]
    angles = 2 * math.pi * (torch.arange(bins, device=probabilities.device) + 0.5) / bins
    return torch.stack([angles.cos(), angles.sin()])


def median_chroma(
    probabilities: Float[Tensor, "batch bins height width"],
) -> Float[Tensor, "batch height width"]:
    """The centre of the bin in which the median lies."""
    below = (probabilities.cumsum(dim=1) < 0.5 * probabilities.sum(dim=1, keepdim=True)).sum(dim=1)
    return _centre(below, probabilities)


def likeliest_chroma(
    probabilities: Float[Tensor, "batch bins height width"],
) -> Float[Tensor, "batch height width"]:
    """The centre of the likeliest bin; the released code has its lower edge."""
    return _centre(probabilities.argmax(dim=1), probabilities)


def mean_chroma(
    probabilities: Float[Tensor, "batch bins height width"],
) -> Float[Tensor, "batch height width"]:
    """The mean of the bins' centres."""
    bins = probabilities.shape[1]
    centres = (torch.arange(bins, device=probabilities.device) + 0.5) / bins
    mass = probabilities.sum(dim=1).clamp_min(1e-12)  # at the border of what was upsampled less than 1
    return torch.einsum("bkhw,k->bhw", probabilities, centres) / mass


def _centre(
    number: Int[Tensor, "batch height width"], probabilities: Float[Tensor, "batch bins height width"]
) -> Float[Tensor, "batch height width"]:
    return ((number + 0.5) / probabilities.shape[1]).clamp(max=1)


def colorized(
    directions: Float[Tensor, "batch 2 rows columns"],
    chroma: Float[Tensor, "batch rows columns"],
    intensity: Float[Tensor, "batch 1 height width"],
) -> Float[Tensor, "batch 3 height width"]:
    """RGB in [0, 1] of decoded maps, brought bilinearly to the size of the intensity.

    Args:
        directions: see `hue_directions`; chroma fades with their length.
    """
    maps = torch.cat([directions, chroma[:, None]], dim=1)
    x, y, chroma = F.interpolate(maps, size=intensity.shape[-2:], mode="bilinear").unbind(dim=1)
    fading = (torch.hypot(x, y) / FULL_CHROMA_AT).clamp(max=1)
    return hue_chroma_to_rgb(torch.atan2(y, x) / (2 * math.pi) % 1, chroma * fading, intensity[:, 0])
