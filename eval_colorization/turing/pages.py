"""The participant's page of a visual Turing test."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eval_colorization.turing.database import PlannedTrial
from eval_colorization.turing.key import Form, Key
from pretext.html_page import render_page

TEMPLATES = Path(__file__).parent / "templates"


def participant_page(test: Mapping[str, Any]) -> str:
    """The self-contained page of one form; its images lie beside it in `images/`.

    Its policy allows its own style and script, images of its own folder or server, answers to that server, and
    nothing else.

    Args:
        test: the JSON that `templates/session.js` reads and describes; of `shown_test`.
    """
    return render_page(
        TEMPLATES / "index.html",
        files=("style.css", "session.js", "script.js"),
        policy="img-src 'self' file: data:; connect-src 'self'",
        test=test,
    )


def shown_test(
    key: Key, form: Form, plan: Sequence[PlannedTrial], *, server: str | None = None, num_answered: int = 0
) -> dict[str, Any]:
    """What the page of a form may know: its trials in the order of `plan`, and as a local file the practice's answers.

    Args:
        server: path of the participant on the server; None for a local file.
    """
    practice = {trial.trial: trial.fake for trial in form.trials if trial.kind == "practice"}
    return {
        "test_id": key.test_id,
        "form": form.form,
        "display_seconds": key.display_seconds,
        "server": server,
        "shuffle": server is None,
        "answered": num_answered,
        "trials": [
            {"trial": trial, "images": [left, right], "practice": trial in practice}
            | ({"fake": practice[trial]} if server is None and trial in practice else {})
            for trial, left, right in plan
        ],
    }
