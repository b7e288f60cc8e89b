"""docs/transfer.md against the records that it was written from."""

from pathlib import Path

from transfer.results import read_records
from transfer.table.comparison import make_tables
from transfer.table.overview import make_overview
from transfer.table.text import markdown

DOCS = Path(__file__).parents[3] / "docs"


def cells(line):
    return [cell.strip() for cell in line.replace("**", "").strip("|").split("|")]


def test_every_row_of_the_study_is_in_the_table_that_its_records_make():
    records = read_records([DOCS / "transfer"])
    text = markdown(make_tables(records), make_overview(records))
    made = [cells(line) for line in text.splitlines()]
    rows = [
        cells(line) for line in (DOCS / "transfer.md").read_text().splitlines() if "±" in line and "|" in line
    ]
    assert len(rows) == 15
    for name, *numbers in rows:
        assert any(row[0] == name and [of for of in row[2:] if of] == numbers for row in made), name
