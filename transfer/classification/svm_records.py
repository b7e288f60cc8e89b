"""The results of SVMs: as records, as a table, and what a reader of them must know."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int8

from transfer.backbone import OpenedBackbone
from transfer.classification.average_precision import Kind, average_precision
from transfer.classification.linear_svm import MAX_ITERATIONS, UNCHOSEN_COST, ClassSvm
from transfer.classification.protocols import resolve
from transfer.config import SvmConfig
from transfer.data.labelled import LabelledImages
from transfer.results import Record


def svm_records(
    config: SvmConfig,
    backbone: OpenedBackbone,
    stage: str,
    test: LabelledImages,
    metrics: Mapping[str, float],
    settings: Mapping[str, Any],
    details: Mapping[str, Any],
) -> list[Record]:
    """A record for each metric of the SVMs of one stage, trained on one set of images."""
    return [
        Record(
            task="low_shot_svm" if config.shots else "svm",
            data=test.name,
            protocol=resolve(config.features.protocol, config.data).described(config.data),
            backbone=backbone.name,
            weights=backbone.sha256,
            stage=stage,
            metric=metric,
            value=value,
            seed=config.seed,
            settings=settings,
            details=details,
        )
        for metric, value in metrics.items()
    ]


def details_by_class(
    classes: Sequence[str], svms: Sequence[ClassSvm], test_labels: Int8[np.ndarray, "images classes"]
) -> dict[str, Any]:
    """Class -> average precision in percent (null without a positive test image), cost and folds, and what failed."""

    def precisions(kind: Kind) -> dict[str, float | None]:
        values = [
            100 * average_precision(svm.scores, labels, kind)
            for svm, labels in zip(svms, test_labels.T, strict=True)
        ]
        return {name: None if np.isnan(value) else value for name, value in zip(classes, values, strict=True)}

    named = dict(zip(classes, svms, strict=True))
    return {
        "ap": precisions("area"),
        "ap_11_point": precisions("11_point"),
        "cost": {name: svm.cost for name, svm in named.items()},
        "folds": {name: svm.folds for name, svm in named.items()},
        "svms": sum(svm.num_fits for svm in svms),
        "not_converged": sum(svm.num_unconverged for svm in svms),
        "not_converged_classes": [name for name, svm in named.items() if not svm.converged],
    }


def notes(records: Sequence[Record]) -> list[str]:
    """Lines that say what went otherwise than a reader of one stage's table expects."""
    sets = [record for record in records if record.metric == "mAP"]
    stage, lines = sets[0].stage, []
    if unconverged := sum(record.details["not_converged"] for record in sets):
        svms = sum(record.details["svms"] for record in sets)
        last = _some(name for record in sets for name in record.details["not_converged_classes"])
        lines.append(
            f"{stage}: {unconverged} of {svms} SVMs stopped at {MAX_ITERATIONS} iterations without having converged"
            + (f", also the final ones of {last}" if last else ", all of them in cross-validation")
        )
    if few := _some(
        name + (f" ({record.settings['shots']} shot)" if record.settings else "")
        for record in sets
        for name, folds in record.details["folds"].items()
        if not folds and record.details["costs_tried"] > 1
    ):
        lines.append(
            f"{stage}: cost {UNCHOSEN_COST:g} without cross-validation, for which there are too few images, of {few}"
        )
    if left_out := _some(
        name for record in sets for name, value in record.details["ap"].items() if value is None
    ):
        lines.append(f"{stage}: without a positive test image and so not in the mAP: {left_out}")
    return lines


def results_table(records: Sequence[Record]) -> str:
    """Aligned lines: percent by metric of each stage and number of shots; mean and deviation over the samples."""
    metrics = list(dict.fromkeys(record.metric for record in records))
    low_shot = records[0].task == "low_shot_svm"
    values: dict[tuple[str, ...], dict[str, list[float]]] = {}
    for record in records:
        row = (record.stage, str(record.settings["shots"])) if low_shot else (record.stage,)
        values.setdefault(row, {}).setdefault(record.metric, []).append(record.value)
    rows = [("stage", *(["shots"] if low_shot else []), *metrics)]
    rows += [
        (*row, *(_mean_and_deviation(by_metric[m]) for m in metrics)) for row, by_metric in values.items()
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) for row in rows
    )


def _mean_and_deviation(values: Sequence[float]) -> str:
    """`52.31`, or of several samples `52.31 ± 0.42`, the deviation that of a sample."""
    deviation = f" ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else ""
    return f"{np.mean(values):.2f}{deviation}"


def _some(names: Iterable[str]) -> str:
    """The first five names, each once, and how many more there are."""
    distinct = list(dict.fromkeys(names))
    more = f" and {len(distinct) - 5} more" if len(distinct) > 5 else ""
    return ", ".join(distinct[:5]) + more
