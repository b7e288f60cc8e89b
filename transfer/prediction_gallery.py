"""Pictures of what a detector or a segmentation network says, beside the truth."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from torch import Tensor
from torchvision.transforms import functional as F
from torchvision.utils import make_grid

NUM_IMAGES = 8
TILE = 320  # pixels of a picture's long side


def prediction_gallery(
    truths: Sequence[UInt8[Tensor, "3 _ _"]], predictions: Sequence[UInt8[Tensor, "3 _ _"]]
) -> UInt8[np.ndarray, "height width 3"]:
    """Each image twice, one beside the other: the truth drawn on it, and the prediction."""
    tiles = [_tile(picture) for pair in zip(truths, predictions, strict=True) for picture in pair]
    height, width = (max(tile.shape[axis] for tile in tiles) for axis in (1, 2))
    filled = [F.pad(tile, [0, 0, width - tile.shape[2], height - tile.shape[1]], fill=255) for tile in tiles]
    sheet = make_grid(filled, nrow=2 if len(truths) < 4 else 4, padding=4, pad_value=255)
    return sheet.permute(1, 2, 0).numpy()


def _tile(picture: Tensor) -> Tensor:
    height, width = picture.shape[1:]
    scale = TILE / max(height, width)
    return F.resize(picture, [max(1, round(scale * height)), max(1, round(scale * width))], antialias=True)
