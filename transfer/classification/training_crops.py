"""A few training crops that stand for all of them."""

import torch
from jaxtyping import Float
from torch import Tensor

from pretext.runtime.distributed import World
from transfer.data.batches import TrainCut, train_batches
from transfer.data.labelled import LabelledImages

NUM_CROPS = 160


def draw_training_crops(
    images: LabelledImages, cut: TrainCut, seed: int
) -> Float[Tensor, "batch 3 size size"]:
    """Readable crops of a random batch, RGB in [0, 1]: what a backbone is rescaled on; the same in every process."""
    alone = World(rank=0, size=1, device=torch.device("cpu"))
    (batch,) = train_batches(
        images, cut, seed=seed, num_steps=1, batch_size=NUM_CROPS, world=alone, num_workers=0
    )
    return batch.rgb[torch.from_numpy(~batch.broken)] / 255
