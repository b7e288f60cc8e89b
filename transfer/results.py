"""Result records: one JSON line a measured number. The results table is made from them alone."""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import yaml

from pretext.runtime.run_lock import run_lock
from pretext.runtime.versions import package_version
from pretext.runtime.whole_file import make_folder, write_whole

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


def begin_results(folder: Path, config: Mapping[str, Any], held: ExitStack) -> None:
    """Make a command's folder and write its config.yaml: before the work, so that no result is lost at its end.

    Args:
        held: when this is closed, other processes may use the folder again.

    Raises:
        ValueError: it is not a folder, holds the results of another command, or another process is working in it.
        OSError: nothing can be written there.
    """
    make_folder(folder)
    held.enter_context(run_lock(folder))
    if (folder / FILE).is_dir():
        raise ValueError(f"{folder / FILE} is a folder, but the results belong there; choose another --out")
    file = folder / "config.yaml"
    if file.exists():
        try:
            stored = yaml.safe_load(file.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError):
            stored = None
        if not isinstance(stored, dict) or stored.keys() != config.keys():
            raise ValueError(f"{file} is not of this command; choose another --out")
    write_whole(file, yaml.safe_dump(dict(config), sort_keys=False))


def write_records(folder: Path, records: Iterable[Record]) -> Path:
    """Write all records of a command into its folder, replacing those of an earlier call; the file's path."""
    path = folder / FILE
    write_whole(path, "".join(json.dumps(asdict(record)) + "\n" for record in records))
    return path


def last_and_best(
    rows: Sequence[Mapping[str, Any]], metrics: Collection[str], details: dict[str, Any], **common: Any
) -> list[Record]:
    """For each metric a record of the last test, and one of that with the highest value, the first of equals.

    Args:
        rows: of each test the metrics, its step, and what else is to be said of it in the details.
        details: of all tests.
        common: what the records have in common.
    """
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
    width = max(len(record.metric) for record in records)
    return "\n".join(
        f"{record.metric:<{width}}  {record.selection}  {record.value:6.2f}  step {record.details['step']}"
        for record in records
    )


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
