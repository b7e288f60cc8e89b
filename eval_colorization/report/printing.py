"""Which metrics a report has, and how their numbers are printed: the same in the page and in the terminal."""

import math
from collections.abc import Mapping

from eval_colorization.metrics.table import METRICS, Better
from eval_colorization.results import Results, Summary

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


def printed(value: float, digits: int) -> str:
    """`value` with `digits` decimals in ASCII: 27.31, -0.5, inf, or - where it is NaN."""
    return "-" if math.isnan(value) else f"{value:.{digits}f}"
