"""The figures of turing-score, as PNG and PDF."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from eval_colorization.turing.answers import Participant
from eval_colorization.turing.fooling import MethodScore
from pretext.figure_style import COLOURS, NEUTRAL, WIDTH, house_style, literal, save_figure

BLUE, VERMILION = COLOURS[:2]


@house_style()
def draw_fooling_rates(methods: Sequence[MethodScore], out: Path) -> None:
    """Each method's fooling rate with its interval, against the 50 % of images that nobody can distinguish."""
    figure, axes = _one_row_per_method([method.method for method in methods])
    highest = 55.0
    for row, method in enumerate(methods):
        if method.fooling_rate is None or method.low is None or method.high is None:
            continue
        axes.plot([method.low, method.high], [row, row], color=BLUE, linewidth=2.5, solid_capstyle="butt")
        axes.plot(method.fooling_rate, row, "o", color=BLUE, markersize=8)
        axes.annotate(
            f"{method.fooling_rate:.1f}",
            (method.fooling_rate, row),
            xytext=(0, 8),
            textcoords="offset points",
            ha="center",
            fontsize=9,
        )
        highest = max(highest, method.high + 3)
    axes.axvline(50, color=NEUTRAL, linestyle="--", linewidth=1.2, zorder=1)
    axes.annotate(
        "indistinguishable",
        (50, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        color=NEUTRAL,
    )
    axes.set(
        xlim=(0, highest),
        xlabel="trials in which the photo was taken for the fake, in percent, with 95 % interval",
    )
    save_figure(figure, out / "fooling_rates")


@house_style()
def draw_response_times(participants: Sequence[Participant], methods: Sequence[str], out: Path) -> None:
    """Each method's times from the images' appearance to the answer, fooled and not, as medians and quartiles."""
    figure, axes = _one_row_per_method(methods)
    answers = [answer for participant in participants for answer in participant.of_kind("test")]
    for label, fooled, colour, shift in (
        ("fooled", True, VERMILION, -0.14),
        ("not fooled", False, BLUE, 0.14),
    ):
        for row, method in enumerate(methods):
            seconds = [
                answer.seconds
                for answer in answers
                if answer.trial.method == method and answer.fooled == fooled and answer.seconds is not None
            ]
            if not seconds:
                continue
            least, lower, median, upper, most = np.quantile(seconds, [0.05, 0.25, 0.5, 0.75, 0.95])
            where = [row + shift, row + shift]
            axes.plot([least, most], where, color=colour, linewidth=1)
            axes.plot([lower, upper], where, color=colour, linewidth=6, alpha=0.45, solid_capstyle="butt")
            axes.plot(median, row + shift, "o", color=colour, markersize=6)
        axes.plot([], [], "o-", color=colour, label=label)
    axes.set_xlim(left=0)
    axes.set_xlabel("response time in seconds: median, quartiles, 5th to 95th percentile")
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2)
    save_figure(figure, out / "response_times")


def _one_row_per_method(methods: Sequence[str]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, 1.3 + 0.55 * len(methods)), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(methods)), [literal(method) for method in methods])
    axes.set_ylim(len(methods) - 0.5, -0.6)
    axes.grid(axis="y", visible=False)
    axes.tick_params(axis="y", length=0)
    return figure, axes
