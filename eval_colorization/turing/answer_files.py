"""The files that answers come in, read into one shape and not yet checked against the key.

Result files of the local page (.json), databases of turing-serve (.sqlite, .db), and tables (.csv): its admin
page's download and the answers of crowd-work platforms. Every reader raises `UnreadableError` for a file that is
not whole or of another kind.
"""

import csv
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eval_colorization.turing.database import reading
from eval_colorization.turing.key import Trial

RESULT_FORMAT = 1

# What turing-export and turing-score themselves write, where a folder is read.
NOT_ANSWERS = {"key.json", "crowd.csv", "score.json", "trials.csv", "per_image.csv"}


class UnreadableError(Exception):
    """The file as a whole cannot be used; the message says why, without naming it."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What one file says of one participant. Its answers are as they came: mappings, if all is well."""

    file: Path
    participant: str
    test_id: str | None  # None: the file does not say
    form: str | None  # None: a crowd worker, who takes trials of any form
    answers: list[Any] = field(default_factory=list)


def find_files(paths: Sequence[Path]) -> list[Path]:
    """The answer files among `paths`, and those in the folders among them, at any depth, each once.

    Raises ValueError for a path that does not exist or is a file of another kind.
    """
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = (file for file in sorted(path.rglob("*")) if file.suffix.lower() in READERS)
            files += [f for f in inside if f.name not in NOT_ANSWERS and not f.name.startswith(".")]
        elif not path.exists():
            raise ValueError(f"there is no file or folder {path} to read answers from")
        elif path.suffix.lower() not in READERS:
            raise ValueError(f"answers come in files of type {', '.join(READERS)} or folders, not in {path}")
        else:
            files.append(path)
    return list({file.resolve(): file for file in files}.values())


