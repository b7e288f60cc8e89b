"""Sparse soft encoding: an ab colour becomes Gaussian weights over its nearest bins (paper, section 2.2)."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class SoftTargets:
    """For every position the nearest bins and their weights, which sum to 1 over the neighbours."""

    index: Int[Tensor, "batch neighbours height width"]
    weight: Float[Tensor, "batch neighbours height width"]


def soft_encode(
    ab: Float[Tensor, "batch 2 height width"],
    centres: Float[Tensor, "bins 2"],
    neighbours: int = 5,
    sigma: float = 5.0,
) -> SoftTargets:
    """Encode `ab` (ab units) over its `neighbours` nearest bins, the nearest first, by an exact search.

    The weights are a Gaussian of width `sigma` (ab units) of the distance to the centres, normalised.
    The paper names 5 neighbours, the released layer uses 10. The search takes memory for positions x bins;
    a training step uses `NeighbourTable` instead. Raises ValueError if there are fewer bins than neighbours.
    """
    height, width = ab.shape[-2:]
    index = _nearest_bins(ab.float().permute(0, 2, 3, 1).flatten(1, 2), centres, neighbours)
    index = index.transpose(1, 2).unflatten(2, (height, width)).contiguous()
    return SoftTargets(index, gaussian_weights(ab, centres, index, sigma))


def gaussian_weights(
    ab: Float[Tensor, "batch 2 height width"],
    centres: Float[Tensor, "bins 2"],
    index: Int[Tensor, "batch neighbours height width"],
    sigma: float,
) -> Float[Tensor, "batch neighbours height width"]:
    """The normalised Gaussian weight of each bin in `index`, from the exact distance to `ab`."""
    ab = ab.float()
    squared = (centres[:, 0][index] - ab[:, :1]).square_()
    squared += (centres[:, 1][index] - ab[:, 1:]).square_()
    # A softmax of the exponents, not a quotient of Gaussians: far from every centre all of those are 0.
    return squared.mul_(-0.5 / sigma**2).softmax(dim=1)


class NeighbourTable(nn.Module):
    """The nearest bins of every cell of a fine ab grid, so that encoding needs no nearest-neighbour search.

    `encode` finds the bins in the table and computes their weights from the exact colour. The answer is that
    of `soft_encode` except where a colour lies within half a cell's diagonal (0.35 units) of the line on which
    two bins change places: their order may then differ, or the last neighbour may be one that lies at most
    0.71 units farther than the true one. Over the gamut, with the published bins and 5 neighbours, that moves
    0.13 % of the targets' mass (4 to 6 % of a single target's at most). Colours off the grid, which covers the
    sRGB gamut, take the bins of its border, with their own exact weights.
    """

    STEP = 0.5
    LOW = (-90.0, -110.0)
    HIGH = (100.0, 100.0)

    centres: Float[Tensor, "bins 2"]
    nearest: Int[Tensor, "cells neighbours"]

    def __init__(self, centres: Float[Tensor, "bins 2"], neighbours: int = 5) -> None:
        super().__init__()
        a, b = (
            torch.arange(low, high, self.STEP) + self.STEP / 2
            for low, high in zip(self.LOW, self.HIGH, strict=True)
        )
        self.shape = (len(a), len(b))
        # One row of cells at a time: the distances to every bin stay small.
        rows = [
            _nearest_bins(torch.cartesian_prod(one, b), centres.cpu(), neighbours).to(torch.int32)
            for one in a.split(8)
        ]
        self.register_buffer("centres", centres.float(), persistent=False)
        self.register_buffer("nearest", torch.cat(rows), persistent=False)

    def lookup(
        self, ab: Float[Tensor, "batch 2 height width"]
    ) -> Int[Tensor, "batch neighbours height width"]:
        """The bins of each position's cell, nearest to the cell's centre first."""
        cell = [
            ((ab[:, axis].float() - self.LOW[axis]) / self.STEP).long().clamp_(0, self.shape[axis] - 1)
            for axis in (0, 1)
        ]
        index = self.nearest[cell[0] * self.shape[1] + cell[1]].permute(0, 3, 1, 2)
        return index.to(torch.int64, memory_format=torch.contiguous_format)

    def encode(self, ab: Float[Tensor, "batch 2 height width"], sigma: float = 5.0) -> SoftTargets:
        """Encode `ab` (ab units) as `soft_encode` does, up to the differences named above."""
        index = self.lookup(ab)
        return SoftTargets(index, gaussian_weights(ab, self.centres, index, sigma))


def _nearest_bins(
    colours: Float[Tensor, "*positions 2"], centres: Float[Tensor, "bins 2"], neighbours: int
) -> Int[Tensor, "*positions neighbours"]:
    if not 1 <= neighbours <= len(centres):
        raise ValueError(
            f"neighbours must lie between 1 and the number of bins, {len(centres)}, but is {neighbours}"
        )
    # Not by a matrix product: its cancellation errors would decide between almost equally near bins.
    distance = torch.cdist(colours, centres.float(), compute_mode="donot_use_mm_for_euclid_dist")
    return distance.topk(neighbours, dim=-1, largest=False).indices
