"""Result records: one JSON line per measured number. The results table is made from them alone."""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

from pretext.runtime.aligned import aligned
from pretext.runtime.versions import package_version
from pretext.runtime.whole_file import write_whole

FILE = "results.jsonl"
Selection = Literal["last", "best"]


def package_versions() -> dict[str, str]:
    """Of what computes every result."""
    return {
        name: package_version(name)
        for name in ("colorization-benchmark", "torch", "torchvision", "scikit-learn")
    }


@dataclass(frozen=True, kw_only=True)
class Record:
    """One measured number and all that is needed to know what it means.

    Attributes:
        task: linear, knn, svm, low_shot_svm, finetune, detect, segment.
        data: name of the data set.
        protocol: what was done, such as `zhang16`, or `zhang16, 112 px of 128` where the user changed its crop.
        backbone: its name in the table.
        weights: SHA-256 of the weights that were tested.
        stage: layer1, conv5, ...; of what trains the backbone, the first stage that was trained.
        metric: top1, top5, mAP, mAP_11_point, AP50, mIoU, ...; all in percent.
        value: the number.
        selection: `last` is the end of training; `best` was chosen by this very metric on the test images.
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
    selection: Selection = "last"
    settings: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=package_versions)


def write_records(folder: Path, records: Iterable[Record]) -> Path:
    """Write all records of a command into its folder, replacing those of an earlier call; the file's path."""
    path = folder / FILE
    write_whole(path, "".join(json.dumps(asdict(record)) + "\n" for record in records))
    return path


def last_and_best(rows: Sequence[Mapping[str, Any]], details: dict[str, Any], **common: Any) -> list[Record]:
    """For each metric a record of the last test, and one of that with the highest value, the first of equals.

    Args:
        rows: of each test the metrics, which are its floats, and what the details say of it, such as its step.
        details: of all tests.
        common: what the records have in common.
    """
    metrics = [name for name, value in rows[-1].items() if isinstance(value, float)]
    records = []
    for metric in metrics:
        chosen: dict[Selection, Mapping[str, Any]] = {
            "last": rows[-1],
            "best": max(rows, key=itemgetter(metric)),
        }
        records += [
            Record(
                metric=metric,
                value=row[metric],
                selection=selection,
                details={key: value for key, value in row.items() if key not in metrics} | details,
                **common,
            )
            for selection, row in chosen.items()
        ]
    return records


def results_table(records: Sequence[Record]) -> str:
    """Aligned lines of metric, selection, percent and step."""
    rows = [(r.metric, r.selection, f"{r.value:.2f}", f"step {r.details['step']}") for r in records]
    return aligned(rows, num_names=2)


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


def _mean_and_deviation(values: Sequence[float]) -> str:
    deviation = f" ± {statistics.stdev(values):.2f}" if len(values) > 1 else ""
    return f"{statistics.mean(values):.2f}{deviation}"


def read_records(paths: Iterable[Path]) -> list[Record]:
    """The records in these files, and in every results.jsonl below those that are folders; each number once.

    Raises:
        FileNotFoundError: a path is not there.
        ValueError: a folder holds no records, or a line is not one; file and line are named.
    """
    records: dict[str, Record] = {}
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"there are no results at {path}")
        files = sorted(path.rglob(FILE)) if path.is_dir() else [path]
        if not files:
            raise ValueError(f"no {FILE} in {path} or below; give the --out folder of a transfer command")
        for file in files:
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
                try:
                    records[line] = Record(**json.loads(line))
                except (json.JSONDecodeError, TypeError) as error:
                    raise ValueError(
                        f"{file}, line {number} is not a result record ({error}); delete the line"
                    ) from error
    return list(records.values())
