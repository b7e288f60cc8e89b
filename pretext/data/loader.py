"""Batches of images, decoded by worker processes, in an order that does not depend on them."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int64, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from pretext.data.crops import central_square, random_crop_and_mirror
from pretext.data.images import BrokenImageError
from pretext.data.order import DataOrder, Sample, augmentation_rng, rank_positions
from pretext.data.sources import ImageSource
from pretext.data.workers import guard_worker


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images of one size, RGB in 0..255.

    `positions` are places in the run's global sequence of samples (in validation, of images), `indices` those
    in the source. A broken file keeps its place, black, with `broken` set: black is grey, so the objective
    masks it. `errors` holds its (name, reason), once for each time it comes.
    """

    rgb: UInt8[Tensor, "batch 3 size size"]
    positions: Int64[np.ndarray, " batch"]
    indices: Int64[np.ndarray, " batch"]
    broken: Bool[np.ndarray, " batch"]
    errors: list[tuple[str, str]]

    def pin_memory(self) -> "Batch":
        """The batch with its images in page-locked memory; called by the DataLoader."""
        return replace(self, rgb=self.rgb.pin_memory())


def training_batches(
    source: ImageSource,
    *,
    seed: int,
    num_steps: int,
    batch_size: int,
    image_size: int = 256,
    crop_size: int = 176,
    start_step: int = 0,
    rank: int = 0,
    world_size: int = 1,
    micro_batches: int = 1,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[Batch]:
    """This rank's random crops of steps `start_step` to `num_steps` (exclusive), `micro_batches` a step.

    `batch_size` is the global one. Bit for bit the same images come at a position whatever `start_step`,
    `world_size`, `micro_batches` and `num_workers` are. Workers (0: this process) start at once and live to
    the end of training, with no pause between epochs.

    Raises ValueError if the batch cannot be shared evenly or the crop is larger than the image.
    """
    if batch_size % (world_size * micro_batches):
        raise ValueError(
            f"a batch of {batch_size} cannot be shared by {world_size} processes with {micro_batches} "
            f"micro-batches each; choose a multiple of {world_size * micro_batches}"
        )
    if not 0 < crop_size <= image_size:
        raise ValueError(f"crop_size {crop_size} must be at least 1 and at most image_size, {image_size}")

    order = DataOrder(source.group_sizes, seed)
    return _batches(
        _Cuts(
            source, partial(_random_crop, seed, image_size, crop_size), size=crop_size, short_side=image_size
        ),
        (
            order.samples(positions)
            for step in range(start_step, num_steps)
            for positions in rank_positions(
                step, batch_size=batch_size, rank=rank, world_size=world_size, micro_batches=micro_batches
            )
        ),
        num_workers,
        pin_memory,
    )


def validation_batches(
    source: ImageSource,
    *,
    size: int,
    batch_size: int,
    rank: int = 0,
    world_size: int = 1,
    num_workers: int = 0,
    pin_memory: bool = False,
) -> Iterator[Batch]:
    """The central squares of all images once, in order, in constant memory: rank r has r, r + world_size, ...

    `batch_size` is that of one rank; the last batch may be smaller.
    """
    mine = range(rank, len(source), world_size)
    return _batches(
        _Cuts(source, partial(_central_square, size), size=size, short_side=size),
        (
            [Sample(position=index, epoch=0, index=index) for index in mine[first : first + batch_size]]
            for first in range(0, len(mine), batch_size)
        ),
        num_workers,
        pin_memory,
    )


def _random_crop(seed: int, image_size: int, crop_size: int, image: Image.Image, sample: Sample) -> Tensor:
    return random_crop_and_mirror(image, augmentation_rng(seed, sample), image_size, crop_size)


def _central_square(size: int, image: Image.Image, sample: Sample) -> Tensor:
    return central_square(image, size)


class _Cuts(Dataset[Batch]):
    """Decodes whole batches; lives in the workers, so it is pickled where they are not forked."""

    def __init__(
        self, source: ImageSource, cut: Callable[[Image.Image, Sample], Tensor], *, size: int, short_side: int
    ) -> None:
        self._source = source
        self._cut = cut
        self._size = size
        self._short_side = short_side

    def __getitems__(self, samples: list[Sample]) -> Batch:
        """Called by the DataLoader with one batch of the sampler."""
        images = []
        broken = np.zeros(len(samples), bool)
        errors = []
        for place, sample in enumerate(samples):
            try:
                image = self._source.open(sample.index, self._short_side)
            except BrokenImageError as error:
                images.append(torch.zeros(3, self._size, self._size, dtype=torch.uint8))
                broken[place] = True
                errors.append((self._source.name(sample.index), str(error)))
            else:
                images.append(self._cut(image, sample))
        return Batch(
            rgb=default_collate(images),  # in a worker it stacks straight into shared memory
            positions=np.array([sample.position for sample in samples]),
            indices=np.array([sample.index for sample in samples]),
            broken=broken,
            errors=errors,
        )


def _batches(
    cuts: _Cuts, samples_of_batches: Iterable[list[Sample]], num_workers: int, pin_memory: bool
) -> Iterator[Batch]:
    loader = DataLoader(
        cuts,
        batch_sampler=samples_of_batches,
        collate_fn=_as_it_is,
        num_workers=num_workers,
        worker_init_fn=partial(guard_worker, os.getpid()),
        pin_memory=pin_memory,
        # The DataLoader draws a seed: from here, so that the run's own random state does not depend on it.
        generator=torch.Generator(),
    )
    return iter(loader)


def _as_it_is(batch: Any) -> Any:
    return batch
