"""`transfer table`: all results side by side, as Markdown, LaTeX, figures and a page."""

from pretext.figure_style import save_figure
from pretext.runtime.whole_file import write_whole
from transfer.config import TableConfig
from transfer.results import distinct, read_results
from transfer.table.comparison import make_tables
from transfer.table.figure import draw_by_stage, figure_names
from transfer.table.overview import make_overview
from transfer.table.page import render_page
from transfer.table.provenance import find_provenance
from transfer.table.text import latex, markdown


def make_table(config: TableConfig) -> None:
    """Write table.md, table.tex, index.html and the tables' figures into `config.out`; print the Markdown.

    Raises:
        FileNotFoundError: a path is not there.
        ValueError: a folder holds no records or a line is none, or one name and seed stand for two networks, or for
            two values of one number.
    """
    out, results = config.out, read_results(config.results)
    records = distinct(results)
    tables, overview = make_tables(records), make_overview(records)
    figures = {name: draw_by_stage(table) for name, table in figure_names(tables).items()}
    text = markdown(tables, overview)
    out.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        save_figure(figure, out / name)
    write_whole(out / "table.md", text)
    write_whole(out / "table.tex", latex(tables, overview))
    write_whole(
        out / "index.html", render_page(tables, overview, figures, records, find_provenance(results, out))
    )
    print(text)
    print(f"the page: {out / 'index.html'}")
