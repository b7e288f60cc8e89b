"""The sealed answer key of a visual Turing test: which image of each trial is the colorized one."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

FORMAT = 1

Kind = Literal["practice", "test", "vigilance"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One showing of a real photo beside a colorized one.

    `practice` trials give feedback and do not count; in `vigilance` trials the fake is obvious, and they only
    tell whether the participant paid attention; `test` trials count.
    """

    trial: str
    kind: Kind
    photo: str
    method: str | None  # None for vigilance: its fake is no colorization system's
    real: str
    fake: str
    crowd_left: str  # which of the two stands on the left in crowd.csv


@dataclass(frozen=True, kw_only=True)
class Form:
    """The finished set of trials of one participant; no photo comes twice."""

    form: str
    trials: tuple[Trial, ...]


@dataclass(frozen=True, kw_only=True)
class Key:
    """All forms of a test with their answers, and the `manifest` of how the images were made."""

    test_id: str
    display_seconds: float
    methods: tuple[str, ...]
    manifest: dict[str, Any]
    forms: tuple[Form, ...]


def write_key(key: Key, path: Path) -> None:
    """Write `key` as JSON."""
    content = {"format": FORMAT, **dataclasses.asdict(key)}
    path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_key(path: Path) -> Key:
    """Read what `write_key` wrote.

    Raises ValueError, naming the file and what is wrong, for a file that is missing, truncated or no key.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"there is no answer key {path}: name the key.json that turing-export wrote"
        ) from None
    except ValueError as error:  # of the JSON or of its UTF-8
        raise ValueError(
            f"{path} is not a whole answer key ({error}): copy it again from the export"
        ) from None
    try:
        if _field(content, "format", int) != FORMAT:
            raise _WrongKeyError(f"its format is {content['format']}, this program reads {FORMAT}")
        return Key(
            test_id=_field(content, "test_id", str),
            display_seconds=float(_field(content, "display_seconds", float, int)),
            methods=tuple(_field(content, "methods", list)),
            manifest=_field(content, "manifest", dict),
            forms=tuple(_form(form) for form in _field(content, "forms", list)),
        )
    except _WrongKeyError as error:
        raise ValueError(f"{path} is not an answer key of turing-export: {error}") from None


class _WrongKeyError(Exception):
    pass


def _form(content: Any) -> Form:
    trials = tuple(_trial(trial) for trial in _field(content, "trials", list))
    return Form(form=_field(content, "form", str), trials=trials)


def _trial(content: Any) -> Trial:
    kind = _field(content, "kind", str)
    if kind not in get_args(Kind):
        raise _WrongKeyError(f"a trial's kind is {kind!r}, not one of {', '.join(get_args(Kind))}")
    trial = Trial(
        trial=_field(content, "trial", str),
        kind=cast(Kind, kind),
        photo=_field(content, "photo", str),
        method=_field(content, "method", str, type(None)),
        real=_field(content, "real", str),
        fake=_field(content, "fake", str),
        crowd_left=_field(content, "crowd_left", str),
    )
    if trial.crowd_left not in (trial.real, trial.fake):
        raise _WrongKeyError(f"crowd_left of trial {trial.trial} is neither of its images")
    return trial


def _field(content: Any, name: str, *types: type) -> Any:
    if not isinstance(content, Mapping) or name not in content:
        raise _WrongKeyError(f"{name!r} is missing")
    if not isinstance(content[name], types):
        raise _WrongKeyError(
            f"{name!r} is {content[name]!r:.60}, not {' or '.join(t.__name__ for t in types)}"
        )
    return content[name]