def read_submissions(file: Path, trials: Mapping[str, Trial]) -> list[Submission]:
    """Read any of the three kinds. `trials` are the key's, by name: a crowd's left and right need them."""
    try:
        return list(READERS[file.suffix.lower()](file, trials))
    except OSError as error:
        raise UnreadableError(f"cannot be opened ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UnreadableError("is not UTF-8 text") from None


def _read_result(file: Path, trials: Mapping[str, Trial]) -> Iterator[Submission]:
    text = file.read_text(encoding="utf-8-sig")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnreadableError(f"is truncated or not JSON ({error}): ask for the file again") from None
    if not isinstance(content, dict) or not isinstance(content.get("answers"), list):
        raise UnreadableError("is not a result file of the test: it holds no list of answers")
    if content.get("format") != RESULT_FORMAT:
        raise UnreadableError(
            f"has format {content.get('format')!r:.40}, but this program reads {RESULT_FORMAT}"
        )
    for name, pattern in (("participant", "[0-9a-f]{16}"), ("test_id", "[0-9a-f]{16}"), ("form", r"[\w-]+")):
        if not isinstance(content.get(name), str) or not re.fullmatch(pattern, content[name]):
            raise UnreadableError(f"has {name} {content.get(name)!r:.40}, which the page did not write")
    fields = ("participant", "test_id", "form", "answers")
    yield Submission(file=file, **{name: content[name] for name in fields})


def _read_database(file: Path, trials: Mapping[str, Trial]) -> Iterator[Submission]:
    """Everyone who opened an invitation. A server may be writing meanwhile."""
    try:
        with reading(file) as connection:
            test_ids = [test_id for (test_id,) in connection.execute("SELECT test_id FROM test")]
            opened = "SELECT participant, form FROM participants WHERE plan IS NOT NULL ORDER BY rowid"
            forms = dict(connection.execute(opened))
            answers: dict[str, list[Any]] = {participant: [] for participant in forms}
            names = ("trial", "position", "left", "right", "chosen", "seconds")
            for participant, *values in connection.execute(
                "SELECT participant, trial, position, left_image, right_image, chosen, seconds"
                " FROM answers ORDER BY participant, position"
            ):
                answers.setdefault(participant, []).append(dict(zip(names, values, strict=True)))
    except sqlite3.Error as error:
        raise UnreadableError(f"cannot be read as a database of turing-serve ({error})") from None
    if len(test_ids) != 1:
        raise UnreadableError("is a database that turing-serve did not finish creating: it names no test")
    for participant, form in forms.items():
        yield Submission(
            file=file, participant=participant, test_id=test_ids[0], form=form, answers=answers[participant]
        )


@dataclass(frozen=True, kw_only=True)
class _Dialect:
    """Names of a CSV's columns. The answer is 'left', 'right' or the image's name."""

    participant: str
    trial: str
    answer: str
    seconds: str
    test_id: str
    # The sides are crowd.csv's unless the file says otherwise.
    placement: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        return (self.participant, self.trial, self.answer, *self.placement)


DIALECTS = (
    # The admin page's download, the only one that knows forms.
    _Dialect(
        participant="participant",
        trial="trial",
        answer="chosen",
        seconds="seconds",
        test_id="test_id",
        placement=("form", "left", "right"),
    ),
    _Dialect(participant="participant", trial="trial", answer="answer", seconds="seconds", test_id="test_id"),
    # Amazon Mechanical Turk's batch results. The time is that of the whole assignment, with loading the page.
    _Dialect(
        participant="WorkerId",
        trial="Input.trial",
        answer="Answer.answer",
        seconds="WorkTimeInSeconds",
        test_id="Input.test_id",
    ),
)


def _read_csv(file: Path, trials: Mapping[str, Trial]) -> Iterator[Submission]:
    submissions: dict[tuple[str, str | None, str | None], Submission] = {}
    with file.open(encoding="utf-8-sig", newline="") as lines:
        rows = csv.DictReader(lines)
        try:
            columns = rows.fieldnames or []
            dialect = next((d for d in DIALECTS if set(d.needed) <= set(columns)), None)
            if dialect is None:
                wanted = " or ".join(", ".join(dialect.needed) for dialect in DIALECTS)
                there = ", ".join(columns) or "none"
                raise UnreadableError(f"lacks columns: expected are {wanted}; found {there}")
            for row in rows:
                participant, test_id = row[dialect.participant] or "", row.get(dialect.test_id) or None
                form = (row["form"] or "") if dialect.placement else None
                submission = submissions.setdefault(
                    (participant, test_id, form),
                    Submission(file=file, participant=participant, test_id=test_id, form=form),
                )
                submission.answers.append(_csv_answer(row, dialect, trials))
        except csv.Error as error:
            raise UnreadableError(f"is not a whole CSV file ({error} in line {rows.line_num})") from None
    yield from submissions.values()


def _csv_answer(
    row: Mapping[str, str | None], dialect: _Dialect, trials: Mapping[str, Trial]
) -> dict[str, Any]:
    """A row in the shape of a result file's answer, 'left' and 'right' turned into images where possible."""
    name, answer = (row[dialect.trial] or "").strip(), (row[dialect.answer] or "").strip().lower()
    sides: dict[str, str | None] = {}
    if dialect.placement:
        sides = {"left": row["left"], "right": row["right"]}
    elif name in trials:
        real, fake, left = trials[name].real, trials[name].fake, trials[name].crowd_left
        sides = {"left": left, "right": real if left == fake else fake}
    seconds: Any = row.get(dialect.seconds) or None
    with suppress(ValueError, TypeError):  # not a number: told with the answer's other faults
        seconds = float(seconds)
    return {
        "trial": name,
        **sides,
        "chosen": sides.get(answer, answer),
        "seconds": seconds,
        "rejected": row.get("AssignmentStatus") == "Rejected",
    }


READERS = {".json": _read_result, ".csv": _read_csv, ".sqlite": _read_database, ".db": _read_database}
