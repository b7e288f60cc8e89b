"""Names in messages: those that users mistype, and the first few of many."""

import difflib
from collections.abc import Iterable, Sequence


def did_you_mean(name: str, valid: Iterable[str]) -> str:
    """' (did you mean ...?)' where one of `valid` is near `name`, else nothing."""
    nearest = difflib.get_close_matches(name, list(valid), n=1, cutoff=0.5)
    return f" (did you mean {nearest[0]!r}?)" if nearest else ""


def unknown_name(kind: str, name: str, valid: Iterable[str]) -> str:
    """The message for a `kind` of thing that does not exist: the nearest that does, and all of them."""
    return f"there is no {kind} {name!r}{did_you_mean(name, valid)}; valid names are {', '.join(valid)}"


def first_few(names: Sequence[str], count: int = 3) -> str:
    """The first `count` names, and how many more there are."""
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
