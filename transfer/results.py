"""Result records: one JSON line per measured number. The results table is made from them alone."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from pretext.runtime.aligned import aligned
from pretext.runtime.versions import package_version
from pretext.runtime.whole_file import write_whole

FILE = "results.jsonl"
ChosenOn = Literal["validation", "test"]
"""Images on which something was chosen: those of the test make a number optimistic."""


def package_versions() -> dict[str, str]:
    """Versions of the packages that compute every result."""
    return {
        name: package_version(name)
        for name in ("colorization-benchmark", "torch", "torchvision", "scikit-learn")
    }


@dataclass(frozen=True, kw_only=True)
class Record:
    """One measured number and all that is needed to know what it means.

    Attributes:
        task: linear, knn, svm, low_shot_svm, finetune, detect, segment, geometry.
        data: name of the data set.
        protocol: what was done, such as `zhang16`, or `zhang16, 112 px of 128` where the user changed its crop.
        backbone: its name in the table.
        weights: SHA-256 of the weights that were tested.
        stage: layer1, conv5, ...; of what trains the backbone, the first stage that was trained.
        metric: top1, top5, mAP, mAP_11_point, AP50, mask_AP, mIoU, ..., all in percent; effective_rank, a number.
        value: the number.
        chosen_on: the images on which what the test left open was chosen; None: nothing was, the protocol fixes it.
        seed: of the run.
        settings: what else distinguishes it from its neighbours: {"lr": 0.01}, {"k": 20}, {"shots": 4, "sample": 2}.
        details: what the table does not group by: epoch, counts of images, cost by class, ...
        versions: of the packages that computed it.
    """

    task: str
    data: str
    protocol: str
    backbone: str
    weights: str
    stage: str
    metric: str
    value: float
    seed: int
    chosen_on: ChosenOn | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=package_versions)


def write_records(folder: Path, records: Iterable[Record]) -> Path:
    """Write all records of a command into its folder, replacing those of an earlier call; the file's path."""
    path = folder / FILE
    write_whole(path, "".join(json.dumps(asdict(record)) + "\n" for record in records))
    return path


def make_records(
    measured: Mapping[str, Any],
    details: dict[str, Any],
    of_first: Mapping[str, Any] = MappingProxyType({}),
    **common: Any,
) -> list[Record]:
    """A record for each metric.

    Args:
        measured: the metrics, which are its floats, and what the details say of their test, such as its step.
        details: what else they say.
        of_first: what the first record's details say beside that.
        common: what the records have in common.
    """
    metrics = {name: value for name, value in measured.items() if isinstance(value, float)}
    details = {name: value for name, value in measured.items() if name not in metrics} | details
    first = next(iter(metrics))
    return [
        Record(
            metric=metric,
            value=value,
            details={**details, **of_first} if metric == first else details,
            **common,
        )
        for metric, value in metrics.items()
    ]


def results_table(records: Sequence[Record]) -> str:
    """Aligned lines of metric and percent."""
    return aligned([(record.metric, f"{record.value:.2f}") for record in records])


def metrics_table(records: Sequence[Record], settings: Sequence[str] = ()) -> str:
    """Aligned lines of percent by metric, one for each stage and value of the `settings`.

    Of several values the mean and the deviation of one of them, `52.31 ± 0.42`.
    """
    values: dict[tuple[str, ...], dict[str, list[float]]] = {}
    for record in records:
        row = (record.stage, *(str(record.settings[key]) for key in settings))
        values.setdefault(row, {}).setdefault(record.metric, []).append(record.value)
    metrics = list(dict.fromkeys(record.metric for record in records))
    lines = [
        (*row, *(_mean_and_deviation(columns[metric]) for metric in metrics))
        for row, columns in values.items()
    ]
    return aligned([("stage", *settings, *metrics), *lines])


def stages_table(records: Sequence[Record], settings: Sequence[str] = ()) -> str:
    """`metrics_table`; where something was chosen also what, by which value on which images, and the stage of these."""
    if not records or records[0].chosen_on is None:
        return metrics_table(records, settings)
    chosen_on, details = records[0].chosen_on, records[0].details
    deciding, names = next(iter(details[chosen_on])), list(details["chosen_among"])
    by_stage: dict[str, dict[str, Record]] = {}
    for record in records:
        by_stage.setdefault(record.stage, {})[record.metric] = record
    metrics = list(next(iter(by_stage.values())))
    rows = [("stage", *names, f"{deciding} on {chosen_on}", *metrics)]
    for stage, of in by_stage.items():
        first = of[deciding].details
        values = [f"{first[chosen_on][deciding]:.2f}", *(f"{of[metric].value:.2f}" for metric in metrics)]
        rows.append((stage, *(str(first[name]) for name in names), *values))
    best = max(by_stage, key=lambda stage: by_stage[stage][deciding].details[chosen_on][deciding])
    return f"{aligned(rows)}\nchosen by {details['chosen_by']}; of the stages: {best}"


def _mean_and_deviation(values: Sequence[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation}"


def read_records(paths: Iterable[Path]) -> list[Record]:
    """The records in these files, and in every results.jsonl below those that are folders; each number once.

    Raises as `read_results`.
    """
    return distinct(read_results(paths))


def distinct(results: Mapping[Path, Mapping[str, Record]]) -> list[Record]:
    """The records of `read_results`, each number once."""
    return list({line: record for of_file in results.values() for line, record in of_file.items()}.values())


def read_results(paths: Iterable[Path]) -> dict[Path, dict[str, Record]]:
    """File -> line -> record, of these files and of every results.jsonl below those that are folders.

    Raises:
        FileNotFoundError: a path is not there.
        ValueError: a folder holds no records, or a line is not one; file and line are named.
    """
    results: dict[Path, dict[str, Record]] = {}
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"there are no results at {path}")
        files = sorted(path.rglob(FILE)) if path.is_dir() else [path]
        if not files:
            raise ValueError(f"no {FILE} in {path} or below; give the --out folder of a transfer command")
        for file in files:
            records = results.setdefault(file, {})
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
                try:
                    records[line] = Record(**json.loads(line))
                except (json.JSONDecodeError, TypeError) as error:
                    raise ValueError(
                        f"{file}, line {number} is not a result record ({error}); delete the line"
                    ) from error
    return results
