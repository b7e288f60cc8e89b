"""CSV cells that a spreadsheet program takes for text."""

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def harmless(field: str) -> str:
    """`field`, with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{field}" if field.lstrip(" ").startswith(FORMULA_STARTS) else field
