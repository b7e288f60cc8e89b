"""Tables of results as Markdown and as LaTeX."""

import re
from collections.abc import Callable, Sequence

from transfer.table.comparison import Row, Table
from transfer.table.published import PublishedTable
from transfer.table.words import (
    OPTIMISTIC,
    beside,
    deviation,
    fewer,
    measure,
    notes,
    number,
    published_heading,
    published_label,
    published_notes,
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
} | {character: f"\\{character}" for character in "{}$&#_%"}


def markdown(tables: Sequence[Table]) -> str:
    """All tables, as GitHub renders them."""
    blocks = []
    for table in tables:
        if table.selection == "last":
            blocks.append(f"## {markdown_escape(subject(table))}: {markdown_escape(measure(table))}")
        else:
            blocks.append(f"### {OPTIMISTIC}: {markdown_escape(measure(table))}")
        blocks += [
            _markdown_table(_measured(table, markdown_escape, "**{}**".format)),
            markdown_escape(" ".join(notes(table))),
        ]
        for published in beside(table):
            blocks += [
                f"### {markdown_escape(published_heading(published))}",
                _markdown_table(_published(published, markdown_escape)),
                markdown_escape(" ".join(published_notes(published, table))),
            ]
    return "\n\n".join(blocks) + "\n"


def latex(tables: Sequence[Table]) -> str:
    r"""All tables, each a float to \input in a paper."""
    blocks = [r"% In the preamble: \usepackage{booktabs} \usepackage[T1]{fontenc}"]
    for table in tables:
        caption = f"{subject(table)}: {measure(table)}."
        if table.selection == "best":
            caption += f" {OPTIMISTIC}."
        blocks.append(_float(caption, _measured(table, latex_escape, r"\textbf{{{}}}".format), notes(table)))
        blocks += [
            _float(
                f"{published_heading(published)}.",
                _published(published, latex_escape),
                published_notes(published, table),
            )
            for published in beside(table)
        ]
    return "\n\n".join(blocks) + "\n"


def markdown_escape(text: str) -> str:
    """`text` as Markdown shows it letter by letter, on one line, also in a cell."""
    text = re.sub(r"[\\`*\[\]<>&|~$#]", r"\\\g<0>", " ".join(text.split()))
    return re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\_", text)  # within a word it means nothing


def latex_escape(text: str) -> str:
    """`text` as LaTeX sets it letter by letter, on one line."""
    return "".join(LATEX_SPECIAL.get(character, character) for character in " ".join(text.split()))


def _measured(table: Table, escape: Callable[[str], str], bold: Callable[[str], str]) -> Rows:
    def cell(row: Row, column: str) -> str:
        if column not in row.cells:
            return ""
        of = row.cells[column]
        mean = bold(number(of)) if number(of) == table.best.get(column) else number(of)
        count = fewer(of, row.most)
        return " ".join(filter(None, [mean, escape(deviation(of)), count and f"({count})"]))

    head = ["backbone", table.count, *map(escape, table.columns)]
    return [
        head,
        *(
            [escape(row.label), str(row.most), *(cell(row, column) for column in table.columns)]
            for row in table.rows
        ),
    ]


def _published(published: PublishedTable, escape: Callable[[str], str]) -> Rows:
    return [
        ["method", *map(escape, published.columns)],
        *(
            [escape(published_label(published, method)), *("" if of is None else str(of) for of in numbers)]
            for method, numbers in published.rows.items()
        ),
    ]


def _markdown_table(rows: Rows) -> str:
    widths = [max(3, *map(len, column)) for column in zip(*rows, strict=True)]

    def line(row: list[str]) -> str:
        cells = [
            row[0].ljust(widths[0]),
            *(of.rjust(width) for of, width in zip(row[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(cells)} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(rows[0]), line(rule), *map(line, rows[1:])])


def _float(caption: str, rows: Rows, said: Sequence[str]) -> str:
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
            rf"\parbox{{\linewidth}}{{\footnotesize {latex_escape(' '.join(said))}}}",
            r"\end{table}",
        ]
    )
