"""Which methods lead on a metric, and how its numbers are printed: the same in the page and in the terminal."""

import math
from collections.abc import Mapping
from typing import Literal

from eval_colorization.metrics.table import METRICS, Better
from eval_colorization.results import Results, Summary

Standing = Literal["best", "level", "behind"]
Summaries = Mapping[str, Mapping[str, Summary]]  # method -> metric -> summary

ARROWS: dict[Better, str] = {"higher": "↑", "lower": "↓", "nearer zero": "→ 0", "nearer truth": "→ truth"}


def computed_metrics(results: Results) -> list[str]:
    """The metrics that at least one method has, in the order of METRICS."""
    return [key for key in METRICS if any(key in method.summaries for method in results.methods)]


def per_image_metrics(results: Results) -> dict[str, str]:
    """metric -> its column of `Results.values`, in the order of METRICS; of those that share a column the first."""
    metrics: dict[str, str] = {}
    for key, metric in METRICS.items():
        column = metric.column or key
        if column in results.values and column not in metrics.values():
            metrics[key] = column
    return metrics


def summaries_of(results: Results) -> dict[str, dict[str, Summary]]:
    """method -> metric -> summary, of the whole set."""
    return {method.name: method.summaries for method in results.methods}


def standings(summaries: Summaries, metric: str) -> dict[str, Standing]:
    """Where each method but the truth stands on `metric`.

    `best` has the best value (several may). `level` has an interval that overlaps the interval of a best one: the
    set of images does not tell the two apart. All others are `behind`; methods without a number are left out.
    """
    truth = summaries.get("truth", {}).get(metric)
    distances = {
        method: _distance(of_method[metric], METRICS[metric].better, truth)
        for method, of_method in summaries.items()
        if method != "truth" and metric in of_method
    }
    distances = {method: distance for method, distance in distances.items() if not math.isnan(distance[0])}
    best = min((value for value, _ in distances.values()), default=math.nan)
    leading = [interval for value, interval in distances.values() if value == best and interval]

    def standing(value: float, interval: tuple[float, float] | None) -> Standing:
        if value == best:
            return "best"
        overlaps = interval and any(interval[0] <= high and low <= interval[1] for low, high in leading)
        return "level" if overlaps else "behind"

    return {method: standing(*distance) for method, distance in distances.items()}


def printed(value: float, digits: int) -> str:
    """`value` with `digits` decimals in ASCII: 27.31, -0.5, inf, or - where it is NaN."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"


def _distance(
    summary: Summary, better: Better, truth: Summary | None
) -> tuple[float, tuple[float, float] | None]:
    """A number that is smaller for the better method, and the interval of that number."""
    value, low, high = summary.value, summary.low, summary.high
    interval = None if low is None or high is None else (low, high)
    if better == "lower":
        return value, interval
    if better == "higher":
        return -value, interval and (-interval[1], -interval[0])
    aim = 0.0 if better == "nearer zero" else math.nan if truth is None else truth.value
    if interval is None:
        return abs(value - aim), None
    near, far = sorted(abs(end - aim) for end in interval)
    return abs(value - aim), (0.0 if interval[0] <= aim <= interval[1] else near, far)
