"""A few crops that stand for all images of a training."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from pretext.images.image_file import open_rgb
from pretext.images.order import DataOrder
from transfer.data.crops import central_crop

NUM_CROPS, SIDE = 160, 227


def sample_crops(paths: Sequence[Path], seed: int) -> Float[Tensor, "batch 3 side side"]:
    """Central squares of 160 random files, RGB in [0, 1]: what a backbone is rescaled on."""
    order = DataOrder((len(paths),), seed).samples(range(NUM_CROPS))
    crops = [central_crop(open_rgb(paths[sample.index]), SIDE, SIDE) for sample in order]
    return torch.stack(crops) / 255
