"""From scores to the numbers of a result record, in percent."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped
from torch import Tensor

from transfer.classification.average_precision import mean_average_precision


def class_ranks(
    scores: Float[Tensor, "images *heads classes"], labels: Int64[Tensor, " images"]
) -> Int64[Tensor, "images *heads"]:
    """The place of each image's class among all classes by their scores, from 1, for one or more classifiers.

    Equal scores count as higher, and so do those that are not numbers: scores that say nothing earn nothing.
    """
    places = labels.view(-1, *[1] * (scores.ndim - 1)).expand(*scores.shape[:-1], 1)
    return (~(scores < scores.gather(-1, places))).sum(-1)


def rank_metrics(ranks: Int64[np.ndarray, " images"], num_classes: int) -> dict[str, float]:
    """top1, and top5 where there are more than five classes, in percent, from `class_ranks`."""
    return {f"top{k}": float(100 * (ranks <= k).mean()) for k in (1, 5) if k == 1 or num_classes > 5}


def top_k_accuracy(
    scores: Float[np.ndarray, "images classes"], labels: Shaped[np.ndarray, " images"], k: int
) -> float:
    """Share of the images whose class has one of the `k` highest scores, in percent; see `class_ranks`."""
    return float(100 * (class_ranks(torch.from_numpy(scores), torch.from_numpy(labels)) <= k).double().mean())


def measure(
    scores: Float[np.ndarray, "images classes"],
    labels: Shaped[np.ndarray, "images *classes"],
    kept: Bool[np.ndarray, " images"],
) -> dict[str, float]:
    """Metric -> percent, of the images that are `kept`.

    Class indices give top1, and top5 where there are more than five classes; labels of 1, -1 and 0 for each class give
    mAP (area under the curve) and mAP_11_point.
    """
    scores, labels = scores[kept], labels[kept]
    if labels.ndim == 2:
        return {
            "mAP": 100 * mean_average_precision(scores, labels, "area"),
            "mAP_11_point": 100 * mean_average_precision(scores, labels, "11_point"),
        }
    ranks = class_ranks(torch.from_numpy(scores), torch.from_numpy(labels))
    return rank_metrics(ranks.numpy(), scores.shape[1])
