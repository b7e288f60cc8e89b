"""`eval_colorization turing-score`: from the answers of a visual Turing test to fooling rates."""

import csv
import dataclasses
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from eval_colorization.published import fooling_rates
from eval_colorization.turing.answers import Participant, Problem, read_answers
from eval_colorization.turing.fooling import PairScore, measure_fooling, split_participants
from eval_colorization.turing.key import read_key
from eval_colorization.turing.score_figures import draw_fooling_rates, draw_response_times
from eval_colorization.turing.score_text import PUBLISHED_SOURCE, exclusions_text, problems_text, score_text
from eval_colorization.turing.spreadsheet import harmless
from pretext.quoted import mark
from pretext.runtime.command_line import RunFailedError
from pretext.runtime.whole_file import write_whole

FORMAT = 1


def score(
    paths: Sequence[Path], key_path: Path, out: Path, *, min_vigilance: float = 0.75, seed: int = 0
) -> None:
    """Print the fooling rates and write score.json, trials.csv, per_image.csv and the figures into `out`.

    The rate is that of Zhang, Isola, Efros 2016, section 3.1: the share of test trials in which the real photo
    is taken for the painted one, with a bootstrap interval over participants and trials. Who counts is told at
    `split_participants`, what happens to faulty files at `read_answers`; both are printed.

    Args:
        paths: result files, databases of turing-serve, crowd CSVs, and folders of them.
        key_path: the test's key.json.
        min_vigilance: share of the obvious fakes that a participant must have recognised, in [0, 1].
        seed: of the bootstrap.

    Raises:
        ValueError: a path, key or share that cannot be, or all answers are of another test.
        RunFailedError: no answer is left to count.
    """
    if not 0 <= min_vigilance <= 1:
        raise ValueError(f"min_vigilance is a share between 0 and 1 but is {min_vigilance}")
    key = read_key(key_path)
    sheet = read_answers(paths, key)
    counted, excluded = split_participants(sheet, key, min_vigilance)
    faults = [text for text in (exclusions_text(excluded), problems_text(sheet.problems)) if text]
    if not counted:
        print("\n".join(faults))
        raise RunFailedError(
            f"no answer is left to count: participants read {len(sheet.participants)}, excluded "
            f"{len(excluded)}; problems with the answers {len(sheet.problems)} (see above)"
        )
    result = measure_fooling(sheet, key, counted, excluded, seed=seed)
    print("\n".join([f"Turing test {key.test_id}", score_text(result), *faults]))

    summary = {
        "format": FORMAT,
        "test_id": key.test_id,
        "key_sha256": hashlib.sha256(key_path.read_bytes()).hexdigest(),
        "min_vigilance": min_vigilance,
        "seed": seed,
        **dataclasses.asdict(result),
        "problems": [_problem_row(problem) for problem in sheet.problems],
        "published": {
            "source": PUBLISHED_SOURCE,
            "fooling_rates": fooling_rates(),
            "quoted from memory": [method for method, rate in fooling_rates().items() if mark(rate)],
        },
        "manifest": key.manifest,
    }
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "score.json", json.dumps(summary, indent=2) + "\n")
    write_whole(out / "trials.csv", _csv_text(_trial_rows(counted)))
    write_whole(out / "per_image.csv", _csv_text(_pair_rows(result.pairs)))
    draw_fooling_rates(result.methods, out)
    draw_response_times(counted, key.methods, out)
    print(
        f"\nwrote score.json, trials.csv, per_image.csv, fooling_rates and response_times (png, pdf) to {out}"
    )


def _problem_row(problem: Problem) -> dict[str, str]:
    return {"file": str(problem.file), "what": problem.what}


def _trial_rows(counted: Sequence[Participant]) -> Iterable[dict[str, Any]]:
    """One for each test trial that counts."""
    for participant in counted:
        for answer in participant.of_kind("test"):
            yield {
                "participant": participant.name,
                "form": answer.form,
                "trial": answer.trial.trial,
                "position": answer.position,
                "photo": answer.trial.photo,
                "method": answer.trial.method,
                "left": answer.left,
                "right": answer.right,
                "chosen": answer.chosen,
                "fooled": int(answer.fooled),
                "seconds": answer.seconds,
            }


def _pair_rows(pairs: Sequence[PairScore]) -> Iterable[dict[str, Any]]:
    """The pairs, those that fooled most first; the rate in percent."""
    for rank, pair in enumerate(pairs, start=1):
        rate = round(100 * pair.fooled / pair.shown, 2)
        yield {"rank": rank, **dataclasses.asdict(pair), "fooling_rate": rate}


def _csv_text(rows: Iterable[Mapping[str, Any]]) -> str:
    """Rows of the same keys, one at least, under a header."""
    rows = list(rows)
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {name: harmless(value) if isinstance(value, str) else value for name, value in row.items()}
        for row in rows
    )
    return text.getvalue()
