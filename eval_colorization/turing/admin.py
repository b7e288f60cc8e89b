"""What the researcher sees while a test is being taken: live counts, links, all answers as CSV."""

import csv
import io
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from jinja2 import Environment, FileSystemLoader

from eval_colorization.turing.key import Key
from eval_colorization.turing.page import PAGE
from eval_colorization.turing.spreadsheet import harmless

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


def render_admin(counts: Counts, key: Key, *, base_url: str, token: str, nonce: str) -> str:
    """The admin page.

    Args:
        base_url: where the participants' links begin, without a slash at the end.
        token: goes into the form that makes invitations.
        nonce: of the style and the script, for the Content-Security-Policy.
    """
    environment = Environment(loader=FileSystemLoader(PAGE), autoescape=True)
    return environment.get_template("admin.html").render(
        counts=counts, key=key, base_url=base_url, token=token, nonce=nonce
    )


def answers_csv(connection: sqlite3.Connection, key: Key) -> str:
    """All answers so far, one row each, in the order of participants and positions.

    `fooled` is 1 where the participant took the real photo for the fake one, else 0.
    """
    trials = {(form.form, trial.trial): trial for form in key.forms for trial in form.trials}
    file = io.StringIO()
    table = csv.writer(file)
    table.writerow(COLUMNS)
    for participant, form, trial_id, left, right, chosen, seconds, received in connection.execute(
        "SELECT participant, form, trial, left_image, right_image, chosen, seconds, received"
        " FROM answers JOIN participants USING (participant) ORDER BY created, participant, position"
    ):
        trial = trials[form, trial_id]
        fields = (
            participant,
            form,
            trial_id,
            trial.kind,
            trial.photo,
            trial.method or "",
            left,
            right,
            chosen,
        )
        fooled = int(chosen == trial.real)
        table.writerow([*map(harmless, fields), fooled, f"{seconds:.3f}", received])
    return file.getvalue()
