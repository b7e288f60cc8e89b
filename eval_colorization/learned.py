"""The metrics that need somebody's trained weights or the images' classes: opened, or why not."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch

from eval_colorization.config import ReportConfig
from eval_colorization.metrics.perceptual import InceptionFeatures, Lpips
from eval_colorization.metrics.recognition import Classifier, open_classifier
from eval_colorization.results import NotComputed
from pretext.images.labels import Labels, labels_from_csv, labels_from_folders
from pretext.optional import NotAvailableError

Metric = TypeVar("Metric")


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What could be opened; None where a metric cannot be computed, `not_computed` says why."""

    lpips: Lpips | None
    inception: InceptionFeatures | None
    classifier: Classifier | None
    labels: Labels | None
    not_computed: tuple[NotComputed, ...]

    @property
    def names(self) -> list[str]:
        """The metrics that can be computed."""
        metrics = {"lpips": self.lpips, "fid": self.inception, "accuracy": self.classifier}
        return [name for name, metric in metrics.items() if metric is not None]


def open_learned(names: Sequence[str], config: ReportConfig, device: torch.device) -> Learned:
    """Open all that is there, for the images `names`.

    Raises:
        ValueError: a file that is named is not as it must be, or a classifier is named without labels.
    """
    not_computed = []

    def opened(metric: str, open_it: Callable[[], Metric]) -> Metric | None:
        try:
            return open_it()
        except NotAvailableError as error:
            not_computed.append(NotComputed(metric=metric, reason=error.reason, remedy=error.remedy))
            return None

    classes = opened("diagnosticity", lambda: _labels(config.labels, names))
    recogniser = opened("accuracy", lambda: _classifier(config, device))
    if classes is not None and recogniser is not None:
        classes.check_outputs(recogniser.num_classes)
    return Learned(
        lpips=opened("lpips", lambda: Lpips(device)),
        inception=opened("fid", lambda: InceptionFeatures(device)),
        labels=classes,
        classifier=recogniser,
        not_computed=tuple(not_computed),
    )


def _labels(labels: str | None, names: Sequence[str]) -> Labels:
    if labels is None:
        raise NotAvailableError(
            "the images' classes are not known", "set labels: folders, or to a CSV file of image,class"
        )
    return labels_from_folders(names) if labels == "folders" else labels_from_csv(Path(labels), names)


def _classifier(config: ReportConfig, device: torch.device) -> Classifier:
    if config.classifier is None:
        raise NotAvailableError(
            "no classifier is named",
            "set classifier: torchvision:vgg16 (the paper's) and labels; its weights are downloaded or set by "
            "classifier_weights",
        )
    if config.labels is None:
        raise ValueError(
            "a classifier recognises classes: set labels: folders, or to a CSV file of image,class"
        )
    weights = None if config.classifier_weights is None else Path(config.classifier_weights)
    return open_classifier(config.classifier, weights, device)
