"""The quantised ab plane: bin centres, their prior, and the histogram from which both are made."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from pretext.color.soft_encoding import soft_encode

IMAGENET_PRIOR = Path(__file__).parent / "assets" / "imagenet_prior_313.npy"

# The released quantisation: a grid of step 10, for each a one contiguous range of b (both ends included).
# It is a little wider than the gamut of 8-bit sRGB under D65 (261 bins), so it cannot be computed.
PUBLISHED_B_RANGES: dict[int, tuple[int, int]] = {
    -90: (50, 90),
    -80: (20, 90),
    -70: (0, 90),
    -60: (-20, 90),
    -50: (-30, 100),
    -40: (-40, 100),
    -30: (-50, 100),
    -20: (-50, 100),
    -10: (-60, 100),
    0: (-70, 100),
    10: (-80, 90),
    20: (-80, 90),
    30: (-90, 90),
    40: (-100, 90),
    50: (-100, 80),
    60: (-110, 80),
    70: (-110, 80),
    80: (-110, 70),
    90: (-110, 70),
    100: (-90, 0),
}


@dataclass(frozen=True, eq=False)
class AbBins:
    """Bin centres in ab units and the share of a data set's pixels that falls into each bin (sums to 1)."""

    centres: Float[Tensor, "bins 2"]
    prior: Float[Tensor, "bins"]

    @classmethod
    def published(cls) -> "AbBins":
        """The 313 bins of Zhang, Isola, Efros (2016) with their ImageNet prior.

        The prior is `prior_probs.npy` of the authors' release (https://github.com/richzhang/colorization),
        measured on the ImageNet training set and smoothed with the Gaussian of the soft encoding.
        """
        prior = torch.from_numpy(np.load(IMAGENET_PRIOR))
        return cls(centres=published_grid(), prior=(prior / prior.sum()).float())


def published_grid() -> Float[Tensor, "bins 2"]:
    """The 313 published bin centres in ab units, a-major, both coordinates ascending."""
    cells = [(a, b) for a, (low, high) in PUBLISHED_B_RANGES.items() for b in range(low, high + 10, 10)]
    return torch.tensor(cells, dtype=torch.float32)


HISTOGRAM_SIDE = 256
HISTOGRAM_ORIGIN = -128


@dataclass(eq=False)
class AbHistogram:
    """Pixel counts over cells of 1 x 1 ab unit, centred on the whole numbers -128..127 (half a megabyte).

    Centred so that all pixels of a grey image, whose ab is 0 up to rounding, fall into one cell.
    One pass over a data set fills it; `fit_bins` and `empirical_prior` then need no images.
    """

    counts: Int[Tensor, "a_cells b_cells"] = field(
        default_factory=lambda: torch.zeros(HISTOGRAM_SIDE, HISTOGRAM_SIDE, dtype=torch.int64)
    )

    def add(self, ab: Float[Tensor, "*batch 2 height width"]) -> None:
        """Count every pixel of `ab` (ab units, any device); colours off the plane go to its border."""
        self.counts += cell_counts(ab).cpu()

    def occupied(self) -> tuple[Float[Tensor, "cells 2"], Int[Tensor, "cells"]]:
        """Colours and counts of the cells that hold a pixel.

        Raises ValueError if there is none.
        """
        cells = self.counts.nonzero()
        if not len(cells):
            raise ValueError("the ab histogram holds no pixels: add the ab channels of some images first")
        return (cells + HISTOGRAM_ORIGIN).float(), self.counts[*cells.T]


def cell_counts(ab: Float[Tensor, "*batch 2 height width"]) -> Int[Tensor, "a_cells b_cells"]:
    """What `AbHistogram.add` adds to its counts for `ab` (ab units), on the device of `ab`."""
    cell = (ab.detach().float().round() - HISTOGRAM_ORIGIN).clamp_(0, HISTOGRAM_SIDE - 1).long()
    a, b = cell.unbind(-3)
    counts = torch.bincount((a * HISTOGRAM_SIDE + b).flatten(), minlength=HISTOGRAM_SIDE**2)
    return counts.view(HISTOGRAM_SIDE, HISTOGRAM_SIDE)


def fit_bins(histogram: AbHistogram, num_bins: int, seed: int) -> Float[Tensor, "bins 2"]:
    """Centres of `num_bins` bins by k-means over the histogram's pixels, a-major as the published ones.

    Raises ValueError if the histogram has fewer occupied cells than `num_bins`.
    """
    from sklearn.cluster import KMeans  # here: it costs every other user of this file half a second

    colours, counts = histogram.occupied()
    if not 1 <= num_bins <= len(colours):
        raise ValueError(
            f"num_bins must lie between 1 and {len(colours)}, the number of different ab colours seen, "
            f"but is {num_bins}: ask for fewer bins or add more images"
        )
    kmeans = KMeans(n_clusters=num_bins, random_state=seed)
    kmeans.fit(colours.double().numpy(), sample_weight=counts.double().numpy())
    centres = kmeans.cluster_centers_
    a_major = np.lexsort((centres[:, 1], centres[:, 0]))
    return torch.from_numpy(centres[a_major]).float()


def empirical_prior(
    histogram: AbHistogram, centres: Float[Tensor, "bins 2"], neighbours: int = 5, sigma: float = 5.0
) -> Float[Tensor, "bins"]:
    """The mean soft-encoded target of the histogram's pixels: the bin distribution, smoothed as targets are.

    Sums to 1. `neighbours` and `sigma` (ab units) as in `soft_encode`. Raises ValueError without pixels.
    """
    colours, counts = histogram.occupied()
    targets = soft_encode(colours.T[None, :, :, None], centres.cpu(), neighbours, sigma)
    mass = targets.weight[0, :, :, 0].double() * counts
    index = targets.index[0, :, :, 0]
    prior = torch.bincount(index.flatten(), weights=mass.flatten(), minlength=len(centres))
    return (prior / prior.sum()).float()
