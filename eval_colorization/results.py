"""What an evaluation found: everything that a report prints, plots and saves."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from eval_colorization.config import Subset
from eval_colorization.metrics.metric import Metric

Kind = Literal["network", "folder", "function", "grey", "random", "truth"]
CONTROLS = ("grey", "random", "truth")
CONDITIONS = ("truth", "grey", "incongruent")  # colours in which the true images are recognised

Standing = Literal["best", "level", "behind"]
Summaries = Mapping[str, Mapping[str, "Summary"]]  # method -> metric -> summary


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A metric over a set of images, with its bootstrap 95 % interval (None: the metric has none).

    Attributes:
        value: may be infinite.
        images: how many images it rests on.
        standing: among the methods but the truth, of which it is None. `level`: not the best, but the 95 % interval
            of the difference to the best, both on the same resamples of the images, holds 0.
    """

    value: float
    low: float | None = None
    high: float | None = None
    images: int
    standing: Standing | None = None


@dataclass(frozen=True, kw_only=True)
class MethodResult:
    """One method over the whole set.

    Attributes:
        name: as the user named it; grey, random and truth for the controls.
        description: one line: where its images come from.
        weights: SHA-256 of its network's weights, by which records of the same network are joined; None without one.
        summaries: by metric, of those that could be computed for it.
        auc_curve: share of pixels with an ab error of at most t, for t = 0..150.
        auc_rebalanced_curve: the same with rebalanced pixels.
        ab_histogram: pixel counts over cells of 1 x 1 ab unit, a-major (`pretext.color.bins.AbHistogram`).
    """

    name: str
    kind: Kind
    description: str
    weights: str | None
    summaries: dict[str, Summary]
    auc_curve: Float[np.ndarray, "thresholds"]
    auc_rebalanced_curve: Float[np.ndarray, "thresholds"]
    ab_histogram: Int[np.ndarray, "256 256"]


@dataclass(frozen=True, kw_only=True)
class SweepPoint:
    """A network decoded by the annealed mean at one temperature, measured at its output grid.

    `mean_chroma` (ab units) says how vivid the answer is, the others how right.
    """

    temperature: float
    mean_chroma: float
    ab_rmse: float
    auc: float
    auc_rebalanced: float


@dataclass(frozen=True, kw_only=True)
class NetworkResult:
    """What a network's distribution over the bins is worth, before any decoding.

    Attributes:
        name: of the weights.
        methods: the methods of the report that decode it.
        truth_mean_chroma: of the true colours at the output grid.
        sweep: by ascending temperature.
        confidence, accuracy, count: reliability at temperature 1: positions by the probability of their likeliest
            bin, in equal cells of [0, 1]: its mean, the share of positions whose nearest bin it is, and their number.
        calibration_error: expected calibration error, in [0, 1].
    """

    name: str
    methods: tuple[str, ...]
    truth_mean_chroma: float
    sweep: tuple[SweepPoint, ...]
    confidence: Float[np.ndarray, "cells"]
    accuracy: Float[np.ndarray, "cells"]
    count: Int[np.ndarray, "cells"]
    calibration_error: float


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    """One class of the labelled images.

    `accuracy_truth`, `accuracy_grey`, `accuracy_incongruent` and `diagnosticity` (the first minus the second, in
    [-1, 1]) are None without a classifier.
    `ab_entropy` is that of its pixels' colours, in bits. `half` says on which side of the median it falls.
    """

    name: str
    images: int
    accuracy_truth: float | None
    accuracy_grey: float | None
    accuracy_incongruent: float | None
    diagnosticity: float | None
    ab_entropy: float
    half: Literal["high", "low"]


@dataclass(frozen=True, kw_only=True)
class DiagnosticityResult:
    """Colour diagnosticity of the classes, and every metric of every method in either half of them.

    Attributes:
        ordered_by: what the halves are made from.
        halves: half -> method -> metric -> Summary. Empty where all classes are equally diagnostic: then none is in the
            high half.
        recognised: half -> condition of the true images (truth, grey, incongruent) -> how many are recognised, in
            percent. Empty without a classifier too.
    """

    ordered_by: Literal["accuracy difference", "ab entropy"]
    classes: tuple[ClassResult, ...]
    halves: dict[str, Summaries]
    recognised: dict[str, dict[str, Summary]]


@dataclass(frozen=True, kw_only=True)
class NotComputed:
    """A metric that is missing from the report, for which methods (all where empty), why, and the way to get it."""

    metric: str
    methods: tuple[str, ...] = ()
    reason: str
    remedy: str


@dataclass(frozen=True, kw_only=True)
class GalleryImage:
    """The pictures of one image to look at: RGB, 8 bits, by method; `index` is its place in `Results.images`."""

    index: int
    pictures: dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Results:
    """One evaluation.

    Attributes:
        title: of the report.
        protocol: which images these are and how they were cut, as one sentence's end: "... compared on" it.
        subset: of ImageNet's validation images, as configured.
        metrics: all that a report knows by name, computed or not: the built-in ones, then the user's own.
        methods: the user's first, then grey, random and truth.
        images: their names, in order.
        labels: the images' classes, where known.
        grey_truths: images whose truth is grey.
        values: column of per_image.csv -> (methods, images); NaN where not computed.
        sha256: (methods, images), of each colorized image's pixels.
        networks: of the methods that decode a distribution.
        left_out: (image, reason) of those that no number is made of.
        other_lightness: (image, method) of colorized images without the truth's lightness; they are in all numbers.
        manifest: how to make the same numbers again: configuration, versions, hashes, command.
        gallery: the images to look at, in the order shown at first.
    """

    title: str
    protocol: str
    subset: Subset
    metrics: Mapping[str, Metric]
    methods: tuple[MethodResult, ...]
    images: tuple[str, ...]
    labels: tuple[str, ...] | None
    grey_truths: Bool[np.ndarray, "images"]
    values: dict[str, Float[np.ndarray, "methods images"]]
    sha256: np.ndarray
    networks: tuple[NetworkResult, ...]
    diagnosticity: DiagnosticityResult | None
    not_computed: tuple[NotComputed, ...]
    left_out: tuple[tuple[str, str], ...]
    other_lightness: tuple[tuple[str, str], ...]
    manifest: dict[str, Any]
    gallery: tuple[GalleryImage, ...] = ()

    @property
    def summaries(self) -> dict[str, dict[str, Summary]]:
        """method -> metric -> summary, of the whole set."""
        return {method.name: method.summaries for method in self.methods}

    @property
    def computed_metrics(self) -> list[str]:
        """The metrics that at least one method has, in the order of `metrics`."""
        return [key for key in self.metrics if any(key in method.summaries for method in self.methods)]

    @property
    def per_image_metrics(self) -> dict[str, str]:
        """metric -> its column of `values`, in the order of `metrics`; of those that share a column the first."""
        metrics: dict[str, str] = {}
        for key, metric in self.metrics.items():
            column = metric.column or key
            if column in self.values and column not in metrics.values():
                metrics[key] = column
        return metrics
