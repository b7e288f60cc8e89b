"""What turing-score prints."""

from collections.abc import Mapping, Sequence

from eval_colorization.published import CTEST10K, fooling_rates
from eval_colorization.turing.answers import Problem
from eval_colorization.turing.fooling import FoolingScore, MethodScore, PairScore, Quartiles
from pretext.quoted import NOTE, mark

# 256 px, 1 s, 40 participants a method.
PUBLISHED_SOURCE = f"{CTEST10K.source}; other images and participants"
EXTREMES = 5  # pairs that fooled most, and least
MAX_LINES = 20  # of one list


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
        *_aligned(
            ["method", "fooling rate", "95 % interval", "trials", "participants"],
            [_method_row(method) for method in result.methods],
        ),
        "  50 % would mean that nobody can tell painted from real.",
        "",
        *_aligned(
            ["response time in seconds", "median", "quartiles", "answers"],
            [
                ["fooled", *_times_row(result.seconds_fooled)],
                ["not fooled", *_times_row(result.seconds_not_fooled)],
            ],
        ),
        "",
        f"said to be the left one: {result.left_share:.1f} % (50 % without a side bias)",
        f"agreement on the same pair: {_agreement(result)}",
        f"obvious fakes recognised: {_share(result.vigilance)}; practice: {_share(result.practice)} (all participants)",
        "",
        *_pair_table("fooled most", result.pairs[:EXTREMES]),
    ]
    if least:
        lines += ["", *_pair_table("fooled least", least[:EXTREMES])]
    published = _aligned(
        ["published", "fooling rate"],
        [[name, f"{rate:.1f} %{mark(rate) or ' '}"] for name, rate in fooling_rates().items()],
    )
    return "\n".join([*lines, "", *map(str.rstrip, published), f"  {PUBLISHED_SOURCE}.", f"  {NOTE}"])


def exclusions_text(excluded: Mapping[str, str]) -> str:
    """Who does not count, and why; nothing if everybody does."""
    return _listing("participants excluded", [f"{name!r}: {why}" for name, why in excluded.items()])


def problems_text(problems: Sequence[Problem]) -> str:
    """What was wrong with the files; nothing if nothing was."""
    return _listing("problems with the answers", [f"{problem.file}: {problem.what}" for problem in problems])


def _listing(title: str, entries: Sequence[str]) -> str:
    if not entries:
        return ""
    more = [f"  ... and {len(entries) - MAX_LINES} more"] if len(entries) > MAX_LINES else []
    return "\n".join([f"\n{title}: {len(entries)}", *(f"  {entry}" for entry in entries[:MAX_LINES]), *more])


def _aligned(header: Sequence[str], rows: Sequence[Sequence[str]], num_names: int = 1) -> list[str]:
    """A table whose first `num_names` columns are names, to the left, and the others numbers, to the right."""
    table = [header, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if column < num_names else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]


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


def _pair_table(title: str, pairs: Sequence[PairScore]) -> list[str]:
    rows = [[pair.photo, pair.method, f"{pair.fooled} of {pair.shown}"] for pair in pairs]
    return _aligned([title, "method", "fooled"], rows, num_names=2)


def _agreement(result: FoolingScore) -> str:
    if not result.pairs_with_two_answers:
        return "n/a, no pair has two answers"
    if result.alpha is None:
        return "n/a, all answers are alike"
    return f"Krippendorff's alpha {result.alpha:.2f} over {result.pairs_with_two_answers} pairs"


def _share(right_of: tuple[int, int]) -> str:
    right, answered = right_of
    return f"{right} of {answered} ({100 * right / answered:.1f} %)" if answered else "n/a, none was answered"
