"""CSV whose cells a spreadsheet program takes for text."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows of these columns under a header; texts are `harmless`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: harmless(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in rows
    )
    return text.getvalue()


def harmless(field: str) -> str:
    """`field`, with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{field}" if field.lstrip(" ").startswith(FORMULA_STARTS) else field
