"""The figure of a table: its numbers by stage."""

import re
from collections.abc import Sequence

from matplotlib.figure import Figure

from pretext.figure_style import COLOURS, GROUND, WIDTH, Look, house_style, literal, look_of
from transfer.table.comparison import Grid, Table
from transfer.table.overview import HEADLINES
from transfer.table.words import measure

SPREAD = 0.3  # of the distance between two stages, over which a stage's points stand side by side


def draw_by_stage(table: Table) -> Figure:
    """A line for each row of the table, with bars of one sample standard deviation."""
    num_rows = len(table.rows)
    with house_style():
        figure = Figure(figsize=(WIDTH, max(3.2, 1.0 + 0.18 * num_rows)), layout="constrained")
        axes = figure.subplots()
        axes.grid(axis="x", visible=False)
        for place, (row, look) in enumerate(zip(table.rows, looks(table), strict=True)):
            offset = SPREAD * ((place + 0.5) / num_rows - 0.5)
            columns = [column for column in table.columns if column in row.cells]
            cells = [row.cells[column] for column in columns]
            axes.errorbar(
                [table.columns.index(column) + offset for column in columns],
                [cell.mean for cell in cells],
                [cell.deviation or 0 for cell in cells],
                color=look.colour,
                linestyle=look.dashes,
                marker=look.marker,
                markeredgecolor=GROUND,
                markeredgewidth=0.5,
                elinewidth=1.4,
                label=literal(row.label),
            )
        axes.set_xticks(range(len(table.columns)), [literal(column, 20) for column in table.columns])
        if len("".join(table.columns)) > 90:
            axes.tick_params(axis="x", labelrotation=40)
        axes.set_xlim(-0.5, len(table.columns) - 0.5)
        axes.set_ylabel(measure(table))
        figure.legend(loc="outside right upper")
    return figure


def looks(table: Grid) -> list[Look]:
    """The look of each row: a backbone's rows share its colour, and differ in dashes and markers."""
    variants: dict[str, int] = {}  # backbone -> its rows so far
    places = []
    for row in table.rows:
        variant = variants.setdefault(row.backbone, 0)
        places.append(list(variants).index(row.backbone) + len(COLOURS) * variant)
        variants[row.backbone] += 1
    return list(map(look_of, places))


def figure_names(tables: Sequence[Table]) -> dict[str, Table]:
    """File name -> table, of the results at the end of training that have several stages or shots as columns.

    Those chosen on the test images have no figure, nor those whose columns say what was trained: no stage is tested.
    """
    names: dict[str, Table] = {}
    for table in tables:
        if table.chosen_on != "test" and table.task not in HEADLINES and len(table.columns) > 1:
            words = f"{table.task} {table.data} {table.protocol} {table.metric}"
            slug = re.sub(r"[^A-Za-z0-9]+", "_", words)[:80]
            names[f"by_stage_{len(names) + 1}_{slug}"] = table
    return names
