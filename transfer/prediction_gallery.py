"""Pictures of what a detector or a segmentation network says, beside the truth."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torchvision.transforms import functional as F
from torchvision.utils import make_grid

NUM_IMAGES = 8
TILE = 320  # pixels of a picture's long side


def prediction_gallery(
    truths: Sequence[UInt8[Tensor, "3 _ _"]], predictions: Sequence[UInt8[Tensor, "3 _ _"]]
) -> UInt8[np.ndarray, "height width 3"]:
    """A row for each image, twice: the truth drawn on it, and the prediction."""
    tiles = [_tile(picture) for pair in zip(truths, predictions, strict=True) for picture in pair]
    return (
        make_grid(tiles, nrow=2 if len(truths) < 4 else 4, padding=4, pad_value=255).permute(1, 2, 0).numpy()
    )


def _tile(picture: Tensor) -> Tensor:
    """Fitted into a square, white around it."""
    height, width = picture.shape[1:]
    scale = TILE / max(height, width)
    resized = F.resize(picture, [max(1, round(scale * height)), max(1, round(scale * width))], antialias=True)
    square = torch.full((3, TILE, TILE), 255, dtype=torch.uint8)
    square[:, : resized.shape[1], : resized.shape[2]] = resized
    return square
