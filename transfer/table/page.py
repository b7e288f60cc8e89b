"""The page of all results: one HTML file with everything in it."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from markupsafe import Markup
from matplotlib.figure import Figure

from pretext.figure_style import inline_svg
from pretext.html_page import render_page as render_template
from transfer.results import Record
from transfer.table import words
from transfer.table.comparison import Table
from transfer.table.figure import figure_names, looks
from transfer.table.overview import MEASURE, SUBJECT, Overview
from transfer.table.provenance import Provenance
from transfer.table.published import PASCAL_SIDE_BY_SIDE

TEMPLATES = Path(__file__).parent / "templates"


def render_page(
    tables: Sequence[Table],
    overview: Overview | None,
    figures: Mapping[str, Figure],
    records: Sequence[Record],
    provenance: Sequence[Provenance],
) -> str:
    """The overview, if there is one, and the tables as one HTML file that loads nothing and runs no script.

    Args:
        tables: in the order of `make_tables`.
        figures: file name -> figure, of `figure_names`.
        records: those that the tables are made of.
        provenance: of the networks.
    """
    return render_template(
        TEMPLATES / "table.html",
        files=("style.css",),
        policy="img-src data:; style-src-attr 'unsafe-inline'",
        sections=[
            {"subject": subject, "tables": list(of_subject)}
            for subject, of_subject in groupby(tables, words.subject)
        ],
        figures={
            id(table): {"name": name, "svg": Markup(inline_svg(figures[name], f"figure{number}"))}
            for number, (name, table) in enumerate(figure_names(tables).items())
        },
        overview=overview,
        overview_subject=SUBJECT,
        overview_measure=MEASURE,
        pascal=PASCAL_SIDE_BY_SIDE,
        id=id,
        words=words,
        looks=looks,
        records=records,
        provenance=provenance,
        versions=_versions(records),
    )


def _versions(records: Sequence[Record]) -> dict[str, list[str]]:
    """package -> the versions that computed the records."""
    versions: dict[str, set[str]] = {}
    for record in records:
        for package, version in record.versions.items():
            versions.setdefault(package, set()).add(version)
    return {package: sorted(of) for package, of in versions.items()}
