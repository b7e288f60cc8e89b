"""What the overview says in words, the same in Markdown, LaTeX and the page."""

from transfer.table.comparison import in_order
from transfer.table.overview import Column, Overview
from transfer.table.published import PASCAL, PASCAL_SIDE_BY_SIDE
from transfer.table.words import (
    metric_name,
    rate,
    source_notes,
    spread_notes,
    subject,
    title,
    tried_rates,
)

SUBJECT, MEASURE = "All tasks", "what one checkpoint is worth (%)"


def heads(overview: Overview) -> list[str]:
    """Of each column the task, what was trained, the metric, and the number of its note."""
    return [
        f"{title(of.table.task)}, {of.trained}: {metric_name(of.table.metric)} ({_note_number(overview, of)})"
        for of in overview.tests.values()
    ]


def notes(overview: Overview) -> list[str]:
    """What must be read with all columns."""
    return [
        *spread_notes(overview),
        "After the comma stands what was trained: head (the new head alone), the first stage, or all. Numbers compare "
        "within a column, not across.",
    ]


def column_notes(overview: Overview) -> list[str]:
    """What was done for the columns, each note once."""
    return [f"({number}) {note}" for number, note in enumerate(_different_notes(overview), start=1)]


def pascal_notes(overview: Overview) -> list[str]:
    """What must be read with the paper's table below the overview."""
    same = {
        f"({_note_number(overview, of)})": None
        for of in overview.tests.values()
        if of.as_published
        and PASCAL[of.table.task].comparable(of.table.data, of.table.protocol, of.table.metric)
    }
    measured = "; ".join(
        f"{title(task).lower()} on {of.data} under {of.protocol}, as {metric_name(of.metrics[0])}"
        for task, of in PASCAL.items()
    )
    if same:
        compared = (
            f"Of these test images, protocols and measures: {', '.join(same)} above, comparable where the network and "
            "the training images are the same too."
        )
        if len(same) < len(_different_notes(overview)):
            compared += " The others are not comparable."
    else:
        compared = "Nothing above is of these test images, protocols and measures: not comparable."
    return [f"In the words above: {measured}.", compared, *source_notes(PASCAL_SIDE_BY_SIDE)]


def _different_notes(overview: Overview) -> list[str]:
    return list(dict.fromkeys(map(_column_note, overview.tests.values())))


def _note_number(overview: Overview, column: Column) -> int:
    return _different_notes(overview).index(_column_note(column)) + 1


def _column_note(column: Column) -> str:
    settings, rates = column.settings, in_order(lr for of in column.cells.values() for lr in of.tried)
    if len(rates) == 1 and rates[0]:
        settings += (f"learning rate = {rate(rates[0])}",)
    said = subject(column.table) + (f", with {', '.join(settings)}." if settings else ".")
    if len(rates) > 1:
        chosen = "; ".join(f"{backbone}: {rate(of.lr)}" for backbone, of in column.cells.items())
        said += f" {tried_rates(column.cells.values())} {chosen}."
    return said
