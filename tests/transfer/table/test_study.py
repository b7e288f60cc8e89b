"""docs/transfer.md against the records that it was written from."""

from pathlib import Path

from transfer.results import read_records
from transfer.table.comparison import make_tables
from transfer.table.text import markdown

DOCS = Path(__file__).parents[3] / "docs"


def cells(line):
    return [cell.strip() for cell in line.replace("**", "").strip("|").split("|")]


def test_every_row_of_the_study_is_in_the_table_that_its_records_make():
    made = [cells(line) for line in markdown(make_tables(read_records([DOCS / "transfer"]))).splitlines()]
    rows = [
        cells(line) for line in (DOCS / "transfer.md").read_text().splitlines() if "±" in line and "|" in line
    ]
    assert len(rows) == 13
    for name, *numbers in rows:
        assert any(row[0] == name and [of for of in row[2:] if of] == numbers for row in made), name
