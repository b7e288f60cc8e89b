"""Records that may be compared, side by side: a table per task, data set, protocol, metric and way of choosing."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from statistics import fmean, stdev
from typing import Any

import numpy as np

from transfer.results import ChosenOn, Record

# What becomes of a setting; one that is not named here makes a row of its own.
AVERAGED, COLUMN = "sample", "shots"


@dataclass(frozen=True)
class Cell:
    """One number of a table: the mean over seeds, and over the draws of low-shot images.

    Attributes:
        on_validation: the same metric on validation images, where something was chosen on these.
        confusion: of classification, class -> class it was taken for -> how many test images, of all seeds together;
            empty where the records do not have it.
    """

    values: tuple[float, ...]
    on_validation: tuple[float, ...] = ()
    confusion: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """Over seeds and draws."""
        return fmean(self.values)

    @property
    def deviation(self) -> float | None:
        """The sample standard deviation; None of a single value."""
        return stdev(self.values) if len(self.values) > 1 else None


@dataclass(frozen=True)
class Row:
    """A backbone, and what else tells its results apart, such as `k = 20`; columns not measured are not there."""

    backbone: str
    variant: tuple[str, ...]
    cells: Mapping[str, Cell]

    @property
    def label(self) -> str:
        """What the row is called: its backbone and variant."""
        return ", ".join((self.backbone, *self.variant))

    @property
    def chosen_column(self) -> str | None:
        """The column with the highest mean on validation images; None where not all columns were measured there."""
        validated = {column: cell.on_validation for column, cell in self.cells.items()}
        if len(validated) < 2 or not all(validated.values()):
            return None
        return max(validated, key=lambda column: fmean(validated[column]))

    @property
    def most(self) -> int:
        """How many values a cell is the mean of; a cell of fewer says so."""
        return max(len(cell.values) for cell in self.cells.values())


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Rows of backbones.

    Attributes:
        columns: the keys of the rows' cells.
        count: what the values of a cell are: seeds, or draws (of low-shot images).
    """

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    count: str = "seeds"

    @cached_property
    def best(self) -> dict[str, str]:
        """column -> its highest mean as printed; columns with one number alone are not there."""
        means = {
            column: [row.cells[column].mean for row in self.rows if column in row.cells]
            for column in self.columns
        }
        return {column: f"{max(values):.1f}" for column, values in means.items() if len(values) > 1}


@dataclass(frozen=True, kw_only=True)
class Table(Grid):
    """Results that are comparable: columns are stages in order of depth (low-shot: the shots; where the backbone is
    trained: the first stage that is, from `head` to `all`).

    Attributes:
        chosen_on: the images on which what the protocol leaves open was chosen; None: it leaves nothing open.
        chosen_by: what the records say of the choices, each once.
        common: what all rows, if there are several, share beside their backbones, such as `epochs = 15`.
    """

    task: str
    data: str
    protocol: str
    metric: str
    chosen_on: ChosenOn | None
    chosen_by: tuple[str, ...]
    common: tuple[str, ...]

    @cached_property
    def best(self) -> dict[str, str]:
        """Which cells are the best of their column; a similarity to another network has no best."""
        return {} if self.metric == "cka" else super().best


def make_tables(records: Iterable[Record]) -> list[Table]:
    """A table per task, data set, protocol, metric and `chosen_on`, in order of appearance, `test` last.

    Raises:
        ValueError: one name and seed stand for two networks, or for two values of the same number.
    """
    by_table: dict[tuple[Any, ...], list[Record]] = {}
    for record in _each_number_once(records):
        key = (record.task, record.data, record.protocol, record.metric, record.chosen_on)
        by_table.setdefault(key, []).append(record)
    subjects = list(dict.fromkeys(key[:3] for key in by_table))
    measures = list(dict.fromkeys(key[:4] for key in by_table))
    ordered = sorted(
        by_table, key=lambda key: (subjects.index(key[:3]), measures.index(key[:4]), key[4] == "test")
    )
    return [_table(by_table[key]) for key in ordered]


