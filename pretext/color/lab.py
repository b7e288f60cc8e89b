"""sRGB <-> CIE L*a*b* (D65, 2 degrees) on tensors of any device, in float32 also inside autocast.

sRGB in [0, 1], L in [0, 100], ab about [-110, 110]. Both directions agree with scikit-image: Lab to 0.002,
RGB to 0.0001.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pretext.color.cie import (
    LAB_KNEE,
    LAB_KNEE_ROOT,
    LAB_OFFSET,
    LAB_SLOPE,
    LINEAR_KNEE,
    RGB_TO_XYZ,
    SRGB_KNEE,
    SRGB_SLOPE,
)
from pretext.color.lab_cpu import rgb_to_lab_cpu

XYZ_TO_RGB: list[list[float]] = torch.tensor(RGB_TO_XYZ, dtype=torch.float64).inverse().tolist()

# In linear RGB; after the transfer curve at most a third of an 8-bit step.
GAMUT_TOLERANCE = 1e-4
BISECTIONS = 14


def rgb_to_lab(rgb: Float[Tensor, "*batch 3 height width"]) -> Float[Tensor, "*batch 3 height width"]:
    """sRGB in [0, 1] -> Lab. Differentiable; without a gradient to keep, CPU tensors take a faster way."""
    rgb = rgb.float()
    keeps_gradient = torch.is_grad_enabled() and rgb.requires_grad
    if rgb.device.type == "cpu" and not keeps_gradient and not torch.compiler.is_compiling():
        return rgb_to_lab_cpu(rgb)
    # The clamps keep the branch not taken, and with it the gradient, finite.
    curve = ((rgb.clamp(min=SRGB_KNEE) + 0.055) / 1.055) ** 2.4
    xyz = _mix(torch.where(rgb > SRGB_KNEE, curve, rgb / SRGB_SLOPE), RGB_TO_XYZ)
    root = xyz.clamp(min=LAB_KNEE) ** (1 / 3)
    x, y, z = torch.where(xyz > LAB_KNEE, root, LAB_SLOPE * xyz + LAB_OFFSET).unbind(-3)
    return torch.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], dim=-3)


def lab_to_rgb(lab: Float[Tensor, "*batch 3 height width"]) -> Float[Tensor, "*batch 3 height width"]:
    """Lab -> sRGB, clamped to [0, 1]. A colour out of gamut loses lightness: see `fit_chroma_to_gamut`."""
    linear = _lab_to_linear_rgb(lab)
    curve = 1.055 * linear.clamp(min=LINEAR_KNEE) ** (1 / 2.4) - 0.055
    return torch.where(linear > LINEAR_KNEE, curve, linear * SRGB_SLOPE).clamp(0, 1)


def fit_chroma_to_gamut(
    lab: Float[Tensor, "*batch 3 height width"],
) -> Float[Tensor, "*batch 3 height width"]:
    """Pull every colour out of the sRGB gamut towards grey until it lies inside.

    L and hue stay; a and b shrink by a common factor, found by bisection. Colours inside are unchanged. So an
    image colorized with predicted ab keeps its original lightness, which clipping RGB would alter.
    """
    fitted = lab.to(torch.float32, copy=True)
    outside = ~_is_in_gamut(fitted)
    channels = fitted.movedim(-3, 0)
    lightness, ab = channels[:1, outside], channels[1:, outside]
    inside, beyond = torch.zeros_like(lightness), torch.ones_like(lightness)
    for _ in range(BISECTIONS):
        middle = (inside + beyond) / 2
        fits = _is_in_gamut(torch.cat([lightness, ab * middle])[..., None]).T
        inside, beyond = torch.where(fits, middle, inside), torch.where(fits, beyond, middle)
    channels[1:, outside] = ab * inside
    return fitted


def _is_in_gamut(lab: Float[Tensor, "*batch 3 height width"]) -> Bool[Tensor, "*batch height width"]:
    linear = _lab_to_linear_rgb(lab)
    return ((linear >= -GAMUT_TOLERANCE) & (linear <= 1 + GAMUT_TOLERANCE)).all(dim=-3)


def _lab_to_linear_rgb(
    lab: Float[Tensor, "*batch 3 height width"],
) -> Float[Tensor, "*batch 3 height width"]:
    lightness, a, b = lab.float().unbind(-3)
    y = (lightness + 16) / 116
    # A negative Z has no meaning; scikit-image, too, takes 0.
    root = torch.stack([y + a / 500, y, (y - b / 200).clamp(min=0)], dim=-3)
    xyz = torch.where(root > LAB_KNEE_ROOT, root * root * root, (root - LAB_OFFSET) / LAB_SLOPE)
    return _mix(xyz, XYZ_TO_RGB)


def _mix(
    image: Float[Tensor, "*batch 3 height width"], rows: list[list[float]] | tuple[tuple[float, ...], ...]
) -> Float[Tensor, "*batch 3 height width"]:
    """Multiply every pixel by a 3x3 matrix. Not by matmul: autocast and TF32 would take its precision."""
    first, second, third = image.unbind(-3)
    return torch.stack([first * r[0] + second * r[1] + third * r[2] for r in rows], dim=-3)
