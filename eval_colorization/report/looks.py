"""How the methods of a report look in its figures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from eval_colorization.results import MethodResult, Summary
from pretext.figure_style import GROUND, INK, NEUTRAL, Look, look_of


def method_styles(methods: Sequence[MethodResult]) -> dict[str, Look]:
    """A look for each method, by its place: controls in black and grey, the others in colours and then dashes."""
    controls = {
        "truth": Look(INK, "-", "*"),
        "grey": Look(NEUTRAL, (0, (4.0, 2.0)), "s"),
        "random": Look(NEUTRAL, (0, (1.0, 1.5)), "x"),
    }
    return {method.name: controls.get(method.kind) or look_of(place) for place, method in enumerate(methods)}


def draw_point(
    axes: Axes, summary: Summary | None, place: int | float, colour: str, marker: str, *, horizontal: bool
) -> None:
    """A value with its interval across the place of its method; what is not finite is not drawn."""
    if summary is None or not np.isfinite(summary.value):
        return
    edge: dict[str, Any] = {} if marker == "x" else {"markeredgecolor": GROUND, "markeredgewidth": 0.5}
    point = (summary.value, place) if horizontal else (place, summary.value)
    axes.plot(*([end] for end in point), color=colour, marker=marker, linestyle="none", zorder=3, **edge)
    if (
        summary.low is not None
        and summary.high is not None
        and np.isfinite([summary.low, summary.high]).all()
    ):
        bar = axes.hlines if horizontal else axes.vlines
        bar(place, summary.low, summary.high, color=colour, linewidth=1.6)
