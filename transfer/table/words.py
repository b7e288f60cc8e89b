"""What a table of results says in words, the same in Markdown, LaTeX and the page."""

from transfer.table.comparison import Cell, Row, Table
from transfer.table.published import PublishedTable, published_beside

TASKS = {
    "linear": "Linear classifiers",
    "knn": "Nearest neighbours",
    "svm": "Linear SVMs",
    "low_shot_svm": "Low-shot linear SVMs",
    "finetune": "Fine-tuning",
}
METRICS = {
    "top1": "Top-1 accuracy",
    "top5": "Top-5 accuracy",
    "mAP": "mAP",
    "mAP_11_point": "mAP of 11 points",
}
OPTIMISTIC = "Best over epochs on the test images (optimistic)"
FROM_MEMORY = "Quoted from memory of the paper, not checked against it."


def subject(table: Table) -> str:
    """What was done on which images."""
    return f"{TASKS.get(table.task, table.task)} on {table.data}, {table.protocol}"


def measure(table: Table) -> str:
    """What the numbers are, with their unit."""
    return f"{METRICS.get(table.metric, table.metric)} (%)"


def notes(table: Table) -> list[str]:
    """What must be read with the numbers."""
    if all(row.most == 1 for row in table.rows):
        said = ["One seed each: no deviation is known."]
    else:
        over = {"seeds": "seeds", "draws": "seeds and draws of the few training images"}[table.count]
        said = [f"Mean ± sample standard deviation over {over}; a single value has none."]
    if table.best:
        said.append("Bold: the best of its column.")
    if table.common:
        said.append(f"All with {', '.join(table.common)}.")
    if len(table.learning_rates) > 1:
        tried = ", ".join(map(_rate, table.learning_rates))
        chosen = "; ".join(f"{row.label}: {_chosen_rates(row)}" for row in table.rows)
        said.append(
            f"Learning rates {tried} were tried; each number is of the one with the highest mean on these very test "
            f"images, which is optimistic. {chosen}."
        )
    return said


def beside(table: Table) -> list[PublishedTable]:
    """The published numbers that stand below a table, if it is of the end of training."""
    if table.selection == "best":
        return []
    return published_beside(table.task, table.protocol, table.metric)


def published_heading(published: PublishedTable) -> str:
    return f"Published, on {published.data}: {published.network}"


def published_notes(published: PublishedTable, table: Table) -> list[str]:
    """What must be read with published numbers that stand below `table`."""
    if published.comparable(table.data, table.protocol):
        compared = "The same data and protocol as above: comparable where the network is the same too."
    else:
        compared = (
            f"Measured on {published.data} under {published.protocol}: not comparable with the numbers above, "
            f"on {table.data} under {table.protocol}."
        )
    memory = [f"† {FROM_MEMORY}"] if published.from_memory else []
    return [compared, f"Source: {published.source}.", *memory]


def published_label(published: PublishedTable, method: str) -> str:
    """The method, marked where its numbers are quoted from memory."""
    return f"{method} †" if published.from_memory else method


def number(cell: Cell) -> str:
    return f"{cell.mean:.1f}"


def deviation(cell: Cell) -> str:
    """Nothing for a single value."""
    return "" if cell.deviation is None else f"± {cell.deviation:.1f}"


def fewer(cell: Cell, most: int) -> str:
    """How many values a cell has where its row's others have more."""
    return f"n = {len(cell.values)}" if len(cell.values) < most else ""


def _chosen_rates(row: Row) -> str:
    """The one rate of all columns, or each rate with its columns."""
    columns: dict[str, list[str]] = {}
    for column, cell in row.cells.items():
        columns.setdefault(_rate(cell.lr), []).append(column)
    if len(columns) == 1:
        return next(iter(columns))
    return ", ".join(f"{rate} at {' '.join(of)}" for rate, of in columns.items())


def _rate(lr: float | None) -> str:
    return "of the protocol" if lr is None else f"{lr:g}"
