"""What all tests of classification share: the loss, the measured numbers, and tests repeated during a training."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain
from typing import Literal, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int8, Int64, Shaped
from torch import Tensor

from pretext.broken_files import BrokenFiles
from pretext.images.loader import Batch, Cut, batches_in_order
from pretext.runtime.distributed import World
from pretext.runtime.progress import Progress
from pretext.spelling import unknown_name
from transfer.data.crops import central_crop, ten_crops
from transfer.data.labelled import LabelledImages

Kind = Literal["area", "11_point"]


@dataclass(frozen=True, kw_only=True)
class ClassificationProtocol(ABC):
    """What the published recipes of classification have in common: SGD on crops.

    Attributes:
        source: whose recipe it is.
        differs: from the source, or where the source's own words and code differ.
        image_size: pixels of an image's short side, before a square of `crop_size` is cut out.
        ten_crop: a test image is scored by the mean over ten crops; else the central one decides.
        batch_size: images of one step, over all processes.
    """

    name: str
    source: str
    differs: str = ""
    image_size: int = 256
    crop_size: int
    ten_crop: bool = False
    lr: float
    momentum: float = 0.9
    weight_decay: float
    batch_size: int

    @abstractmethod
    def recipe(self) -> str:
        """Training and inputs in one line."""

    def test_cut(self) -> Cut:
        """What is cut out of a test image."""
        cut = ten_crops if self.ten_crop else central_crop
        return partial(cut, image_size=self.image_size, crop_size=self.crop_size)

    def has_sizes_of(self, other: "ClassificationProtocol") -> bool:
        """Whether both resize and cut in the same way."""
        return (self.image_size, self.crop_size) == (other.image_size, other.crop_size)


AnyProtocol = TypeVar("AnyProtocol", bound=ClassificationProtocol)


def resolve_protocol(
    protocols: Mapping[str, AnyProtocol], name: str, **overrides: int | float | None
) -> AnyProtocol:
    """The protocol of this name, with the user's values in place of its own; None keeps its own.

    Raises:
        ValueError: there is no such protocol, or the crop does not fit into the image.
    """
    if name not in protocols:
        raise ValueError(unknown_name("protocol", name, protocols))
    protocol = replace(protocols[name], **{k: value for k, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    if not 0 < protocol.crop_size <= protocol.image_size:
        raise ValueError(
            f"data.crop_size {protocol.crop_size} must be at least 1 and at most data.image_size, "
            f"{protocol.image_size}; set both"
        )
    return protocol


def classification_losses(
    logits: Float[Tensor, "batch classes"], labels: Shaped[Tensor, "batch *classes"]
) -> Float[Tensor, " batch"]:
    """Each image's loss: cross-entropy; of multi-label images the sum over classes of binary cross-entropies.

    Args:
        labels: class indices; or for each class 1 positive, -1 negative, 0 of no consequence; or, as floats, its share.
    """
    if labels.ndim == 1 or labels.is_floating_point():
        return F.cross_entropy(logits, labels, reduction="none")
    losses = F.binary_cross_entropy_with_logits(logits, (labels == 1).to(logits.dtype), reduction="none")
    return (losses * (labels != 0)).sum(1)


def mean_over_crops(
    logits: Float[Tensor, "crops *heads classes"], num_images: int, *, multi_label: bool
) -> Float[Tensor, "images *heads classes"]:
    """Each image's scores, of its crops, which lie together: the mean of probabilities, or of logits if multi-label."""
    scores = logits if multi_label else logits.softmax(-1)
    return scores.unflatten(0, (num_images, -1)).mean(1)


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


def confusion_matrix(
    labels: Int64[np.ndarray, " images"], predicted: Int64[np.ndarray, " images"], num_classes: int
) -> Int64[np.ndarray, "classes classes"]:
    """How many images of each class (rows) were taken for each class (columns)."""
    places = num_classes * labels + predicted
    return np.bincount(places, minlength=num_classes**2).reshape(num_classes, num_classes)


def class_accuracies(
    confusion: Int64[np.ndarray, "classes classes"], classes: Sequence[str]
) -> dict[str, float | None]:
    """Class -> percent of its images that were recognised; None of a class without an image."""
    return {
        name: float(100 * row[place] / row.sum()) if row.any() else None
        for place, (name, row) in enumerate(zip(classes, confusion, strict=True))
    }


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


@torch.no_grad()
def answers_to_all(
    images: LabelledImages,
    answer: Callable[[Batch], Tensor],
    cut: Cut,
    *,
    short_side: int,
    batch_size: int,
    num_workers: int,
    world: World,
    broken: BrokenFiles,
    progress: Progress,
) -> tuple[Shaped[np.ndarray, "images *answers"], Bool[np.ndarray, " images"]]:
    """The answers to all images, in order, and which could be read; every process gets them all.

    Args:
        answer: of this process's share of a batch, one row for each image.
        batch_size: images of one batch, over all processes.
        broken: to which the unreadable images are added.

    Raises:
        RunFailedError: too many images are unreadable.
    """
    batches = batches_in_order(
        images.source,
        cut,
        short_side=short_side,
        batch_size=max(1, batch_size // world.size),
        rank=world.rank,
        world_size=world.size,
        num_workers=num_workers,
    )
    answered, errors = [], []
    for batch in batches:
        answered.append((batch.indices, answer(batch).cpu().numpy(), ~batch.broken))
        errors += batch.errors
    gathered = world.gather((answered, errors))
    for line in broken.add(chain.from_iterable(errors for _, errors in gathered)):
        progress.say(line)
    broken.check(len(images.source))
    rows = zip(*chain.from_iterable(answered for answered, _ in gathered), strict=True)
    indices, answers, readable = map(np.concatenate, rows)
    order = np.argsort(indices)
    return answers[order], readable[order]
