"""From values per image to a set's numbers with their intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from eval_colorization.bootstrap import percentile_interval, resampled_means, weighted_mean
from eval_colorization.metrics.metric import Better, Metric
from eval_colorization.results import Standing, Summary

Values = Mapping[str, Float[np.ndarray, "methods images"]]


def summarise(
    values: Values,
    methods: Sequence[str],
    metrics: Mapping[str, Metric],
    *,
    seed: int,
    resamples: int,
    chosen: Bool[np.ndarray, " images"] | None = None,
) -> dict[str, dict[str, Summary]]:
    """method -> metric -> Summary, of those `metrics` that `values` has columns for, over the `chosen` images.

    The intervals of all metrics and methods come from the same resamples of the images. A method without any
    finite value is left out, unless all its values are infinite: then so is their mean.

    Args:
        values: column of per_image.csv -> (methods, images).
        methods: names of the rows.
        seed, resamples: of the bootstrap.
        chosen: the images that count; all where None.
    """
    if chosen is not None:
        values = {name: column[:, chosen] for name, column in values.items()}
    metrics = {name: metric for name, metric in metrics.items() if (metric.column or name) in values}
    terms, weights = [], []
    for name, metric in metrics.items():
        column = values[metric.column or name]
        finite = np.where(np.isfinite(column), column, np.nan)
        terms.append(finite**2 if metric.pooling == "root mean square" else finite)
        weights.append(values[metric.weights] if metric.weights else np.ones_like(column))
    means = weighted_mean(np.stack(terms), np.stack(weights))
    resampled = resampled_means(np.stack(terms), weights=np.stack(weights), seed=seed, resamples=resamples)
    for row, metric in enumerate(metrics.values()):
        if metric.pooling == "root mean square":
            means[row], resampled[:, row] = np.sqrt(means[row]), np.sqrt(resampled[:, row])
    lows, highs = percentile_interval(resampled)
    summaries: dict[str, dict[str, Summary]] = {method: {} for method in methods}
    for row, (name, metric) in enumerate(metrics.items()):
        column = values[metric.column or name]
        standing = standings(methods, means[row], resampled[:, row], metric.better)
        for place, method in enumerate(methods):
            value, low, high = (float(array[row, place]) for array in (means, lows, highs))
            count = int(np.isfinite(column[place]).sum())
            if count:
                summaries[method][name] = Summary(
                    value=value, low=low, high=high, images=count, standing=standing.get(method)
                )
            elif column.shape[1] and np.isinf(column[place]).all():
                infinite = float(column[place, 0])
                summaries[method][name] = Summary(value=infinite, images=column.shape[1])
    return summaries


def standings(
    methods: Sequence[str],
    values: Float[np.ndarray, "methods"],
    resampled: Float[np.ndarray, "resamples methods"] | None,
    better: Better,
) -> dict[str, Standing]:
    """Where each method but the truth stands (see `Summary`); a method whose value is NaN stands nowhere.

    Without `resampled` values there is nobody on a level with the best.
    """
    truth = list(methods).index("truth") if "truth" in methods else None
    if better == "nearer truth" and truth is None:
        return {}
    badness = _badness(values, better, truth)
    ranked = [place for place in range(len(methods)) if place != truth and not np.isnan(badness[place])]
    if not ranked:
        return {}
    best = min(ranked, key=lambda place: badness[place])
    level = np.zeros(len(methods), bool)
    if resampled is not None:
        resampled_badness = _badness(resampled, better, truth)
        low, high = percentile_interval(resampled_badness - resampled_badness[:, [best]])
        level = (low <= 0) & (high >= 0)
    return {
        methods[place]: "best" if badness[place] == badness[best] else "level" if level[place] else "behind"
        for place in ranked
    }


def _badness(
    values: Float[np.ndarray, "*resamples methods"], better: Better, truth: int | None
) -> Float[np.ndarray, "*resamples methods"]:
    """A number that is smaller for the better method."""
    if better == "higher":
        return -values
    if better == "lower":
        return values
    if better == "nearer zero":
        return np.abs(values)
    assert truth is not None
    return np.abs(values - values[..., [truth]])
