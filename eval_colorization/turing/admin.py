"""What the researcher sees while a test is being taken: live counts, links, all answers as CSV."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from eval_colorization.turing.answers import COLUMNS, read_answers
from eval_colorization.turing.database import reading
from eval_colorization.turing.key import Key
from eval_colorization.turing.spreadsheet import csv_text


@dataclass(frozen=True, kw_only=True)
class Invited:
    """One invitation and how far its participant has come."""

    invitation: str
    participant: str
    form: str | None
    started: str | None
    finished: str | None
    num_answered: int


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Everybody invited, and how many answers to test trials there are for each form and for each method."""

    invited: Sequence[Invited]
    by_form: Counter[str]
    by_method: Counter[str]


def count(database: Path, key: Key) -> Counts:
    """The state of a test."""
    with reading(database) as connection:
        rows = connection.execute(
            "SELECT invitation, participant, form, started, finished,"
            " (SELECT COUNT(*) FROM answers WHERE answers.participant = participants.participant)"
            " FROM participants ORDER BY created, participant"
        )
        names = ("invitation", "participant", "form", "started", "finished", "num_answered")
        invited = [Invited(**dict(zip(names, row, strict=True))) for row in rows]
        answers = dict(connection.execute("SELECT trial, COUNT(*) FROM answers GROUP BY trial"))
    by_form: Counter[str] = Counter()
    by_method: Counter[str] = Counter(dict.fromkeys(key.methods, 0))
    for form in key.forms:
        for trial in form.trials:
            if trial.kind == "test":
                by_form[form.form] += answers.get(trial.trial, 0)
                by_method[str(trial.method)] += answers.get(trial.trial, 0)
    return Counts(invited=invited, by_form=by_form, by_method=by_method)


def answers_csv(database: Path, key: Key) -> str:
    """All answers so far, one row per answer; `fooled` is 1 where the real photo was taken for the fake one."""
    participants = read_answers([database], key).participants
    return csv_text(
        COLUMNS, [row for one in participants for row in one.rows("practice", "test", "vigilance")]
    )
