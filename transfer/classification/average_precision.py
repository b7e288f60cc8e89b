"""Average precision as PASCAL VOC defines it: of 11 points until 2009, the area under the curve since 2010."""

from typing import Literal

import numpy as np
from jaxtyping import Float, Int8

Kind = Literal["area", "11_point"]


def average_precision(
    scores: Float[np.ndarray, " images"], labels: Int8[np.ndarray, " images"], kind: Kind
) -> float:
    """How well the scores put the positives before the negatives, in [0, 1]; NaN without a positive.

    Precision at a recall is the best one at that recall or a higher one. Images of equal score are taken together, so
    the order of the images does not matter.

    Args:
        labels: 1 positive, -1 negative, 0 left out.
        kind: `area` under precision over recall, or `11_point`, its mean at recalls 0, 0.1, ..., 1.
    """
    known = labels != 0
    order = np.argsort(-scores[known], kind="stable")
    scores, positive = scores[known][order], labels[known][order] == 1
    if not positive.any():
        return float("nan")
    last_of_equals = np.append(np.flatnonzero(np.diff(scores)), len(scores) - 1)
    hits = np.cumsum(positive)[last_of_equals]
    recall = hits / positive.sum()
    precision = np.maximum.accumulate((hits / (last_of_equals + 1))[::-1])[::-1]
    if kind == "area":
        return float(np.sum(np.diff(recall, prepend=0.0) * precision))
    # The first place at which a recall is reached; rounding must not put 0.3 above 3 / 10.
    places = np.searchsorted(recall, np.arange(11) / 10 - 1e-12)
    return float(precision[places].mean())


def mean_average_precision(
    scores: Float[np.ndarray, "images classes"], labels: Int8[np.ndarray, "images classes"], kind: Kind
) -> float:
    """The mean of the classes' average precisions, in [0, 1]; a class without a positive is left out."""
    return float(
        np.nanmean([average_precision(*column, kind) for column in zip(scores.T, labels.T, strict=True)])
    )
