"""Tables of results as Markdown and as LaTeX."""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from transfer.table.comparison import Grid, Row, Table
from transfer.table.overview import MEASURE, SUBJECT, Overview
from transfer.table.published import PASCAL_SIDE_BY_SIDE, PublishedNumbers
from transfer.table.words import (
    OPTIMISTIC,
    beside,
    deviation,
    fewer,
    measure,
    notes,
    number,
    published_heading,
    published_notes,
    published_number,
    subject,
)

Rows = list[list[str]]  # the first is the head

LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "±": r"$\pm$",
    "†": r"$^\dagger$",
    "→": r"$\rightarrow$",
} | {character: f"\\{character}" for character in "{}$&#_%"}


class Marking(NamedTuple):
    """How a language writes any text, the head of a column, and a bold number."""

    escape: Callable[[str], str]
    head: Callable[[str], str]
    bold: Callable[[str], str]


def markdown(tables: Sequence[Table], overview: Overview | None = None) -> str:
    """The overview, if there is one, and all tables, as GitHub renders them."""
    blocks = [] if overview is None else _markdown_overview(overview)
    for table in tables:
        if table.chosen_on != "test":
            blocks.append(f"## {markdown_escape(subject(table))}: {markdown_escape(measure(table))}")
        else:
            blocks.append(f"### {OPTIMISTIC}: {markdown_escape(measure(table))}")
        blocks += [
            _markdown_table(_measured(table, table.columns, MARKDOWN)),
            markdown_escape(" ".join(notes(table))),
        ]
        for published in beside(table):
            blocks += _markdown_published(published, published_notes(published, table))
    return "\n\n".join(blocks) + "\n"


def latex(tables: Sequence[Table], overview: Overview | None = None) -> str:
    r"""The overview, if there is one, and all tables, each a float to \input in a paper."""
    blocks = [r"% In the preamble: \usepackage{booktabs} \usepackage[T1]{fontenc}"]
    if overview is not None:
        all_notes = [*overview.notes(), *overview.column_notes()]
        rows = _measured(overview, overview.heads(), LATEX)
        blocks += [
            _float(f"{SUBJECT}: {MEASURE}.", rows, all_notes),
            _latex_published(PASCAL_SIDE_BY_SIDE, overview.pascal_notes()),
        ]
    for table in tables:
        caption = f"{subject(table)}: {measure(table)}."
        if table.chosen_on == "test":
            caption += f" {OPTIMISTIC}."
        blocks.append(_float(caption, _measured(table, table.columns, LATEX), notes(table)))
        blocks += [
            _latex_published(published, published_notes(published, table)) for published in beside(table)
        ]
    return "\n\n".join(blocks) + "\n"


def markdown_escape(text: str) -> str:
    """`text` as Markdown shows it letter by letter, on one line, also in a cell."""
    text = re.sub(r"[\\`*\[\]<>&|~$#]", r"\\\g<0>", " ".join(text.split()))
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\_", text)  # within a word it means nothing


def latex_escape(text: str) -> str:
    """`text` as LaTeX sets it letter by letter, on one line."""
    return "".join(LATEX_SPECIAL.get(character, character) for character in " ".join(text.split()))


def _latex_head(text: str) -> str:
    """Over several lines where it is of several parts, as the overview's: `Detection, all: AP50`."""
    lines = [latex_escape(line) for line in re.split(r"(?<=[,:]) ", text)]
    if len(lines) == 1:
        return lines[0]
    # Braces around each line: after \\ a bracket would begin an argument.
    stacked = r"\\".join(f"{{{line}}}" for line in lines)
    return rf"\shortstack[r]{{{stacked}}}"


MARKDOWN = Marking(markdown_escape, markdown_escape, "**{}**".format)
LATEX = Marking(latex_escape, _latex_head, r"\textbf{{{}}}".format)


def _markdown_overview(overview: Overview) -> list[str]:
    return [
        f"## {SUBJECT}: {MEASURE}",
        _markdown_table(_measured(overview, overview.heads(), MARKDOWN)),
        markdown_escape(" ".join(overview.notes())),
        "\n".join(f"- {markdown_escape(line)}" for line in overview.column_notes()),
        *_markdown_published(PASCAL_SIDE_BY_SIDE, overview.pascal_notes()),
    ]


def _markdown_published(published: PublishedNumbers, notes: Sequence[str]) -> list[str]:
    return [
        f"### {markdown_escape(published_heading(published))}",
        _markdown_table(_published(published, MARKDOWN)),
        markdown_escape(" ".join(notes)),
    ]


def _latex_published(published: PublishedNumbers, notes: Sequence[str]) -> str:
    return _float(f"{published_heading(published)}.", _published(published, LATEX), notes)


def _measured(grid: Grid, heads: Iterable[str], marking: Marking) -> Rows:
    def cell(row: Row, column: str) -> str:
        if column not in row.cells:
            return ""
        of = row.cells[column]
        mean = marking.bold(number(of)) if number(of) == grid.best.get(column) else number(of)
        count = fewer(of, row.most)
        return " ".join(filter(None, [mean, marking.escape(deviation(of)), count and f"({count})"]))

    return [
        ["backbone", grid.count, *map(marking.head, heads)],
        *(
            [marking.escape(row.label), str(row.most), *(cell(row, column) for column in grid.columns)]
            for row in grid.rows
        ),
    ]


def _published(published: PublishedNumbers, marking: Marking) -> Rows:
    return [
        ["method", *map(marking.head, published.columns)],
        *(
            [marking.escape(method), *(marking.escape(published_number(number)) for number in numbers)]
            for method, numbers in published.rows.items()
        ),
    ]


def _markdown_table(rows: Rows) -> str:
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]

    def line(row: list[str]) -> str:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(cells)} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(rows[0]), line(rule), *map(line, rows[1:])])


def _float(caption: str, rows: Rows, notes: Sequence[str]) -> str:
    # Braces around a row's first cell: after \\ and \midrule a bracket would begin an argument.
    head, *body = (" & ".join([f"{{{row[0]}}}", *row[1:]]) + r" \\" for row in rows)
    return "\n".join(
        [
            r"\begin{table}",
            r"\centering\small",
            rf"\caption{{{latex_escape(caption)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\par\smallskip",
            rf"\parbox{{\linewidth}}{{\footnotesize {latex_escape(' '.join(notes))}}}",
            r"\end{table}",
        ]
    )
