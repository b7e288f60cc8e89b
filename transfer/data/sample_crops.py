"""A few crops that stand for all images of a training."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from pretext.images.order import DataOrder
from transfer.data.crops import central_crop

NUM_CROPS, SIDE = 160, 227


def sample_crops(
    num_images: int, open_image: Callable[[int], Image.Image], seed: int
) -> Float[Tensor, "batch 3 side side"]:
    """Central squares of 160 random images, RGB in [0, 1]: what a backbone is rescaled on.

    Args:
        num_images: to draw from.
        open_image: gives one of them by its place.
    """
    order = DataOrder((num_images,), seed).samples(range(NUM_CROPS))
    crops = [central_crop(open_image(sample.index), SIDE, SIDE) for sample in order]
    return torch.stack(crops) / 255
