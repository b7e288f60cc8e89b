"""The samples and random numbers of a step of another framework's loop: functions of the seed and the step."""

import random
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

from pretext.images.order import DataOrder, Sample, augmentation_rng, rank_positions
from pretext.runtime.distributed import World


class StepOrder(Sampler[Sample]):
    """This rank's samples of all steps, one after the other; see `pretext.images.order`.

    Attributes:
        per_step: images of this rank in a step.
    """

    def __init__(self, num_images: int, *, seed: int, num_steps: int, batch_size: int, world: World) -> None:
        """Raises ValueError if the batch cannot be shared evenly."""
        if batch_size % world.size:
            raise ValueError(
                f"a batch of {batch_size} cannot be shared by {world.size} processes; choose a multiple of "
                f"{world.size}"
            )
        self.per_step = batch_size // world.size
        self._order, self._steps = DataOrder((num_images,), seed), range(num_steps)
        self._positions = partial(
            rank_positions,
            batch_size=batch_size,
            rank=world.rank,
            world_size=world.size,
            micro_batches=1,
        )

    def skip(self, num_samples: int) -> None:
        """Leave out the first samples of this rank, of whole steps; mmengine calls it when a run resumes."""
        self._steps = self._steps[num_samples // self.per_step :]

    def __iter__(self) -> Iterator[Sample]:
        for step in self._steps:
            (positions,) = self._positions(step)
            yield from self._order.samples(positions)

    def __len__(self) -> int:
        return len(self._steps) * self.per_step


class TrainingImages(Dataset[Any]):
    """Augmented images, by their place in the run: scale, crop, mirroring and colours are a function of that.

    Attributes:
        metainfo: what mmengine's data sets say of the data.
    """

    def __init__(self, images: Dataset[Any], seed: int) -> None:
        """`images` augments with NumPy's global random numbers, as the frameworks do."""
        self._images, self._seed = images, seed
        self.metainfo = getattr(images, "metainfo", {})

    def __getitem__(self, sample: Sample) -> Any:
        np.random.seed(augmentation_rng(self._seed, sample).getrandbits(32))
        return self._images[sample.index]


def seed_step(seed: int, step: int, world: World) -> None:
    """Give this rank's step random numbers of its own in torch (dropout, boxes), also in a run that resumes."""
    torch.manual_seed(random.Random(f"{seed}/{step}/{world.rank}").getrandbits(63))
