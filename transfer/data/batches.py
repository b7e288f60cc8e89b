"""Batches of labelled images: the loader of pretext with other crops, and the labels beside them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int8, Int64, UInt8
from torch import Tensor

from pretext.images.loader import Batch, Cut, RandomCut, batches_in_order, shuffled_batches
from pretext.runtime.distributed import World
from transfer.data.labelled import LabelledImages

TrainCut = RandomCut
TestCut = Cut


@dataclass(frozen=True, kw_only=True)
class LabelledBatch:
    """Images of one size with their labels.

    A broken file keeps its place, black, with `broken` set: it must count nowhere. `errors` holds its (name, reason).

    Attributes:
        rgb: in 0..255; with ten crops of each image, or one.
        labels: as in `LabelledImages`: a class of each image, or 1, -1, 0 of each class.
        indices: places in the `LabelledImages`.
    """

    rgb: UInt8[Tensor, "batch *crops 3 size size"]
    labels: Int64[Tensor, " batch"] | Int8[Tensor, "batch classes"]
    indices: Int64[np.ndarray, " batch"]
    broken: Bool[np.ndarray, " batch"]
    errors: list[tuple[str, str]]


def train_batches(
    images: LabelledImages,
    cut: TrainCut,
    *,
    seed: int,
    num_steps: int,
    batch_size: int,
    start_step: int = 0,
    world: World,
    num_workers: int,
    short_side: int | None = None,
    pin_memory: bool = False,
) -> Iterator[LabelledBatch]:
    """This rank's random cuts of steps `start_step` to `num_steps` (exclusive); see `shuffled_batches`.

    `batch_size` is the global one. `short_side` lets JPEG files be decoded smaller, but not smaller than that.
    Raises ValueError if the batch cannot be shared evenly.
    """
    batches = shuffled_batches(
        images.source,
        cut,
        short_side=short_side,
        seed=seed,
        num_steps=num_steps,
        batch_size=batch_size,
        start_step=start_step,
        rank=world.rank,
        world_size=world.size,
        num_workers=num_workers,
        pin_memory=pin_memory,
    )
    return (_labelled(batch, images) for batch in batches)


def test_batches(
    images: LabelledImages,
    cut: TestCut,
    *,
    batch_size: int,
    world: World,
    num_workers: int,
    short_side: int | None = None,  # noqa: PT028, this is no test
) -> Iterator[LabelledBatch]:
    """The cuts of all images once, in order: rank r has images r, r + world.size, ...; see `batches_in_order`.

    `batch_size` is that of one rank; the last batch may be smaller.
    """
    batches = batches_in_order(
        images.source,
        cut,
        short_side=short_side,
        batch_size=batch_size,
        rank=world.rank,
        world_size=world.size,
        num_workers=num_workers,
    )
    return (_labelled(batch, images) for batch in batches)


def _labelled(batch: Batch, images: LabelledImages) -> LabelledBatch:
    return LabelledBatch(
        rgb=batch.rgb,
        labels=torch.from_numpy(images.labels[batch.indices]),
        indices=batch.indices,
        broken=batch.broken,
        errors=batch.errors,
    )
