"""How far apart two images' distributions of HSV saturation are."""

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

LEVELS = 256


def saturation_histogram(rgb: Float[Tensor, "batch 3 height width"]) -> Int64[Tensor, "batch 256"]:
    """Pixels by HSV saturation, (max - min) / max of RGB in [0, 1], rounded to 0, 1/255, ..., 1; black has 0.

    Histograms add up over images.
    """
    red, green, blue = rgb.float().unbind(1)
    highest, lowest = torch.maximum(red, green), torch.minimum(red, green)
    torch.maximum(highest, blue, out=highest)
    chroma = highest - torch.minimum(lowest, blue, out=lowest)
    saturation = chroma.div_(highest.clamp_(min=torch.finfo(torch.float32).tiny))
    level = saturation.mul_(LEVELS - 1).round_().long()
    level += LEVELS * torch.arange(len(level), device=level.device)[:, None, None]
    return torch.bincount(level.flatten(), minlength=LEVELS * len(level)).view(-1, LEVELS)


def saturation_distance(
    histogram1: Int64[Tensor, "*images 256"], histogram2: Int64[Tensor, "*images 256"]
) -> Float64[Tensor, "*images"]:
    """1-Wasserstein distance, in units of saturation: the mean way that saturation has to move, in [0, 1].

    From saturations rounded to 1/255; from exact ones it differs by at most 1/255.
    """
    first, second = (
        histogram.cumsum(dim=-1) / histogram.sum(dim=-1, keepdim=True).double()
        for histogram in (histogram1, histogram2)
    )
    return (first - second).abs().sum(dim=-1) / (LEVELS - 1)
