"""CIEDE2000, the colour difference that is uniform to the eye (Sharma, Wu, Dalal 2005)."""

import math

import torch
from jaxtyping import Float, Float64
from torch import Tensor

TURN = 2 * math.pi


def ciede2000(
    lab1: Float[Tensor, "batch 3 height width"], lab2: Float[Tensor, "batch 3 height width"]
) -> Float64[Tensor, "batch"]:
    """Mean CIEDE2000 over the pixels of each pair of images: 0 for equal ones, 1 about the least visible step.

    The weights k_L, k_C and k_H are 1.
    """
    rows = difference_map(lab1, lab2).mean(dim=-1)
    return rows.double().mean(dim=-1)


def difference_map(
    lab1: Float[Tensor, "batch 3 height width"], lab2: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, "batch height width"]:
    """CIEDE2000 of every pixel, in float32; equation numbers are those of the paper."""
    lightness1, a1, b1 = lab1.float().unbind(1)
    lightness2, a2, b2 = lab2.float().unbind(1)

    # Stretch a where colours are dull (equations 2-5), then chroma and hue (6-7).
    stretch = 1.5 - 0.5 * _vividness((torch.hypot(a1, b1) + torch.hypot(a2, b2)) / 2)
    a1, a2 = a1 * stretch, a2 * stretch
    chroma1, chroma2 = torch.hypot(a1, b1), torch.hypot(a2, b2)
    hue1, hue2 = _hue(a1, b1, chroma1), _hue(a2, b2, chroma2)

    # Differences (8-11). Hues go the shorter way round; that of a grey, which has none, is multiplied by 0.
    hue_difference = _shorter_way(hue2 - hue1)
    delta_lightness = lightness2 - lightness1
    delta_chroma = chroma2 - chroma1
    delta_hue = 2 * (chroma1 * chroma2).sqrt_() * torch.sin(hue_difference / 2)

    # Means (12-14) and what they scale the differences by (15-21).
    off_middle = ((lightness1 + lightness2) / 2 - 50).square_()
    chroma = (chroma1 + chroma2) / 2
    hue = (hue1 + hue_difference / 2).add_(math.pi)
    tint = (
        1
        - 0.17 * torch.cos(hue - math.radians(30))
        + 0.24 * torch.cos(2 * hue)
        + 0.32 * torch.cos(3 * hue + math.radians(6))
        - 0.20 * torch.cos(4 * hue - math.radians(63))
    )
    delta_lightness /= 1 + 0.015 * off_middle / (20 + off_middle).sqrt_()
    delta_chroma /= 1 + 0.045 * chroma
    delta_hue /= 1 + 0.015 * chroma * tint
    from_blue = _shorter_way(hue - math.radians(275))
    rotation = math.radians(60) * torch.exp(-(from_blue / math.radians(25)).square_())
    turned = -2 * _vividness(chroma) * torch.sin(rotation) * delta_chroma * delta_hue

    # Equation 22; the rotation may take the sum of squares below 0 by rounding.
    squared = delta_lightness.square_() + delta_chroma.square_() + delta_hue.square_() + turned
    return squared.clamp_(min=0).sqrt_()


def _hue(
    a: Float[Tensor, "*pixels"], b: Float[Tensor, "*pixels"], chroma: Float[Tensor, "*pixels"]
) -> Float[Tensor, "*pixels"]:
    """Hue less pi, in [-pi, pi): equation 7 has it in [0, 2 pi), and differences are the same.

    Not by `atan2`: torch rounds that in another way for the last few pixels of each thread's share, and a score
    would depend on the number of threads. Half the angle to the axis of a, whose tangent has no cancellation.
    """
    from_axis = 2 * torch.atan(b / (chroma + a.abs()).clamp_(min=torch.finfo(torch.float32).tiny))
    side = torch.copysign(torch.tensor(1.0), a)
    quarter = torch.copysign(torch.tensor(math.pi / 2), b)
    return side * (from_axis - quarter) - quarter


def _vividness(chroma: Float[Tensor, "*pixels"]) -> Float[Tensor, "*pixels"]:
    """sqrt(C^7 / (C^7 + 25^7)), by products, which take a quarter of `pow`'s time."""
    cubed = (chroma / 25) ** 3
    seventh = cubed * cubed * (chroma / 25)
    return seventh.div_(seventh + 1).sqrt_()


def _shorter_way(angle: Float[Tensor, "*pixels"]) -> Float[Tensor, "*pixels"]:
    """`angle` less whole turns, in [-pi, pi]; half a turn keeps its sign, as in equations 10 and 14."""
    return angle - TURN * torch.round(angle / TURN)
