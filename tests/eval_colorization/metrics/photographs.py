"""Real photographs and colorizations of them, for the tests of the metrics."""

import skimage.data
import torch
from torch import Tensor


def photographs(height: int, width: int) -> Tensor:
    """uint8 RGB, (4, 3, height, width): details of photographs that come with scikit-image."""
    images = (skimage.data.astronaut(), skimage.data.coffee(), skimage.data.chelsea(), skimage.data.rocket())
    details = [image[20 : 20 + height, 150 : 150 + width] for image in images]
    return torch.stack([torch.from_numpy(detail.copy()).permute(2, 0, 1) for detail in details])


def colorized_and_truth(height: int = 96, width: int = 80) -> tuple[Tensor, Tensor]:
    """float32 RGB in [0, 1] of 8 bits: each photograph mixed with its neighbour, and the photograph itself."""
    truth = photographs(height, width) / 255
    colorized = ((0.7 * truth + 0.3 * truth.roll(1, dims=0)) * 255).round() / 255
    return colorized, truth
