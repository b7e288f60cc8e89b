"""Batches of images, decoded by worker processes, in an order that does not depend on them."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from pretext.images.image_file import BrokenImageError
from pretext.images.image_source import ImageSource
from pretext.images.order import DataOrder, Sample, augmentation_rng, rank_positions
from pretext.images.workers import GuardedLoader

RandomCut = Callable[[Image.Image, random.Random], Tensor]
"""What training cuts out of a picture; it passes between processes, so it is a function or a `partial` of one."""
Cut = Callable[[Image.Image], Tensor]
"""The same for validation, where nothing is left to chance."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images of one size, RGB in 0..255.

    `positions` are places in the run's global sequence of samples (in validation, of images), `indices` those
    in the source. A broken file keeps its place, black, with `broken` set and its (name, reason) in `errors`. A cut
    may give several crops, or whatever else in 0..255 its task takes.
    """

    rgb: UInt8[Tensor, "batch *sample"]
    positions: Int64[np.ndarray, " batch"]
    indices: Int64[np.ndarray, " batch"]
    broken: Bool[np.ndarray, " batch"]
    errors: list[tuple[str, str]]

    def pin_memory(self) -> "Batch":
        """The batch with its images in page-locked memory; called by the DataLoader."""
        return replace(self, rgb=self.rgb.pin_memory())


def shuffled_batches(
    source: ImageSource,
    cut: RandomCut,
    *,
    short_side: int | None,
    seed: int,
    num_steps: int,
    batch_size: int,
    start_step: int = 0,
    rank: int = 0,
    world_size: int = 1,
    micro_batches: int = 1,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[Batch]:
    """This rank's random cuts of steps `start_step` to `num_steps` (exclusive), `micro_batches` per step.

    `batch_size` is the global one. Bit for bit the same images come at a position whatever `start_step`,
    `world_size`, `micro_batches` and `num_workers` are. Workers (0: this process) start at once and live to
    the end of training, with no pause between epochs. `short_side` lets JPEG files be decoded smaller, see
    `open_rgb`.

    Raises ValueError if the batch cannot be shared evenly; LostWorkerError, in place of a batch, if a worker was
    killed.
    """
    if batch_size % (world_size * micro_batches):
        raise ValueError(
            f"a batch of {batch_size} cannot be shared by {world_size} processes with {micro_batches} "
            f"micro-batches each; choose a multiple of {world_size * micro_batches}"
        )
    order = DataOrder(source.group_sizes, seed)
    samples = (
        order.samples(positions)
        for step in range(start_step, num_steps)
        for positions in rank_positions(
            step, batch_size=batch_size, rank=rank, world_size=world_size, micro_batches=micro_batches
        )
    )
    cuts = _Cuts(source, cut, seed, short_side)
    loader = GuardedLoader(
        cuts, batch_size=None, sampler=samples, num_workers=num_workers, pin_memory=pin_memory
    )
    return iter(loader)


def batches_in_order(
    source: ImageSource,
    cut: Cut,
    *,
    short_side: int | None,
    batch_size: int,
    start: int = 0,
    rank: int = 0,
    world_size: int = 1,
    num_workers: int = 0,
) -> Iterator[Batch]:
    """The cuts of all images from `start` on once, in order, in constant memory.

    Rank r has start + r, start + r + world_size, ... `batch_size` is that of one rank; the last batch may be smaller.
    """
    mine = range(start + rank, len(source), world_size)
    samples = (
        [Sample(position=index, epoch=0, index=index) for index in mine[first : first + batch_size]]
        for first in range(0, len(mine), batch_size)
    )
    cuts = _Cuts(source, cut, None, short_side)
    return iter(GuardedLoader(cuts, batch_size=None, sampler=samples, num_workers=num_workers))


class _Cuts(Dataset[Batch]):
    """Decodes whole batches; lives in the workers, so it is pickled where they are not forked.

    Args:
        cut: a `RandomCut` with a `seed`, a `Cut` where that is None.
    """

    def __init__(
        self, source: ImageSource, cut: Callable[..., Tensor], seed: int | None, short_side: int | None
    ) -> None:
        self._source, self._cut, self._seed, self._short_side = source, cut, seed, short_side

    def __getitem__(self, samples: list[Sample]) -> Batch:
        images = []
        broken = np.zeros(len(samples), bool)
        errors = []
        for place, sample in enumerate(samples):
            try:
                image = self._source.open(sample.index, self._short_side)
            except BrokenImageError as error:
                image = Image.new("RGB", (1, 1))  # whose cut is black and of the shape of the others
                broken[place] = True
                errors.append((self._source.name(sample.index), str(error)))
            chance = () if self._seed is None else (augmentation_rng(self._seed, sample),)
            images.append(self._cut(image, *chance))
        return Batch(
            rgb=default_collate(images),  # in a worker it stacks straight into shared memory
            positions=np.array([sample.position for sample in samples]),
            indices=np.array([sample.index for sample in samples]),
            broken=broken,
            errors=errors,
        )