def _each_number_once(records: Iterable[Record]) -> list[Record]:
    networks: dict[tuple[Any, ...], str] = {}
    numbers: dict[tuple[Any, ...], Record] = {}
    for record in records:
        test = (record.task, record.data, record.protocol)
        network = (*test, record.backbone, record.seed)
        subject = f"{', '.join(test)}: backbone {record.backbone!r} with seed {record.seed}"
        weights = networks.setdefault(network, record.weights)
        if weights != record.weights:
            raise ValueError(
                f"{subject} is two networks, of weights {weights[:12]} and {record.weights[:12]}; give each a name of "
                "its own by --backbone.name, or leave one of them out"
            )
        settings = json.dumps(dict(record.settings), sort_keys=True)
        number = (*network, record.stage, record.metric, record.chosen_on, settings)
        known = numbers.setdefault(number, record)
        if known.value != record.value:
            raise ValueError(
                f"{subject} has two values of {record.metric} at {record.stage}, {known.value:g} and {record.value:g}, "
                f"with the same weights {weights[:12]} and settings {settings}; leave out the folder of one of the runs"
            )
    return list(numbers.values())


def _table(records: list[Record]) -> Table:
    values: dict[tuple[str, ...], dict[str, list[Record]]] = {}
    for record in records:
        values.setdefault(_row_of(record), {}).setdefault(_column_of(record), []).append(record)
    first = records[0]
    backbones = list(dict.fromkeys(map(itemgetter(0), values)))
    ordered = sorted(values, key=lambda row: backbones.index(row[0]))
    columns = _merged(values.values())
    if any(COLUMN in record.settings for record in records):
        columns.sort(key=lambda column: int(column.split()[0]))
    # Each training of a backbone has one column, so that the columns have no order of their own.
    columns.sort(key=lambda column: {"head": -1, "all": 1}.get(column, 0))
    shared = set.intersection(*(set(row[1:]) for row in ordered)) if len(ordered) > 1 else set()
    common = [setting for setting in ordered[0][1:] if setting in shared]
    return Table(
        task=first.task,
        data=first.data,
        protocol=first.protocol,
        metric=first.metric,
        chosen_on=first.chosen_on,
        chosen_by=tuple(dict.fromkeys(_choice(record) for record in records if record.chosen_on)),
        columns=tuple(columns),
        rows=tuple(
            Row(
                backbone,
                tuple(setting for setting in variant if setting not in common),
                {
                    column: _cell(values[backbone, *variant][column])
                    for column in columns
                    if column in values[backbone, *variant]
                },
            )
            for backbone, *variant in ordered
        ),
        common=tuple(common),
        count="draws" if any(AVERAGED in record.settings for record in records) else "seeds",
    )


def _row_of(record: Record) -> tuple[str, ...]:
    stage = [record.stage] if COLUMN in record.settings else []
    others = {key: value for key, value in record.settings.items() if key not in (AVERAGED, COLUMN)}
    return (record.backbone, *stage, *(f"{setting_name(key)} = {value}" for key, value in others.items()))


def _column_of(record: Record) -> str:
    shots = record.settings.get(COLUMN)
    return record.stage if shots is None else f"{shots} {'shot' if shots == 1 else 'shots'}"


def _cell(records: Sequence[Record]) -> Cell:
    on_validation = (record.details.get("validation", {}).get(record.metric) for record in records)
    return Cell(
        tuple(record.value for record in records),
        tuple(value for value in on_validation if value is not None),
        _confusion(records),
    )


def _confusion(records: Sequence[Record]) -> dict[str, dict[str, int]]:
    details = [record.details for record in records if "confusion" in record.details]
    if len(details) < len(records):
        return {}
    names = list(details[0]["accuracy_by_class"])
    total = np.sum([of["confusion"] for of in details], axis=0)
    return {name: dict(zip(names, row, strict=True)) for name, row in zip(names, total.tolist(), strict=True)}


def setting_name(key: str) -> str:
    """What tables call a setting."""
    return "learning rate" if key == "lr" else key.replace("_", " ")


def _choice(record: Record) -> str:
    """What was chosen among what, if there was more than one, and by which metric on which images."""
    among = [
        f"{setting_name(name)} among {', '.join(map(str, values))}"
        for name, values in record.details["chosen_among"].items()
        if len(values) > 1
    ]
    return "; ".join([*among, f"by {record.details['chosen_by']}"])


def _merged(orders: Iterable[Iterable[str]]) -> list[str]:
    """All names, each after those that come before it in its own order."""
    merged: list[str] = []
    for order in map(list, orders):
        place = 0 if set(order) & set(merged) else len(merged)
        for name in order:
            if name not in merged:
                merged.insert(place, name)
            place = merged.index(name) + 1
    return merged
