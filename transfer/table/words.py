"""What a table of results says in words, the same in Markdown, LaTeX and the page."""

from collections.abc import Mapping

from pretext.quoted import NOTE, mark
from transfer.downstream import DOWNSTREAM_TESTS
from transfer.table.comparison import Cell, Grid, Table
from transfer.table.published import PublishedNumbers, PublishedResults, published_beside

LOW_SHOT = {"low_shot_svm": "Low-shot linear SVMs"}  # of the test svm, whose other records say svm
METRICS = {
    "top1": "Top-1 accuracy",
    "top5": "Top-5 accuracy",
    "mAP": "mAP",
    "mAP_11_point": "mAP of 11 points",
    "AP50": "AP50",
    "AP50_11_point": "AP50 of 11 points",
    "AP75": "AP75",
    "AP75_11_point": "AP75 of 11 points",
    "AP": "AP (IoU 0.5 to 0.95)",
    "AP_11_point": "AP of 11 points (IoU 0.5 to 0.95)",
    "mask_AP50": "Mask AP50",
    "mask_AP75": "Mask AP75",
    "mask_AP": "Mask AP (IoU 0.5 to 0.95)",
    "mIoU": "mIoU",
    "mAcc": "Mean class accuracy",
    "aAcc": "Pixel accuracy",
    "effective_rank": "Effective rank",
    "cka": "Linear CKA",
}
NO_PERCENT = ("effective_rank",)
OPTIMISTIC = "Chosen on the test images (optimistic)"


def title(task: str) -> str:
    """The heading of a task's tables: its name where it is a user's own."""
    return DOWNSTREAM_TESTS[task].title if task in DOWNSTREAM_TESTS else LOW_SHOT.get(task, task)


def subject(table: Table) -> str:
    """What was done on which images."""
    return f"{title(table.task)} on {table.data}, {table.protocol}"


def measure(table: Table) -> str:
    """What the numbers are, with their unit."""
    return metric_name(table.metric) + ("" if table.metric in NO_PERCENT else " (%)")


def notes(table: Table) -> list[str]:
    """What must be read with the numbers."""
    lines = spread_notes(table)
    if table.common:
        lines.append(f"All with {', '.join(table.common)}.")
    if table.chosen_by:
        lines.append(f"Chosen for each number: {' / '.join(table.chosen_by)}.")
    stages = {row.label: row.chosen_column for row in table.rows if row.chosen_column}
    if stages:
        lines.append(
            "The best column on the validation images: "
            + "; ".join(f"{label}: {column}" for label, column in stages.items())
            + "."
        )
    return lines


def confusions(table: Table) -> list[tuple[str, Mapping[str, Mapping[str, int]]]]:
    """For each row what its confusion matrix is of, and the matrix; see `Cell`.

    Of several stages that which was chosen on validation images, or else the deepest.
    """
    return [
        (f"{row.label}, {column}", row.cells[column].confusion)
        for row in table.rows
        if (column := row.chosen_column or list(row.cells)[-1]) and row.cells[column].confusion
    ]


def beside(table: Table) -> list[PublishedResults]:
    """The published numbers that stand below a table, if it is of the end of training."""
    if table.chosen_on == "test":
        return []
    return published_beside(table.task, table.protocol, table.metric, table.data)


def published_heading(published: PublishedNumbers) -> str:
    """The heading above published numbers."""
    return f"Published, on {published.data}: {published.network}"


def published_notes(published: PublishedResults, table: Table) -> list[str]:
    """What must be read with published numbers that stand below `table`."""
    theirs, ours = published.metrics[0], table.metric
    if published.comparable(table.data, table.protocol, ours):
        compared = (
            "The same test images, protocol and measure as above: comparable where the network, the training images "
            "and all settings are the same too."
        )
    else:
        by = ("", "") if theirs == ours else (f", as {metric_name(theirs)}", f", as {metric_name(ours)}")
        compared = (
            f"Measured on {published.data} under {published.protocol}{by[0]}: not comparable with the numbers above, "
            f"on {table.data} under {table.protocol}{by[1]}."
        )
    return [compared, *source_notes(published)]


def published_number(number: float | None) -> str:
    """As the paper printed it, marked where it is quoted from memory; nothing where the paper has none."""
    return "" if number is None else f"{number}{mark(number)}"


def number(cell: Cell) -> str:
    """A cell's mean as tables print it."""
    return f"{cell.mean:.1f}"


def deviation(cell: Cell) -> str:
    """Nothing for a single value."""
    return "" if cell.deviation is None else f"± {cell.deviation:.1f}"


def fewer(cell: Cell, most: int) -> str:
    """How many values a cell has where its row's others have more."""
    return f"n = {len(cell.values)}" if len(cell.values) < most else ""


def metric_name(name: str) -> str:
    """A metric's name as tables print it; that of a user's own is kept."""
    return METRICS.get(name, name)


def spread_notes(grid: Grid) -> list[str]:
    """What ± and bold mean."""
    if all(row.most == 1 for row in grid.rows):
        lines = ["One seed each: no deviation is known."]
    else:
        over = {"seeds": "seeds", "draws": "seeds and draws of the few training images"}[grid.count]
        lines = [f"Mean ± sample standard deviation over {over}; a single value has none."]
    return [*lines, "Bold: the best of its column."] if grid.best else lines


def source_notes(published: PublishedNumbers) -> list[str]:
    """Where published numbers are from, and what they are."""
    return [
        f"Source: {published.source}.",
        *filter(None, [published.remark]),
        *([NOTE] if published.from_memory else []),
    ]
