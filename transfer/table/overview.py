"""All tasks that train the backbone, side by side: what one checkpoint is worth."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import groupby

from transfer.downstream import DOWNSTREAM_TESTS
from transfer.results import Record
from transfer.table.comparison import Cell, Grid, Row, Table, make_tables

# Task that trains the backbone -> its headline metrics, the preferred one first.
HEADLINES = {name: test.headline for name, test in DOWNSTREAM_TESTS.items() if test.trains_backbone}


@dataclass(frozen=True, kw_only=True)
class Column:
    """Numbers of one test under one set of settings.

    Attributes:
        table: the task's own, of which they are one column.
        trained: the first stage that was trained: `head` (none), a stage, or `all`.
        settings: what the user set otherwise than the protocol, such as `batch size = 4`.
        cells: backbone -> its number.
    """

    table: Table
    trained: str
    settings: tuple[str, ...]
    cells: Mapping[str, Cell]

    @property
    def as_published(self) -> bool:
        """Whether nothing was set otherwise than the protocol."""
        return not self.settings and all(cell.lr is None for cell in self.cells.values())


@dataclass(frozen=True, kw_only=True)
class Overview(Grid):
    """A row for each backbone; numbers are comparable within a column.

    Attributes:
        tests: what stands in each of `columns`, which are numbers from 1.
    """

    tests: Mapping[str, Column]


def make_overview(records: Iterable[Record]) -> Overview | None:
    """Classification (by fine-tuning), detection and segmentation at the end of training; None of fewer than two.

    A column is one task, data set, protocol, headline metric, stage to train from and set of settings, so that no
    mean is over two of them. Linear, SVM and kNN results are left out: they have a number for each stage, and the best
    one of these would be chosen on the test images.

    Raises:
        ValueError: as `make_tables`.
    """
    of_tasks = _told_apart(
        [record for record in records if record.task in HEADLINES and record.selection == "last"]
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
            if (cells := {key: of.cells[backbone] for key, of in tests.items() if backbone in of.cells})
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
