"""All tasks that train the backbone, side by side: what one checkpoint is worth, in numbers and in words."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from transfer.downstream import DOWNSTREAM_TESTS
from transfer.results import Record
from transfer.table.comparison import Cell, Grid, Row, Table, make_tables
from transfer.table.published import PASCAL, PASCAL_SIDE_BY_SIDE
from transfer.table.words import (
    metric_name,
    source_notes,
    spread_notes,
    subject,
    title,
)

SUBJECT, MEASURE = "All tasks", "what one checkpoint is worth (%)"

# Task that trains the backbone -> its headline metrics, the preferred one first.
HEADLINES = {name: test.headline for name, test in DOWNSTREAM_TESTS.items() if test.trains_backbone}


@dataclass(frozen=True, kw_only=True)
class Column:
    """Numbers of one test under one set of settings.

    Attributes:
        table: the task's own, of which they are one column.
        trained: the first stage that was trained: `head` (none), a stage, or `all`.
        settings: overrides of the protocol, such as `batch size = 4`.
        cells: backbone -> its number.
    """

    table: Table
    trained: str
    settings: tuple[str, ...]
    cells: Mapping[str, Cell]

    @property
    def as_published(self) -> bool:
        """Whether nothing overrides the protocol."""
        return not self.settings

    @property
    def is_pascal(self) -> bool:
        """Whether the table of PASCAL's tasks in the papers is comparable, as far as names tell."""
        published = PASCAL.get(self.table.task)
        return (
            self.as_published
            and published is not None
            and published.comparable(self.table.data, self.table.protocol, self.table.metric)
        )

    def note(self) -> str:
        """What was done."""
        return subject(self.table) + (f", with {', '.join(self.settings)}." if self.settings else ".")


@dataclass(frozen=True, kw_only=True)
class Overview(Grid):
    """A row for each backbone; numbers are comparable within a column.

    Attributes:
        tests: what stands in each of `columns`, which are numbers from 1.
    """

    tests: Mapping[str, Column]

    def heads(self) -> list[str]:
        """Task, what was trained, metric and number of the note, for each column."""
        return [
            f"{title(column.table.task)}, {column.trained}: {metric_name(column.table.metric)} "
            f"({self._note_number(column)})"
            for column in self.tests.values()
        ]

    def notes(self) -> list[str]:
        """What must be read with all columns."""
        return [
            *spread_notes(self),
            "After the comma stands what was trained: head (the new head alone), the first stage, or all. Numbers "
            "compare within a column, not across.",
        ]

    def column_notes(self) -> list[str]:
        """What was done for the columns, each note once."""
        return [f"({number}) {note}" for number, note in enumerate(self._different_notes(), start=1)]

    def pascal_notes(self) -> list[str]:
        """What must be read with the paper's table below the overview."""
        same = dict.fromkeys(
            f"({self._note_number(column)})" for column in self.tests.values() if column.is_pascal
        )
        measured = "; ".join(
            f"{title(task).lower()} on {table.data} under {table.protocol}, as {metric_name(table.metrics[0])}"
            for task, table in PASCAL.items()
        )
        if same:
            compared = (
                f"Of these test images, protocols and measures: {', '.join(same)} above, comparable where the network "
                "and the training images are the same too."
            )
            if len(same) < len(self._different_notes()):
                compared += " The others are not comparable."
        else:
            compared = "Nothing above is of these test images, protocols and measures: not comparable."
        return [f"In the words above: {measured}.", compared, *source_notes(PASCAL_SIDE_BY_SIDE)]

    def _different_notes(self) -> list[str]:
        return list(dict.fromkeys(column.note() for column in self.tests.values()))

    def _note_number(self, column: Column) -> int:
        return self._different_notes().index(column.note()) + 1


def make_overview(records: Iterable[Record]) -> Overview | None:
    """Classification (by fine-tuning), detection and segmentation at the end of training; None of fewer than two.

    A column is one task, data set, protocol, headline metric, stage to train from and set of settings, so that no
    mean is over two of them. Linear, SVM and kNN results are left out: they have a number for each stage, and the best
    one of these would be chosen on the test images.

    Raises:
        ValueError: as `make_tables`.
    """
    of_tasks = _told_apart(
        [record for record in records if record.task in HEADLINES and record.chosen_on != "test"]
    )
    tables = make_tables(of_tasks)
    columns = [column for task in HEADLINES for column in _columns(tables, task)]
    if len({column.table.task for column in columns}) < 2:
        return None
    tests = {str(number): column for number, column in enumerate(columns, start=1)}
    return Overview(
        columns=tuple(tests),
        rows=tuple(
            Row(backbone, (), cells)
            for backbone in dict.fromkeys(record.backbone for record in of_tasks)
            if (
                cells := {
                    key: column.cells[backbone] for key, column in tests.items() if backbone in column.cells
                }
            )
        ),
        tests=tests,
    )


def _told_apart(records: list[Record]) -> list[Record]:
    """The records, with their weights in the name of a backbone where name and seed are those of two networks."""
    networks: dict[tuple[str, int], set[str]] = {}
    for record in records:
        networks.setdefault((record.backbone, record.seed), set()).add(record.weights)
    ambiguous = {backbone for (backbone, _), weights in networks.items() if len(weights) > 1}
    return [
        replace(record, backbone=f"{record.backbone}, weights {record.weights[:12]}")
        if record.backbone in ambiguous
        else record
        for record in records
    ]


def _columns(tables: Iterable[Table], task: str) -> Iterator[Column]:
    """All columns of a task; a less preferred metric only where a backbone has no other."""
    metrics = HEADLINES[task]
    of_task = [table for table in tables if table.task == task and table.metric in metrics]
    for _, of_test in groupby(of_task, lambda table: (table.data, table.protocol)):
        shown: dict[tuple[str, tuple[str, ...]], set[str]] = {}
        for table in sorted(of_test, key=lambda table: metrics.index(table.metric)):
            for column in _split(table):
                known = shown.setdefault((column.trained, column.settings), set())
                if not column.cells.keys() <= known:
                    yield column
                known.update(column.cells)


def _split(table: Table) -> Iterator[Column]:
    """A table's columns, each set of settings apart."""
    for variant in dict.fromkeys(row.variant for row in table.rows):
        for trained in table.columns:
            cells = {
                row.backbone: row.cells[trained]
                for row in table.rows
                if row.variant == variant and trained in row.cells
            }
            if cells:
                yield Column(
                    table=table,
                    trained=trained,
                    settings=tuple(sorted((*table.common, *variant))),
                    cells=cells,
                )
