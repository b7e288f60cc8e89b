"""How much the colour of a class of objects tells about it (Tanaka and Presnell 1999, as a measure on images).

Bananas are recognised faster in their right colour, lamps are not: banana is a class of high colour diagnosticity.
Where a classifier is at hand its accuracy with and without colour says so; otherwise the entropy of the class's
colours does, low entropy for high diagnosticity.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int


@dataclass(frozen=True)
class ClassRecognition:
    """How many images of a class there are and what share of them is recognised, in [0, 1]."""

    images: int
    accuracy_truth: float
    accuracy_grey: float

    @property
    def diagnosticity(self) -> float:
        """What colour adds to the accuracy, in [-1, 1]."""
        return self.accuracy_truth - self.accuracy_grey


def colour_diagnosticity(
    correct_truth: Bool[np.ndarray, "images"],
    correct_grey: Bool[np.ndarray, "images"],
    labels: Int[np.ndarray, "images"],
) -> dict[int, ClassRecognition]:
    """By class, in ascending order: recognition of its images in their true colours and in grey."""
    return {
        int(label): ClassRecognition(
            images=int(of_class.sum()),
            accuracy_truth=float(correct_truth[of_class].mean()),
            accuracy_grey=float(correct_grey[of_class].mean()),
        )
        for label in np.unique(labels)
        for of_class in [labels == label]
    }


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
