"""AuC: the area under the cumulative curve of ab errors, raw and rebalanced (Zhang et al. 2016, section 3.1)."""

from functools import lru_cache

import torch
from jaxtyping import Float, Float64, Int64, Num
from torch import Tensor

from pretext.color.bins import AbBins
from pretext.color.rebalancing import class_weights
from pretext.color.soft_encoding import NeighbourTable

THRESHOLDS = range(151)


def error_counts(
    colorized_ab: Float[Tensor, "batch 2 height width"],
    truth_ab: Float[Tensor, "batch 2 height width"],
    weight: Float[Tensor, "batch height width"] | None = None,
) -> Num[Tensor, "batch 152"]:
    """Pixels of each image by the smallest whole threshold that their error does not exceed.

    The error is the distance in the ab plane; the last column counts those above 150. Counts add up over images,
    so that their sum gives the curve over all pixels of a set.

    Returns:
        int64 counts without `weight`, float64 sums of the weights with it. On a GPU the order in which weights
        are added changes from run to run, and with it the last digit of a sum.
    """
    a, b = (colorized_ab.float() - truth_ab.float()).unbind(1)
    columns = len(THRESHOLDS) + 1
    column = torch.hypot(a, b).ceil_().clamp_(max=columns - 1).long()
    column += columns * torch.arange(len(column), device=column.device)[:, None, None]
    counts = torch.bincount(
        column.flatten(),
        weights=None if weight is None else weight.flatten().double(),
        minlength=columns * len(column),
    )
    return counts.view(len(column), columns)


def auc_curve(counts: Num[Tensor, "*set 152"]) -> Float64[Tensor, "*set 151"]:
    """Share of the pixels, in [0, 1], whose error is at most 0, 1, ..., 150 ab units."""
    cumulative = counts.cumsum(dim=-1).double()
    return cumulative[..., :-1] / cumulative[..., -1:]


def auc(counts: Num[Tensor, "*set 152"]) -> Float64[Tensor, "*set"]:
    """Area under the curve over thresholds 0..150 (trapezoids of width 1), in percent; 100 without any error."""
    return 100 * torch.trapezoid(auc_curve(counts), dim=-1) / THRESHOLDS[-1]


def rebalancing_weights(
    ab: Float[Tensor, "batch 2 height width"], bins: AbBins
) -> Float[Tensor, "batch height width"]:
    """Each pixel's weight in the rebalanced AuC, from its true colour `ab`: 1 / the prior of its nearest bin.

    That is equation 4 with lambda 0; scaled so that the prior's expectation of the weight is 1.

    Raises:
        ValueError: a bin of the prior is empty.
    """
    return _weights(bins, ab.device)[nearest_bins(ab, bins)]


def nearest_bins(
    ab: Float[Tensor, "batch 2 height width"], bins: AbBins
) -> Int64[Tensor, "batch height width"]:
    """The bin of each pixel, as `NeighbourTable` finds it: within 0.35 units of the line between two, either."""
    return _table(bins, ab.device).lookup(ab)[:, 0]


@lru_cache(maxsize=2)
def _weights(bins: AbBins, device: torch.device) -> Float[Tensor, "bins"]:
    return class_weights(bins.prior, uniform_share=0.0).to(device)


@lru_cache(maxsize=2)
def _table(bins: AbBins, device: torch.device) -> NeighbourTable:
    """The nearest bin of every ab cell, which takes a second to find."""
    return NeighbourTable(bins.centres, neighbours=1).to(device)
