"""The answers of a served test in SQLite: who was invited, which form they see in which order, what they chose.

The functions take a connection inside a `transaction`, which undoes what one that raises has changed.
"""

import json
import random
import secrets
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from eval_colorization.turing.key import Form, Key

SCHEMA = """
CREATE TABLE test (test_id TEXT NOT NULL, key_sha256 TEXT NOT NULL);
CREATE TABLE admin (token TEXT NOT NULL);
CREATE TABLE participants (
    invitation TEXT PRIMARY KEY, participant TEXT NOT NULL UNIQUE, form TEXT, plan TEXT,
    created TEXT NOT NULL, started TEXT, finished TEXT);
CREATE TABLE answers (
    participant TEXT NOT NULL, trial TEXT NOT NULL, position INTEGER NOT NULL, left_image TEXT NOT NULL,
    right_image TEXT NOT NULL, chosen TEXT NOT NULL, seconds REAL NOT NULL, received TEXT NOT NULL,
    PRIMARY KEY (participant, trial));
"""
MAX_SECONDS = 86400.0  # a page left open overnight may still answer
LOCK_TIMEOUT = 30.0  # seconds to wait for another process that writes, a backup for instance


class UnknownInvitationError(LookupError):
    """No participant was invited by this link."""


class RefusedAnswerError(Exception):
    """The answer is not one that this participant can give now."""


class ConflictingAnswerError(RefusedAnswerError):
    """The trial was answered otherwise before; the first answer stands."""


class PlannedTrial(NamedTuple):
    """A trial as one participant sees it: file names of the two images."""

    trial: str
    left: str
    right: str


@dataclass(frozen=True, kw_only=True)
class Participation:
    """How far the participant of one invitation has come; `form` is None and `plan` empty before the start."""

    participant: str
    form: str | None
    plan: Sequence[PlannedTrial]
    num_answered: int


@dataclass(frozen=True, kw_only=True)
class Answer:
    """`chosen` is the image said to be the fake one, `seconds` the time from its appearance to the answer."""

    trial: str
    position: int
    chosen: str
    seconds: float


