"""`eval_colorization turing-score`: from the answers of a visual Turing test to fooling rates."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict

from eval_colorization.config import TuringScoreConfig
from eval_colorization.published import CTEST10K, fooling_rates
from eval_colorization.turing.answers import COLUMNS, csv_text, read_answers
from eval_colorization.turing.fooling import (
    FoolingScore,
    MethodScore,
    PairScore,
    Quartiles,
    measure_fooling,
    split_participants,
)
from eval_colorization.turing.key import read_key
from eval_colorization.turing.score_figures import draw_fooling_rates, draw_response_times
from pretext.quoted import NOTE, mark
from pretext.runtime.aligned import aligned
from pretext.runtime.command_line import RunFailedError
from pretext.runtime.whole_file import write_whole

FORMAT = 1

# 256 px, 1 s, 40 participants per method.
PUBLISHED_SOURCE = f"{CTEST10K.source}; other images and participants"
EXTREMES = 5  # pairs that fooled most, and least
MAX_LINES = 20  # of one list


def score(config: TuringScoreConfig) -> None:
    """Print the fooling rates and write score.json, trials.csv, per_image.csv and the figures into `config.out`.

    The rate is that of Zhang, Isola, Efros 2016, section 3.1: the share of test trials in which the real photo
    is taken for the colorized one, with a bootstrap interval over participants and trials. Who counts is told at
    `split_participants`, what happens to faulty files at `read_answers`; both are printed.

    Raises:
        ValueError: a path, key or share that cannot be, or all answers are of another test.
        RunFailedError: no answer is left to count.
    """
    out, min_vigilance, seed = config.out, config.min_vigilance, config.seed
    if not 0 <= min_vigilance <= 1:
        raise ValueError(f"min_vigilance is a share between 0 and 1 but is {min_vigilance}")
    key = read_key(config.key)
    sheet = read_answers(config.answers, key)
    counted, excluded = split_participants(sheet, key, min_vigilance)
    faults = _listing("participants excluded", [f"{name!r}: {why}" for name, why in excluded.items()])
    faults += _listing(
        "problems with the answers", [f"{problem.file}: {problem.what}" for problem in sheet.problems]
    )
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
        "key_sha256": hashlib.sha256(config.key.read_bytes()).hexdigest(),
        "min_vigilance": min_vigilance,
        "seed": seed,
        **asdict(result),
        "problems": [{"file": str(problem.file), "what": problem.what} for problem in sheet.problems],
        "published": {
            "source": PUBLISHED_SOURCE,
            "fooling_rates": fooling_rates(),
            "quoted from memory": [method for method, rate in fooling_rates().items() if mark(rate)],
        },
        "manifest": key.manifest,
    }
    out.mkdir(parents=True, exist_ok=True)
    write_whole(out / "score.json", json.dumps(summary, indent=2) + "\n")
    trials = [row for one in counted for row in one.rows("test")]
    write_whole(out / "trials.csv", csv_text(COLUMNS, trials))
    pairs = [
        {"rank": rank, **asdict(pair), "fooling_rate": round(100 * pair.fooled / pair.shown, 2)}
        for rank, pair in enumerate(result.pairs, start=1)
    ]
    write_whole(out / "per_image.csv", csv_text(list(pairs[0]), pairs))
    draw_fooling_rates(result.methods, out)
    draw_response_times(counted, key.methods, out)
    print(
        f"\nwrote score.json, trials.csv, per_image.csv, fooling_rates and response_times (png, pdf) to {out}"
    )


def score_text(result: FoolingScore) -> str:
    """The tables of fooling rates, ours and the published ones, and all that qualifies them."""
    counted = [p for p in result.participants if p.excluded is None]
    early = sum(p.test_trials_of_form is not None and p.test_trials < p.test_trials_of_form for p in counted)
    # Among equals those shown most, at this end too.
    least = sorted(result.pairs[EXTREMES:], key=lambda pair: (pair.fooled / pair.shown, -pair.shown))
    lines = [
        f"{len(counted)} of {len(result.participants)} participants count, {result.trials} test trials"
        + (f"; {early} of the participants did not finish" if early else ""),
        "",
        aligned(
            [
                ["method", "fooling rate", "95 % interval", "trials", "participants"],
                *(_method_row(method) for method in result.methods),
            ]
        ),
        "  50 % would mean that nobody can tell colorized from real.",
        "",
        aligned(
            [
                ["response time in seconds", "median", "quartiles", "answers"],
                ["fooled", *_times_row(result.seconds_fooled)],
                ["not fooled", *_times_row(result.seconds_not_fooled)],
            ]
        ),
        "",
        f"said to be the left one: {result.left_share:.1f} % (50 % without a side bias)",
        f"agreement on the same pair: {_agreement(result)}",
        f"obvious fakes recognised: {_share(result.vigilance)}; practice: {_share(result.practice)} (all participants)",
        "",
        _pair_table("fooled most", result.pairs[:EXTREMES]),
    ]
    if least:
        lines += ["", _pair_table("fooled least", least[:EXTREMES])]
    rates = [[name, f"{rate:.1f} %{mark(rate) or ' '}"] for name, rate in fooling_rates().items()]
    published = aligned([["published", "fooling rate"], *rates])
    return "\n".join([*lines, "", published, f"  {PUBLISHED_SOURCE}.", f"  {NOTE}"])


def _listing(title: str, entries: Sequence[str]) -> list[str]:
    """The lines of a list; none of an empty one."""
    if not entries:
        return []
    more = [f"  ... and {len(entries) - MAX_LINES} more"] if len(entries) > MAX_LINES else []
    return [f"\n{title}: {len(entries)}", *(f"  {entry}" for entry in entries[:MAX_LINES]), *more]


def _method_row(score: MethodScore) -> list[str]:
    if score.fooling_rate is None:
        return [score.method, "n/a", "n/a", "0", "0"]
    return [
        score.method,
        f"{score.fooling_rate:.1f} %",
        f"{score.low:.1f} to {score.high:.1f}",
        str(score.trials),
        str(score.participants),
    ]


def _times_row(times: Quartiles | None) -> list[str]:
    if times is None:
        return ["n/a", "n/a", "0"]
    return [f"{times.median:.2f}", f"{times.lower:.2f} to {times.upper:.2f}", str(times.num)]


def _pair_table(title: str, pairs: Sequence[PairScore]) -> str:
    rows = [[pair.photo, pair.method, f"{pair.fooled} of {pair.shown}"] for pair in pairs]
    return aligned([[title, "method", "fooled"], *rows], num_names=2)


def _agreement(result: FoolingScore) -> str:
    if not result.pairs_with_two_answers:
        return "n/a, no pair has two answers"
    if result.alpha is None:
        return "n/a, all answers are alike"
    return f"Krippendorff's alpha {result.alpha:.2f} over {result.pairs_with_two_answers} pairs"


def _share(right_of: tuple[int, int]) -> str:
    right, answered = right_of
    return f"{right} of {answered} ({100 * right / answered:.1f} %)" if answered else "n/a, none was answered"
