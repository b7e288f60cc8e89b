"""From the collected numbers to the results that a report shows."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from eval_colorization.collect import Collected
from eval_colorization.comparison import Comparison
from eval_colorization.config import ReportConfig
from eval_colorization.distribution import network_result
from eval_colorization.lightness import SAME_PICTURE
from eval_colorization.measure import Measurer
from eval_colorization.methods import Network
from eval_colorization.metrics.auc import auc_curve
from eval_colorization.metrics.diagnosticity import ab_entropy, colour_diagnosticity, split_by_diagnosticity
from eval_colorization.metrics.frechet import frechet_distance
from eval_colorization.metrics.table import METRICS
from eval_colorization.results import (
    CONDITIONS,
    ClassResult,
    DiagnosticityResult,
    MethodResult,
    NetworkResult,
    NotComputed,
    Results,
    Summary,
)
from eval_colorization.summarise import Values, standings, summarise
from pretext.images.labels import Labels
from pretext.library_weights import NotAvailableError


def assemble(
    config: ReportConfig,
    comparison: Comparison,
    measurer: Measurer,
    collected: Collected,
    manifest: dict[str, Any],
) -> Results:
    """Everything that the report prints, plots and saves."""
    methods = collected.methods
    summaries = summarise(collected.values, methods, seed=config.seed, resamples=config.resamples)
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
        diagnosticity = _diagnosticity(config, labels, classes, collected)
    return Results(
        title=config.title or f"Colorization of {config.data}",
        protocol=protocol(config),
        subset=config.subset,
        methods=tuple(
            MethodResult(
                name=name,
                kind=method.kind,
                description=method.description,
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


def protocol(config: ReportConfig) -> str:
    """Which images, how they were cut and what was measured, for people."""
    subset = "" if config.subset == "all" else f" ({config.subset})"
    squares = "whole images squeezed into squares" if config.protocol == "resize" else "central squares"
    return (
        f"{config.data}{subset}, {squares} of {config.image_size} x {config.image_size} pixels, "
        "measured as 8-bit sRGB"
    )


def _other_lightness(collected: Collected) -> tuple[tuple[str, str], ...]:
    if (correlations := collected.values.get("lightness_correlation")) is None:
        return ()
    places = np.argwhere(correlations.T < SAME_PICTURE)
    return tuple((collected.images[image], collected.methods[method]) for image, method in places)


def _add_fid(summaries: dict[str, dict[str, Summary]], collected: Collected) -> list[NotComputed]:
    """Adds each method's FID to its summaries, or answers why there is none."""
    if not collected.features:
        return []
    truth = collected.features[collected.methods.index("truth")]
    try:
        values = np.array([frechet_distance(features, truth) for features in collected.features])
    except NotAvailableError as error:
        return [NotComputed(metric="fid", methods=(), reason=error.reason, remedy=error.remedy)]
    standing = standings(collected.methods, values, None, METRICS["fid"].better)
    for method, value in zip(collected.methods, values, strict=True):
        summaries[method]["fid"] = Summary(
            value=float(value), low=None, high=None, images=truth.count, standing=standing.get(method)
        )
    return []


def _undefined(summaries: dict[str, dict[str, Summary]]) -> list[NotComputed]:
    """What has no meaning for a method, or for a set of one image."""
    found = [
        NotComputed(
            metric="cross_entropy",
            methods=tuple(name for name, metrics in summaries.items() if "cross_entropy" not in metrics),
            reason="they answer with colours, not with a distribution over bins",
            remedy="compare a run with a classification objective",
        )
    ]
    if "random" not in summaries:
        found.append(
            NotComputed(
                metric="random colours",
                methods=("random",),
                reason="there is no other image whose colours it could take",
                remedy="compare on two images or more",
            )
        )
    return found


def _networks(measurer: Measurer, collected: Collected) -> tuple[NetworkResult, ...]:
    results = []
    for number, network in enumerate(measurer.networks):
        prefix = f"network/{number}/"
        sums = {
            name.removeprefix(prefix): sum for name, sum in collected.sums.items() if name.startswith(prefix)
        }
        methods = [
            name
            for name, method in measurer.methods.items()
            if isinstance(method, Network) and method.trained is network
        ]
        results.append(network_result(network.pretrained.origin, methods, sums))
    return tuple(results)


def _diagnosticity(
    config: ReportConfig, labels: Labels, classes: np.ndarray, collected: Collected
) -> DiagnosticityResult:
    """Of each class, and every metric in the classes of high and of low diagnosticity."""
    entropy = {
        int(index): ab_entropy(collected.bin_counts[classes == index].sum(axis=0))
        for index in np.unique(classes)
    }
    recognised, conditions = None, None
    if "accuracy" in collected.values:
        accuracy = dict(zip(collected.methods, collected.values["accuracy"], strict=True))
        incongruent = collected.values["accuracy_incongruent"][0]
        conditions = np.stack([accuracy["truth"], accuracy["grey"], incongruent])
        recognised = colour_diagnosticity(
            accuracy["truth"] > 0, accuracy["grey"] > 0, incongruent > 0, classes
        )
    ordered = (
        {index: -bits for index, bits in entropy.items()}
        if recognised is None
        else {index: of_class.diagnosticity for index, of_class in recognised.items()}
    )
    high, low = split_by_diagnosticity(ordered)
    chosen = {half: np.isin(classes, indices) for half, indices in (("high", high), ("low", low)) if high}

    def in_half(half: str, values: Values, methods: Sequence[str]) -> dict[str, dict[str, Summary]]:
        return summarise(values, methods, seed=config.seed, resamples=config.resamples, chosen=chosen[half])

    return DiagnosticityResult(
        ordered_by="ab entropy" if recognised is None else "accuracy difference",
        classes=tuple(
            ClassResult(
                name=labels.class_names[index],
                images=int((classes == index).sum()),
                accuracy_truth=None if recognised is None else recognised[index].accuracy_truth,
                accuracy_grey=None if recognised is None else recognised[index].accuracy_grey,
                accuracy_incongruent=None if recognised is None else recognised[index].accuracy_incongruent,
                diagnosticity=None if recognised is None else recognised[index].diagnosticity,
                ab_entropy=bits,
                half="high" if index in high else "low",
            )
            for index, bits in entropy.items()
        ),
        halves={half: in_half(half, collected.values, collected.methods) for half in chosen},
        recognised={}
        if conditions is None
        else {
            half: {
                condition: summaries["accuracy"]
                for condition, summaries in in_half(half, {"accuracy": conditions}, CONDITIONS).items()
            }
            for half in chosen
        },
    )
