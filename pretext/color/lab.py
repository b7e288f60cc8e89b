"""sRGB <-> CIE L*a*b* (D65, 2 degrees) on tensors of any device, in float32 also inside autocast.

sRGB in [0, 1], L in [0, 100], ab about [-110, 110]. Both directions agree with scikit-image: Lab to 0.002,
RGB to 0.0001.
"""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

# Constants of sRGB (IEC 61966-2-1) and CIE L*a*b* as scikit-image rounds them.
WHITE_XYZ = (0.95047, 1.0, 1.08883)

# Linear RGB -> XYZ relative to the white point: row i is divided by WHITE_XYZ[i].
RGB_TO_XYZ = (
    (0.412453 / WHITE_XYZ[0], 0.357580 / WHITE_XYZ[0], 0.180423 / WHITE_XYZ[0]),
    (0.212671 / WHITE_XYZ[1], 0.715160 / WHITE_XYZ[1], 0.072169 / WHITE_XYZ[1]),
    (0.019334 / WHITE_XYZ[2], 0.119193 / WHITE_XYZ[2], 0.950227 / WHITE_XYZ[2]),
)

# Below the knees both transfer curves are straight lines: sRGB / 12.92, and 7.787 t + 16 / 116.
SRGB_KNEE = 0.04045
LINEAR_KNEE = 0.0031308
SRGB_SLOPE = 12.92
LAB_KNEE = 0.008856
LAB_KNEE_ROOT = 0.2068966
LAB_SLOPE = 7.787
LAB_OFFSET = 16 / 116

XYZ_TO_RGB: list[list[float]] = torch.tensor(RGB_TO_XYZ, dtype=torch.float64).inverse().tolist()

# In linear RGB; after the transfer curve at most a third of an 8-bit step.
GAMUT_TOLERANCE = 1e-4
BISECTIONS = 14


def rgb_to_lab(rgb: Float[Tensor, "*batch 3 height width"]) -> Float[Tensor, "*batch 3 height width"]:
    """sRGB in [0, 1] -> Lab. Differentiable; without a gradient to keep, CPU tensors take a faster way."""
    rgb = rgb.float()
    keeps_gradient = torch.is_grad_enabled() and rgb.requires_grad
    if rgb.device.type == "cpu" and not keeps_gradient and not torch.compiler.is_compiling():
        return _rgb_to_lab_on_cpu(rgb)
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


# ------------------------------------------------------------------------ on a CPU, without a gradient to keep
#
# Two things cost time there: `pow`, and temporaries as large as the batch. So both transfer curves are low-degree
# rational functions, and every operation writes into a scratch block that stays in the cache. The functions were fitted
# to minimise the largest error of the resulting Lab value (Lawson's iteratively reweighted least squares): over the
# whole RGB cube the result is within 0.001 of the formula in float64.

# Numbers in a block: enough that starting the threads costs little, few enough for the cache.
BLOCK_NUMEL = 1024 * 1024

# Linear light times 12.92 is c + GAIN * N(c) / D(c) for sRGB c at or above the knee; below it N / D keeps its
# value at the knee and the straight line remains. Coefficients from the constant term up to the leading 1.
GAIN = 34.60744238690944
NUMERATOR = (0.0007844940358633059, -0.036809883590448976, 0.35141483019288333, 1.918657494366293)
DENOMINATOR = (2.493450816069377, 5.896028435981575)

# The logarithm of the cube root of a float whose bits are the integer n: (n / 2^23 - 127) ln(2) / 3, and half of the
# largest error of the piecewise linear mantissa.
ROOT_SLOPE = math.log(2) / (3 * 2**23)
ROOT_OFFSET = math.log(2) * (-127 + 0.043) / 3

KNEE = LAB_KNEE * SRGB_SLOPE
ROW_SUMS = [sum(row) for row in RGB_TO_XYZ]


