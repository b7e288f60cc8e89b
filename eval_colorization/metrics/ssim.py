"""SSIM, the structural similarity of two images (Wang, Bovik, Sheikh, Simoncelli 2004)."""

import math

from jaxtyping import Float, Float64
from torch import Tensor

WINDOW = 11
SIGMA = 1.5
C1, C2 = 0.01**2, 0.03**2

_GAUSSIAN = [math.exp(-(((k - WINDOW // 2) / SIGMA) ** 2) / 2) for k in range(WINDOW)]
TAPS = [value / sum(_GAUSSIAN) for value in _GAUSSIAN]


def ssim(
    colorized_rgb: Float[Tensor, "batch 3 height width"], truth_rgb: Float[Tensor, "batch 3 height width"]
) -> Float64[Tensor, "batch"]:
    """Mean SSIM over pixels and channels, RGB in [0, 1]: at most 1, which is for equal images.

    Gaussian window of 11 x 11 pixels and sigma 1.5, K1 0.01, K2 0.03, population covariances; the five pixels at
    each border, where the window leaves the image, do not count.

    Raises:
        ValueError: an image is smaller than the window.
    """
    batch, channels, height, width = truth_rgb.shape
    if min(height, width) < WINDOW:
        raise ValueError(
            f"SSIM needs images of at least {WINDOW} x {WINDOW} pixels, the size of its window, but these are "
            f"{height} x {width}; enlarge them or leave them out"
        )
    # With the half sum s and the half difference d of the images x and y, every term of SSIM comes from the means
    # and variances of s and d: xy = s^2 - d^2 and x^2 + y^2 = 2 (s^2 + d^2). Two images are filtered, not five.
    colorized, truth = colorized_rgb.float().flatten(), truth_rgb.float().flatten()
    # Around mid-grey squares are small, so that a variance, which is their difference, keeps its digits.
    mean_sum, variance_sum = _moments((colorized + truth).sub_(1).div_(2), width)
    mean_difference, variance_difference = _moments((colorized - truth).div_(2), width)

    mean_sum, mean_difference = mean_sum.add_(0.5).square_(), mean_difference.square_()
    similarity = (2 * (mean_sum - mean_difference)).add_(C1)
    similarity *= (2 * (variance_sum - variance_difference)).add_(C2)
    similarity /= mean_sum.add_(mean_difference).mul_(2).add_(C1)
    similarity /= variance_sum.add_(variance_difference).mul_(2).add_(C2)

    inner = similarity.as_strided(
        (batch, channels, height - WINDOW + 1, width - WINDOW + 1),
        (channels * height * width, height * width, width, 1),
    )
    return inner.mean(dim=-1).double().mean(dim=(-2, -1))


def _moments(images: Float[Tensor, "pixels"], width: int) -> tuple[Tensor, Tensor]:
    """Mean and variance of the window at each pixel."""
    mean, mean_of_squares = _blur(images, width), _blur(images.square(), width)
    return mean, mean_of_squares.addcmul_(mean, mean, value=-1)


def _blur(images: Float[Tensor, "pixels"], width: int) -> Float[Tensor, "fewer_pixels"]:
    """The Gaussian mean of the window whose first pixel is at each place of the flattened batch.

    Windows that leave their row or image hold nonsense; `ssim` passes over them. Long additions of shifted
    memory are several times as fast as a convolution of one channel.
    """
    for step in (1, width):
        length = len(images) - (WINDOW - 1) * step
        shifted = [images[k * step : k * step + length] for k in range(WINDOW)]
        images = shifted[0] * TAPS[0]
        for pixels, tap in zip(shifted[1:], TAPS[1:], strict=True):
            images.add_(pixels, alpha=tap)
    return images
