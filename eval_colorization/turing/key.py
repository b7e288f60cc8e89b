"""The sealed answer key of a visual Turing test: which image of each trial is the colorized one."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

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
    method: str | None  # None for vigilance: its fake is not by a colorization system
    real: str
    fake: str
    crowd_left: str  # which of the two stands on the left in crowd.csv

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"a trial's kind is {self.kind!r}, not one of {', '.join(get_args(Kind))}")
        if self.crowd_left not in (self.real, self.fake):
            raise ValueError(f"crowd_left of trial {self.trial} is neither of its images")


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
        if content["format"] != FORMAT:
            raise ValueError(f"its format is {content['format']!r}, this program reads {FORMAT}")
        return Key(
            test_id=content["test_id"],
            display_seconds=float(content["display_seconds"]),
            methods=tuple(content["methods"]),
            manifest=content["manifest"],
            forms=tuple(
                Form(form=form["form"], trials=tuple(Trial(**trial) for trial in form["trials"]))
                for form in content["forms"]
            ),
        )
    except (KeyError, TypeError, ValueError) as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise ValueError(f"{path} is not an answer key of turing-export: {what}") from None