def connect(path: Path) -> sqlite3.Connection:
    """A connection for writing: what is committed has reached the disk, and readers hold up nobody."""
    connection = sqlite3.connect(path, LOCK_TIMEOUT, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """What the block changes is on the disk when it ends, and undone when it raises."""
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        yield


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that sees one moment of the database and cannot change it."""
    address = f"{path.resolve().as_uri()}?mode=ro"
    with closing(sqlite3.connect(address, LOCK_TIMEOUT, isolation_level=None, uri=True)) as connection:
        connection.execute("BEGIN")
        yield connection


def prepare_database(path: Path, test_id: str, key_sha256: str) -> None:
    """Create the database of the test, or check that the one there belongs to it.

    Raises:
        ValueError: it belongs to another test, or to this test with another key, or is not a database of answers.
    """
    try:
        if not path.exists() or path.stat().st_size == 0:
            _create(path, test_id, key_sha256)
        with reading(path) as connection:
            stored = connection.execute("SELECT test_id, key_sha256 FROM test").fetchone()
    except sqlite3.DatabaseError as error:
        raise ValueError(
            f"{path} cannot be used for answers ({error}); name another file with --database"
        ) from error
    if stored[0] != test_id:
        raise ValueError(
            f"{path} holds the answers of test {stored[0]}, the folder holds test {test_id}; "
            "name another file with --database"
        )
    if stored[1] != key_sha256:
        raise ValueError(
            f"{path} was created with another key.json of test {test_id} (SHA-256 {stored[1][:12]}..., "
            f"now {key_sha256[:12]}...); put the first key.json back, or name another file with --database"
        )


def _create(path: Path, test_id: str, key_sha256: str) -> None:
    path.touch(mode=0o600)  # it will hold the admin page's token and the invitations
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN")
        for statement in SCHEMA.split(";"):
            connection.execute(statement)
        connection.execute("INSERT INTO test VALUES (?, ?)", (test_id, key_sha256))
        connection.execute("INSERT INTO admin VALUES (?)", (secrets.token_urlsafe(24),))
        connection.execute("COMMIT")


def stored_admin_token(path: Path) -> str:
    """The token that was drawn when the database was created."""
    with reading(path) as connection:
        return str(connection.execute("SELECT token FROM admin").fetchone()[0])


def invite(connection: sqlite3.Connection, count: int) -> list[str]:
    """Make `count` new invitations: 32 hexadecimal digits each, which nobody can guess."""
    invitations = [secrets.token_hex(16) for _ in range(count)]
    connection.executemany(
        "INSERT INTO participants (invitation, participant, created) VALUES (?, ?, ?)",
        [(invitation, secrets.token_hex(8), _now()) for invitation in invitations],
    )
    return invitations


def look_up(connection: sqlite3.Connection, invitation: str) -> Participation:
    """How far the participant has come. Raises UnknownInvitationError."""
    row = connection.execute(
        "SELECT participant, form, plan FROM participants WHERE invitation = ?", (invitation,)
    ).fetchone()
    if row is None:
        raise UnknownInvitationError
    participant, form, plan = row
    count = connection.execute("SELECT COUNT(*) FROM answers WHERE participant = ?", (participant,))
    return Participation(
        participant=participant,
        form=form,
        plan=[PlannedTrial(*trial) for trial in json.loads(plan or "[]")],
        num_answered=count.fetchone()[0],
    )


def open_form(connection: sqlite3.Connection, invitation: str, key: Key) -> Participation:
    """The participant's form and progress; at the first visit the form that the fewest have, ties by lot.

    Raises UnknownInvitationError.
    """
    participation = look_up(connection, invitation)
    if participation.form is not None:
        return participation
    taken = Counter(
        form for (form,) in connection.execute("SELECT form FROM participants WHERE form IS NOT NULL")
    )
    fewest = min(taken[form.form] for form in key.forms)
    form = secrets.choice([form for form in key.forms if taken[form.form] == fewest])
    plan = shuffled_plan(form, secrets.SystemRandom())
    connection.execute(
        "UPDATE participants SET form = ?, plan = ?, started = ? WHERE invitation = ?",
        (form.form, json.dumps(plan), _now(), invitation),
    )
    return replace(participation, form=form.form, plan=plan)


def shuffled_plan(form: Form, rng: random.Random) -> list[PlannedTrial]:
    """The trials of `form` in random order, practice before all others, each with its images on random sides."""
    practice = [trial for trial in form.trials if trial.kind == "practice"]
    others = [trial for trial in form.trials if trial.kind != "practice"]
    rng.shuffle(practice)
    rng.shuffle(others)
    return [
        PlannedTrial(trial.trial, *rng.sample((trial.real, trial.fake), 2)) for trial in practice + others
    ]


def record_answer(connection: sqlite3.Connection, invitation: str, answer: Answer) -> Participation:
    """Store the answer to the participant's next trial; one that is stored already is left as it is.

    Returns how far the participant has come with it.

    Raises:
        UnknownInvitationError: nobody was invited so.
        ConflictingAnswerError: the trial was answered otherwise.
        RefusedAnswerError: it is not the participant's next trial, or the chosen image is not in it.
    """
    participation = look_up(connection, invitation)
    if not 0 <= answer.position < len(participation.plan):
        raise RefusedAnswerError("this participant has no trial at that position")
    trial = participation.plan[answer.position]
    if answer.trial != trial.trial or answer.chosen not in (trial.left, trial.right):
        raise RefusedAnswerError("that is not the trial at this position, or an image of another trial")
    if answer.position > participation.num_answered:
        raise RefusedAnswerError("an earlier trial has no answer yet")
    if answer.position < participation.num_answered:
        stored = connection.execute(
            "SELECT chosen FROM answers WHERE participant = ? AND trial = ?",
            (participation.participant, answer.trial),
        ).fetchone()
        if stored[0] != answer.chosen:
            raise ConflictingAnswerError("this trial was answered otherwise before; the first answer stands")
        return participation
    now = _now()
    connection.execute(
        "INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            participation.participant,
            answer.trial,
            answer.position,
            *trial[1:],
            answer.chosen,
            answer.seconds,
            now,
        ),
    )
    if answer.position + 1 == len(participation.plan):
        connection.execute("UPDATE participants SET finished = ? WHERE invitation = ?", (now, invitation))
    return replace(participation, num_answered=participation.num_answered + 1)


def parse_answer(body: bytes) -> Answer:
    """The answer in the JSON that a page sent; RefusedAnswerError for anything else."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise RefusedAnswerError("an answer is sent as JSON") from None
    match content:
        case {
            "trial": str(trial),
            "position": int(position),
            "chosen": str(chosen),
            "seconds": int(seconds) | float(seconds),
        } if not isinstance(position, bool) and not isinstance(seconds, bool) and 0 <= seconds <= MAX_SECONDS:
            return Answer(trial=trial, position=position, chosen=chosen, seconds=float(seconds))
    raise RefusedAnswerError(
        "an answer has a trial and the chosen image (texts), a position (a whole number) "
        f"and seconds (0 to {MAX_SECONDS:.0f})"
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