def _rgb_to_lab_on_cpu(rgb: Float[Tensor, "*batch 3 height width"]) -> Float[Tensor, "*batch 3 height width"]:
    """`rgb_to_lab` of float32, several times as fast as the plain formula."""
    with torch.no_grad():
        images = rgb.reshape(-1, 3, rgb.shape[-2] * rgb.shape[-1])
        lab = torch.empty_like(images)
        num_pixels = min(images.shape[2], BLOCK_NUMEL // 3)
        num_images = max(1, BLOCK_NUMEL // (3 * max(num_pixels, 1)))
        scratch = torch.empty(3, min(num_images, len(images)), 3, num_pixels)
        for few, few_lab in zip(images.split(num_images), lab.split(num_images), strict=True):
            for source, out in zip(few.split(num_pixels, 2), few_lab.split(num_pixels, 2), strict=True):
                _convert(source, out, *scratch[:, : source.shape[0], :, : source.shape[2]])
    return lab.view(rgb.shape)


def _convert(source: Tensor, out: Tensor, first: Tensor, second: Tensor, third: Tensor) -> None:
    """One block; `first` to `third` are scratch of its shape."""
    linear = _linearise(source, clamped=first, numerator=second, denominator=third)
    xyz = first
    for mixed, (_, green, blue), row_sum in zip(xyz.unbind(1), RGB_TO_XYZ, ROW_SUMS, strict=True):
        # A row divided by its sum is an average, which is two interpolations.
        torch.lerp(linear[:, 0], linear[:, 1], green / (row_sum - blue), out=mixed)
        mixed.lerp_(linear[:, 2], blue / row_sum)
    x, y, z = _lab_curve(xyz, clamped=third, root=second, scratch=out).unbind(1)
    # The curve comes in units of its slope at 0; the rows' sums, 1 up to rounding, return as their cube roots.
    scale, x_root, z_root = LAB_SLOPE / SRGB_SLOPE, ROW_SUMS[0] ** (1 / 3), ROW_SUMS[2] ** (1 / 3)
    torch.add(torch.tensor(-16.0), y, alpha=116 * scale, out=out[:, 0])
    torch.sub(x, y, alpha=1 / x_root, out=out[:, 1]).mul_(500 * scale * x_root)
    torch.sub(y, z, alpha=z_root, out=out[:, 2]).mul_(200 * scale)


def _linearise(srgb: Tensor, clamped: Tensor, numerator: Tensor, denominator: Tensor) -> Tensor:
    """12.92 x linear light, in the memory of `numerator`."""
    torch.clamp(srgb, min=SRGB_KNEE, out=clamped)
    for polynomial, coefficients in ((numerator, NUMERATOR), (denominator, DENOMINATOR)):
        *lower, highest = torch.tensor(coefficients).unbind()
        torch.add(highest, clamped, out=polynomial)
        for coefficient in reversed(lower):
            torch.addcmul(coefficient, polynomial, clamped, out=polynomial)
    return torch.addcdiv(srgb, numerator, denominator, value=GAIN, out=numerator)


def _lab_curve(xyz: Tensor, clamped: Tensor, root: Tensor, scratch: Tensor) -> Tensor:
    """CIE's f of xyz / 12.92, times 12.92 / 7.787; in the memory of `root`."""
    torch.clamp(xyz, min=KNEE, out=clamped)
    below = xyz.sub_(clamped)
    # The bits of a float, read as an integer, are its logarithm to 0.086 octaves: a cube root good to 1 %.
    root.copy_(clamped.view(torch.int32))
    torch.add(torch.tensor(ROOT_OFFSET), root, alpha=ROOT_SLOPE, out=root)
    root.exp_()  # not exp2_, which rounds otherwise at the end of a thread's share: the batch would be seen in the bits
    # One step of Halley's method cubes the error: r (1/2 + 3/2 t / (2 r^3 + t)).
    torch.pow(root, 3, out=scratch)
    torch.add(clamped, scratch, alpha=2, out=scratch)
    torch.addcdiv(torch.tensor(0.5), clamped, scratch, value=1.5, out=scratch)
    return torch.addcmul(below, root, scratch, value=SRGB_SLOPE ** (2 / 3) / LAB_SLOPE, out=root)
