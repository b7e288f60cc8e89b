"""Tests, participants and their files without images: what turing-score reads."""

import csv
import json
import secrets
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from eval_colorization.turing import database
from eval_colorization.turing.answers import AnswerSheet
from eval_colorization.turing.key import Form, Key, Trial

METHODS = ("annealed mean", "grey")
FOOLING = {"annealed mean": 0.4, "grey": 0.1, None: 0.1}


def choices(sheet: AnswerSheet) -> set[tuple[str, str, str, float | None]]:
    """Who chose what in which trial, and in what time."""
    return {
        (p.name, answer.trial.trial, answer.chosen, answer.seconds)
        for p in sheet.participants
        for answer in p.answers
    }


def complaints(sheet: AnswerSheet) -> str:
    """All that was found wrong with the files."""
    return "\n".join(problem.what for problem in sheet.problems)


def make_key(
    rng: np.random.Generator,
    methods: Sequence[str],
    *,
    blocks: int = 1,
    test: int = 12,
    practice: int = 2,
    vigilance: int = 4,
) -> Key:
    """A Latin square: form r of a block shows photo i colorized by method (i + r) mod M."""

    def hexadecimal(digits: int) -> str:
        return rng.bytes(digits // 2).hex()

    def trial(kind: Any, photo: str, method: str | None) -> Trial:
        real, fake = f"{hexadecimal(16)}.png", f"{hexadecimal(16)}.png"
        left = real if rng.random() < 0.5 else fake
        return Trial(
            trial=hexadecimal(12),
            kind=kind,
            photo=photo,
            method=method,
            real=real,
            fake=fake,
            crowd_left=left,
        )

    forms: list[Form] = []
    for block in range(blocks):
        for turn in range(len(methods)):
            trials = [trial("practice", f"practice-{i}", methods[i % len(methods)]) for i in range(practice)]
            trials += [
                trial("test", f"photo-{block}-{i:02}", methods[(i + turn) % len(methods)])
                for i in range(test)
            ]
            trials += [trial("vigilance", f"vigilance-{i}", None) for i in range(vigilance)]
            forms.append(Form(form=f"form-{len(forms) + 1:02}", trials=tuple(trials)))
    return Key(
        test_id=hexadecimal(16),
        display_seconds=1.0,
        methods=tuple(methods),
        manifest={"images": "simulated"},
        forms=tuple(forms),
    )


def result_file(
    key: Key, form: Form, rng: np.random.Generator, fooling: Mapping[str | None, float]
) -> dict[str, Any]:
    """What the page saves for a participant whom each method (None: vigilance) fools with its probability."""
    answers: list[dict[str, Any]] = []
    practice = [trial for trial in form.trials if trial.kind == "practice"]
    others = [trial for trial in form.trials if trial.kind != "practice"]
    for trial in practice + [others[i] for i in rng.permutation(len(others))]:
        fooled = rng.random() < fooling[trial.method]
        left, right = rng.permutation([trial.real, trial.fake]).tolist()
        answers.append(
            {
                "trial": trial.trial,
                "position": len(answers),
                "left": left,
                "right": right,
                "chosen": trial.real if fooled else trial.fake,
                "seconds": round(float(rng.lognormal(0.6 + 0.3 * fooled, 0.5)), 3),
            }
        )
    return {
        "format": 1,
        "test_id": key.test_id,
        "form": form.form,
        "participant": rng.bytes(8).hex(),
        "started": "2024-05-01T10:00:00Z",
        "finished": "2024-05-01T10:05:00Z",
        "complete": True,
        "num_trials": len(answers),
        "answers": answers,
    }


def simulate(
    key: Key, rng: np.random.Generator, participants: int, fooling: Mapping[str | None, float]
) -> list[dict[str, Any]]:
    """Participants over the forms in turn."""
    return [
        result_file(key, key.forms[index % len(key.forms)], rng, fooling) for index in range(participants)
    ]


def save(result: Mapping[str, Any], folder: Path, name: str | None = None) -> Path:
    """As the page names it."""
    folder.mkdir(exist_ok=True)
    path = folder / (name or f"turing-{result['test_id']}-{result['form']}-{result['participant']}.json")
    path.write_text(json.dumps(result))
    return path


def save_database(key: Key, results: Sequence[Mapping[str, Any]], path: Path) -> None:
    """The same answers as turing-serve stores them."""
    database.prepare_database(path, key.test_id, "0" * 64)
    with closing(database.connect(path)) as connection:
        for result in results:
            plan = json.dumps([[a["trial"], a["left"], a["right"]] for a in result["answers"]])
            connection.execute(
                "INSERT INTO participants VALUES (?, ?, ?, ?, 'created', 'started', 'finished')",
                (secrets.token_hex(16), result["participant"], result["form"], plan),
            )
            connection.executemany(
                "INSERT INTO answers VALUES (:participant, :trial, :position, :left, :right, :chosen, :seconds, 'now')",
                [answer | {"participant": result["participant"]} for answer in result["answers"]],
            )


def save_table(rows: Sequence[Mapping[str, Any]], path: Path) -> Path:
    """Rows of the same keys as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0].keys())
        table.writeheader()
        table.writerows(rows)
    return path


def crowd_rows(key: Key, results: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The same choices as a crowd platform returns them: sides are those of crowd.csv, practice is not shown."""
    trials = {trial.trial: trial for form in key.forms for trial in form.trials}
    return [
        {
            "participant": result["participant"],
            "trial": answer["trial"],
            "answer": "left" if answer["chosen"] == trials[answer["trial"]].crowd_left else "right",
            "seconds": answer["seconds"],
        }
        for result in results
        for answer in result["answers"]
        if trials[answer["trial"]].kind != "practice"
    ]
