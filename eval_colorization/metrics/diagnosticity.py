"""How much the colour of a class of objects tells about it (after Tanaka and Presnell 1999, as a measure on images).

Bananas are recognised faster in their right colour than in grey or in a wrong one, lamps are not: banana is a class of
high colour diagnosticity. Where a classifier is at hand its accuracy with and without colour says so; otherwise the
entropy of the class's colours does, low entropy for high diagnosticity.

What differs from the paper:

- It measures people's response times, this the share of images that a classifier recognises.
- It has people say which objects are of high diagnosticity, by listing features and by typical colours, apart from
  recognition. Here the same accuracies that are then compared split the classes: that colour helps the high half more
  is so by construction, what a wrong colour does to either half is not. Entropy does not depend on the classifier.
- Its wrong ("incongruent") colours were chosen for each object. Here every hue is turned by 180 degrees.
- Its third test, with degraded shapes, has no counterpart.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from pretext.color.lab import fit_chroma_to_gamut


def incongruent_colours(lab: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
    """The images in the opposite colours: ab becomes -ab, every hue turned by 180 degrees.

    Lightness is kept, and chroma too where sRGB has the colour; elsewhere it is the largest that sRGB has of this hue.
    """
    return fit_chroma_to_gamut(torch.cat([lab[:, :1], -lab[:, 1:]], dim=1))


def class_accuracies(
    correct: Bool[np.ndarray, "conditions images"], labels: Int[np.ndarray, "images"]
) -> dict[int, list[float]]:
    """By class, in ascending order: the share of its images that is recognised in each condition, in [0, 1].

    The share in true colours minus that in grey is the class's colour diagnosticity, in [-1, 1].
    """
    return {int(label): correct[:, labels == label].mean(axis=1).tolist() for label in np.unique(labels)}


def ab_entropy(counts: Int[np.ndarray, "bins"]) -> float:
    """Entropy in bits of a class's colours from their counts over ab bins; no pixels have entropy 0.

    From 0 (one bin) to log2(bins): over the 313 published bins, of which 8-bit colours fill 261, to 8.03. It knows
    colours only: a class that is always grey, like zebras, counts as highly diagnostic.
    """
    share = counts[counts > 0] / counts.sum()
    return float((share * np.log2(1 / share)).sum())


def split_by_diagnosticity(diagnosticity: Mapping[int, float]) -> tuple[list[int], list[int]]:
    """The classes above the median and the others, each in ascending order.

    A class at the median is among the others, so equal classes are never parted; if all are equal none is high.
    Without a classifier give the negative entropies.
    """
    median = float(np.median(list(diagnosticity.values())))
    high = sorted(label for label, value in diagnosticity.items() if value > median)
    return high, sorted(diagnosticity.keys() - set(high))
