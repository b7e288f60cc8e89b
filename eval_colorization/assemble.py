"""From the parts of all batches to the results that a report shows."""

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from eval_colorization.comparison import Comparison
from eval_colorization.config import ReportConfig
from eval_colorization.distribution import network_result
from eval_colorization.measure import Measurer
from eval_colorization.metrics.auc import auc_curve
from eval_colorization.metrics.diagnosticity import ab_entropy, class_accuracies, split_by_diagnosticity
from eval_colorization.metrics.frechet import GaussianStatistics, frechet_distance
from eval_colorization.parts import Part
from eval_colorization.results import (
    CONDITIONS,
    ClassResult,
    DiagnosticityResult,
    MethodResult,
    NetworkResult,
    NotComputed,
    Results,
    Summaries,
    Summary,
)
from eval_colorization.squares import SAME_PICTURE
from eval_colorization.summarise import standings, summarise
from pretext.images.labels import Labels
from pretext.optional import NotAvailableError

OF_THE_TRUTH = ("rebalancing_weight", "accuracy_incongruent")  # values that all methods share
PER_IMAGE = ("positions", "grey_truth", "sha256", "bins", *OF_THE_TRUTH)
VALUE = "value/"
NOT_SUMMED = ("left_out_positions", "left_out_reasons", "features")


@dataclass(frozen=True, kw_only=True)
class Collected:
    """The parts of all batches put together, images in order.

    Attributes:
        images: names of the images that were measured, and their `positions` in the set.
        values: column -> (methods, images).
        sums: name -> sum over all batches; one row per method where it is about methods.
        sha256: (methods, images), of the colorized pixels.
        features: statistics of each method's Inception features; empty where FID cannot be computed.
        left_out: (image, reason).
    """

    methods: tuple[str, ...]
    images: tuple[str, ...]
    positions: Int[np.ndarray, " images"]
    grey_truths: Bool[np.ndarray, " images"]
    values: dict[str, Float[np.ndarray, "methods images"]]
    sums: dict[str, np.ndarray]
    sha256: np.ndarray
    bin_counts: Int[np.ndarray, "images bins"]
    features: list[GaussianStatistics]
    left_out: list[tuple[str, str]]

    @property
    def resized(self) -> dict[str, int]:
        """How many images of each folder had to be resized."""
        return dict(zip(self.methods, self.sums["resized"].tolist(), strict=True))

    def sha256_of(self, method: str) -> str:
        """One hash of all its images."""
        return hashlib.sha256("".join(self.sha256[self.methods.index(method)]).encode()).hexdigest()


def collect(parts: Iterable[Part], comparison: Comparison) -> Collected:
    """Put the parts of all batches, in order, together; memory grows with the numbers kept, not with the pixels.

    Raises:
        ValueError: no image could be read.
    """
    names = comparison.images.names
    per_image: dict[str, list[np.ndarray]] = {}
    sums: dict[str, np.ndarray] = {}
    features: list[GaussianStatistics] = []
    left_out = []
    for part in parts:
        left_out += [
            (names[position], str(reason))
            for position, reason in zip(part["left_out_positions"], part["left_out_reasons"], strict=True)
        ]
        if "features" in part:
            features = features or [GaussianStatistics.empty() for _ in comparison.methods]
            for statistics, batch in zip(features, part["features"], strict=True):
                statistics.add(torch.from_numpy(batch))
        for name, array in part.items():
            if name in PER_IMAGE or name.startswith(VALUE):
                per_image.setdefault(name, []).append(array)
            elif name not in NOT_SUMMED:
                sums[name] = (
                    sums[name] + array if name in sums else array.astype(np.result_type(array, np.int64))
                )
    if not per_image:
        raise ValueError(f"no image could be read: {'; '.join(f'{n} ({r})' for n, r in left_out[:5])}")
    joined = {name: np.concatenate(arrays, axis=-1) for name, arrays in per_image.items() if name != "bins"}
    positions = joined["positions"]
    values = {name.removeprefix(VALUE): a for name, a in joined.items() if name.startswith(VALUE)}
    values |= {
        name: np.broadcast_to(joined[name], (len(comparison.methods), len(positions)))
        for name in OF_THE_TRUTH
        if name in joined
    }
    return Collected(
        methods=tuple(comparison.methods),
        images=tuple(names[position] for position in positions),
        positions=positions,
        grey_truths=joined["grey_truth"],
        values=values,
        sums=sums,
        sha256=joined["sha256"],
        bin_counts=np.concatenate(per_image["bins"]),
        features=features,
        left_out=left_out,
    )


def assemble(
    config: ReportConfig,
    comparison: Comparison,
    measurer: Measurer,
    collected: Collected,
    manifest: dict[str, Any],
) -> Results:
    """Everything that the report prints, plots and saves, but for the gallery."""
    methods, metrics = collected.methods, measurer.metrics
    summarise_metrics = partial(summarise, metrics=metrics, seed=config.seed, resamples=config.resamples)
    summaries = summarise_metrics(collected.values, methods)
    not_computed = [*measurer.learned.not_computed, *_add_fid(summaries, collected)]
    not_computed += _undefined(summaries)
    curves, rebalanced_curves = (
        auc_curve(torch.from_numpy(collected.sums[name])).numpy()
        for name in ("auc_counts", "auc_weighted_counts")
    )
    class_names, diagnosticity = None, None
    if measurer.learned.labels is not None:
        labels = measurer.learned.labels
        classes = np.array(labels.indices)[collected.positions]
        class_names = tuple(labels.class_names[index] for index in classes)
        diagnosticity = _diagnosticity(labels, classes, collected, summarise_metrics)
    return Results(
        title=config.title or f"Colorization of {config.data}",
        protocol=_describe_squares(config),
        subset=config.subset,
        metrics=metrics,
        methods=tuple(
            MethodResult(
                name=name,
                kind=method.kind,
                description=method.description,
                weights=method.network.weights if method.network else None,
                summaries=summaries[name],
                auc_curve=curves[place],
                auc_rebalanced_curve=rebalanced_curves[place],
                ab_histogram=collected.sums["ab_histogram"][place],
            )
            for place, (name, method) in enumerate(comparison.methods.items())
        ),
        images=collected.images,
        labels=class_names,
        grey_truths=collected.grey_truths,
        values=collected.values,
        sha256=collected.sha256,
        networks=_networks(measurer, collected),
        diagnosticity=diagnosticity,
        not_computed=tuple(not_computed),
        left_out=(*comparison.lacking, *collected.left_out),
        other_lightness=_other_lightness(collected),
        manifest=manifest,
    )


