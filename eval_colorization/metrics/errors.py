"""Errors pixel by pixel: MSE and PSNR in RGB, RMSE in ab."""

from jaxtyping import Float, Float64
from torch import Tensor


def mse(
    colorized_rgb: Float[Tensor, "batch 3 height width"], truth_rgb: Float[Tensor, "batch 3 height width"]
) -> Float64[Tensor, "batch"]:
    """Mean squared error over pixels and channels, RGB in [0, 1]: in [0, 1], 0 for equal images."""
    height, width = truth_rgb.shape[-2:]
    return _squared_error(colorized_rgb, truth_rgb) / (3 * height * width)


def psnr(mse: Float[Tensor, "*images"]) -> Float64[Tensor, "*images"]:
    """Peak signal-to-noise ratio in dB of an `mse` of RGB in [0, 1]; infinite where that is 0."""
    return -10 * mse.double().log10()


def ab_rmse(
    colorized_ab: Float[Tensor, "batch 2 height width"], truth_ab: Float[Tensor, "batch 2 height width"]
) -> Float64[Tensor, "batch"]:
    """Root of the mean over pixels of the squared distance in the ab plane, in ab units.

    The distance is that of both channels together, as in AuC. A mean over pixels and channels
    is smaller by the factor sqrt(2).
    """
    height, width = truth_ab.shape[-2:]
    return (_squared_error(colorized_ab, truth_ab) / (height * width)).sqrt()


def _squared_error(
    colorized: Float[Tensor, "batch channels height width"],
    truth: Float[Tensor, "batch channels height width"],
) -> Float64[Tensor, "batch"]:
    rows = (colorized.float() - truth.float()).square_().sum(dim=-1)
    return rows.double().sum(dim=(-2, -1))
