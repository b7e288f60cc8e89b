"""Numbers quoted from papers, and the mark on those that were quoted from memory."""

MARK = "†"
NOTE = f"{MARK} Quoted from memory: no readable source was at hand."


class FromMemory(float):
    """A published number quoted from memory: no readable source was at hand. Wherever it is printed, so is `mark`."""


def mark(number: float | None) -> str:
    """MARK for a number quoted from memory, nothing for any other."""
    return MARK if isinstance(number, FromMemory) else ""
