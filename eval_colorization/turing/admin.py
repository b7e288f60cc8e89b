"""What the researcher sees while a test is being taken: live counts, links, all answers as CSV."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eval_colorization.turing.key import Key
from eval_colorization.turing.spreadsheet import csv_text

COLUMNS = (
    "participant", "form", "trial", "kind", "photo", "method", "left", "right", "chosen", "fooled", "seconds",
    "received",
)  # fmt: skip


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


def count(connection: sqlite3.Connection, key: Key) -> Counts:
    """The state of a test."""
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


def answers_csv(connection: sqlite3.Connection, key: Key) -> str:
    """All answers so far, one row per answer, in the order of participants and positions.

    `fooled` is 1 where the participant took the real photo for the fake one, else 0.
    """
    trials = {(form.form, trial.trial): trial for form in key.forms for trial in form.trials}
    answers = connection.execute(
        "SELECT participant, form, trial, left_image, right_image, chosen, seconds, received"
        " FROM answers JOIN participants USING (participant) ORDER BY created, participant, position"
    )

    def row(
        participant: str,
        form: str,
        name: str,
        left: str,
        right: str,
        chosen: str,
        seconds: float,
        received: str,
    ) -> dict[str, Any]:
        trial = trials[form, name]
        return {
            "participant": participant,
            "form": form,
            "trial": name,
            "kind": trial.kind,
            "photo": trial.photo,
            "method": trial.method or "",
            "left": left,
            "right": right,
            "chosen": chosen,
            "fooled": int(chosen == trial.real),
            "seconds": f"{seconds:.3f}",
            "received": received,
        }

    return csv_text(COLUMNS, (row(*answer) for answer in answers))