def _describe_squares(config: ReportConfig) -> str:
    """Which images, how they were cut and what was measured, for people."""
    part = "" if config.subset == "all" else f" ({config.subset})"
    squares = "whole images squeezed into squares" if config.protocol == "resize" else "central squares"
    size = f"{config.image_size} x {config.image_size}"
    return f"{config.data}{part}, {squares} of {size} pixels, measured as 8-bit sRGB"


def _other_lightness(collected: Collected) -> tuple[tuple[str, str], ...]:
    if (correlations := collected.values.get("lightness_correlation")) is None:
        return ()
    places = np.argwhere(correlations.T < SAME_PICTURE)
    return tuple((collected.images[image], collected.methods[method]) for image, method in places)


def _add_fid(summaries: dict[str, dict[str, Summary]], collected: Collected) -> list[NotComputed]:
    """Add each method's FID to its summaries, or return why there is none."""
    if not collected.features:
        return []
    truth = collected.features[collected.methods.index("truth")]
    try:
        values = np.array([frechet_distance(features, truth) for features in collected.features])
    except NotAvailableError as error:
        return [NotComputed(metric="fid", reason=error.reason, remedy=error.remedy)]
    standing = standings(collected.methods, values, None, "lower")
    for method, value in zip(collected.methods, values, strict=True):
        summaries[method]["fid"] = Summary(
            value=float(value), images=truth.count, standing=standing.get(method)
        )
    return []


def _undefined(summaries: dict[str, dict[str, Summary]]) -> list[NotComputed]:
    """What has no meaning for a method, or for a set of one image."""
    not_computed = [
        NotComputed(
            metric="cross_entropy",
            methods=tuple(name for name, metrics in summaries.items() if "cross_entropy" not in metrics),
            reason="they answer with colours, not with a distribution over bins",
            remedy="compare a network that classifies ab into bins (task: colorization)",
        )
    ]
    if "random" not in summaries:
        not_computed.append(
            NotComputed(
                metric="random colours",
                methods=("random",),
                reason="there is no other image whose colours it could take",
                remedy="compare on two images or more",
            )
        )
    return not_computed


def _networks(measurer: Measurer, collected: Collected) -> tuple[NetworkResult, ...]:
    results = []
    for number, network in enumerate(measurer.networks):
        prefix = f"network/{number}/"
        sums = {
            name.removeprefix(prefix): total
            for name, total in collected.sums.items()
            if name.startswith(prefix)
        }
        methods = [name for name, method in measurer.methods.items() if method.network is network]
        results.append(network_result(network.origin or network.name, methods, sums))
    return tuple(results)


def _diagnosticity(
    labels: Labels, classes: np.ndarray, collected: Collected, summarise: Callable[..., Summaries]
) -> DiagnosticityResult:
    """The diagnosticity of each class, and every metric in the classes of high and of low diagnosticity.

    Args:
        classes: of the images.
        summarise: the function of this name, of values, methods and the `chosen` images.
    """
    entropy = {
        int(index): ab_entropy(collected.bin_counts[classes == index].sum(axis=0))
        for index in np.unique(classes)
    }
    accuracies: dict[int, list[float]] = {}
    conditions = None
    if "accuracy" in collected.values:
        accuracy = dict(zip(collected.methods, collected.values["accuracy"], strict=True))
        incongruent = collected.values["accuracy_incongruent"][0]
        conditions = np.stack([accuracy["truth"], accuracy["grey"], incongruent])
        accuracies = class_accuracies(conditions > 0, classes)
    diagnosticity = {index: truth - grey for index, (truth, grey, _) in accuracies.items()}
    high, low = split_by_diagnosticity(diagnosticity or {index: -bits for index, bits in entropy.items()})
    chosen = {name: np.isin(classes, indices) for name, indices in (("high", high), ("low", low)) if high}

    def result(index: int) -> ClassResult:
        truth, grey, incongruent = accuracies.get(index, (None, None, None))
        return ClassResult(
            name=labels.class_names[index],
            images=int((classes == index).sum()),
            accuracy_truth=truth,
            accuracy_grey=grey,
            accuracy_incongruent=incongruent,
            diagnosticity=diagnosticity.get(index),
            ab_entropy=entropy[index],
            half="high" if index in high else "low",
        )

    def recognised(half: np.ndarray) -> dict[str, Summary]:
        summaries = summarise({"accuracy": conditions}, CONDITIONS, chosen=half)
        return {condition: metrics["accuracy"] for condition, metrics in summaries.items()}

    return DiagnosticityResult(
        ordered_by="accuracy difference" if accuracies else "ab entropy",
        classes=tuple(result(index) for index in entropy),
        halves={
            name: summarise(collected.values, collected.methods, chosen=half) for name, half in chosen.items()
        },
        recognised={name: recognised(half) for name, half in chosen.items()} if accuracies else {},
    )
