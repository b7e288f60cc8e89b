"""The data order: which sample comes when, as a function of (seed, epoch, position) and nothing else.

A run is a sequence of samples at positions 0, 1, 2, ...; step s with batch size B takes positions
[s B, (s + 1) B). Epoch e is positions [e N, (e + 1) N), in an order of its own: batches straddle epochs,
nothing is dropped, and a set smaller than a batch comes several times in it. Neither the number of
processes nor that of workers enters, so a run may stop anywhere and resume with others.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

SHUFFLE_WINDOW = 8
"""Groups (shards) whose samples are mixed with each other."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One place in the run: its global position, its epoch, and the index of the image shown there."""

    position: int
    epoch: int
    index: int


class DataOrder:
    """The order of a training run over the images of a source, epoch after epoch.

    Only the permutation of the epoch last asked for is kept: 10 MB for the 1.28 million of ImageNet.
    """

    def __init__(self, group_sizes: Sequence[int], seed: int) -> None:
        """`group_sizes`: images in each group of neighbours (shard), in the order of the source's indices."""
        self._group_sizes = group_sizes
        self._num_images = sum(group_sizes)
        self._seed = seed
        self._epoch = -1
        self._permutation = np.empty(0, np.int64)

    def samples(self, positions: range) -> list[Sample]:
        """The samples at these global positions."""
        return [self._sample_at(position) for position in positions]

    def _sample_at(self, position: int) -> Sample:
        epoch, place = divmod(position, self._num_images)
        if epoch != self._epoch:
            self._epoch, self._permutation = epoch, permutation(self._group_sizes, self._seed, epoch)
        return Sample(position, epoch, int(self._permutation[place]))


def permutation(group_sizes: Sequence[int], seed: int, epoch: int) -> Int64[np.ndarray, " images"]:
    """The order in which epoch `epoch` shows the images.

    One group (a folder) is permuted as a whole. Several (shards) come in random order, and samples mix within
    a window of `SHUFFLE_WINDOW` of them, so that reading stays within a few large files at a time.
    """
    rng = np.random.default_rng((seed, epoch))
    ends = np.cumsum(group_sizes)
    groups = [np.arange(end - size, end) for size, end in zip(group_sizes, ends, strict=True)]
    shuffled = [groups[i] for i in rng.permutation(len(groups))]
    windows = [shuffled[i : i + SHUFFLE_WINDOW] for i in range(0, len(shuffled), SHUFFLE_WINDOW)]
    return np.concatenate([rng.permutation(np.concatenate(window)) for window in windows])


def augmentation_rng(seed: int, sample: Sample) -> random.Random:
    """The random numbers of a sample's crop and mirroring: a function of (seed, epoch, index).

    Python's generator, because `random()` of a given seed is the same in all its versions by promise, and it
    starts in half the time of numpy's.
    """
    return random.Random(f"{seed}/{sample.epoch}/{sample.index}")


def rank_positions(
    step: int, *, batch_size: int, rank: int, world_size: int, micro_batches: int
) -> list[range]:
    """The positions that a rank handles in a step, one range for each of its micro-batches.

    The global batch is cut into `world_size` equal runs of positions, each of these into `micro_batches`.
    """
    per_rank = batch_size // world_size
    per_micro_batch = per_rank // micro_batches
    assert per_micro_batch * micro_batches * world_size == batch_size
    first = step * batch_size + rank * per_rank
    return [
        range(start, start + per_micro_batch) for start in range(first, first + per_rank, per_micro_batch)
    ]
