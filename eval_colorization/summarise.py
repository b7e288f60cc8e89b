"""From values per image to a set's numbers with their intervals."""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float

from eval_colorization.bootstrap import mean_interval
from eval_colorization.metrics.table import METRICS, Metric
from eval_colorization.results import Summary

Values = Mapping[str, Float[np.ndarray, "methods images"]]


def summarise(
    values: Values,
    methods: Sequence[str],
    *,
    seed: int,
    resamples: int,
    chosen: Bool[np.ndarray, " images"] | None = None,
) -> dict[str, dict[str, Summary]]:
    """method -> metric -> Summary, of the metrics that `values` has columns for, over the `chosen` images.

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
    metrics = {name: metric for name, metric in METRICS.items() if column_of(name, metric) in values}
    terms, weights = [], []
    for name, metric in metrics.items():
        column = values[column_of(name, metric)]
        finite = np.where(np.isfinite(column), column, np.nan)
        terms.append(finite**2 if metric.pooling == "root mean square" else finite)
        weights.append(values[metric.weights] if metric.weights else np.ones_like(column))
    means = weighted_mean(np.stack(terms), np.stack(weights))
    lows, highs = mean_interval(np.stack(terms), weights=np.stack(weights), seed=seed, resamples=resamples)
    summaries: dict[str, dict[str, Summary]] = {method: {} for method in methods}
    for row, (name, metric) in enumerate(metrics.items()):
        column = values[column_of(name, metric)]
        for place, method in enumerate(methods):
            value, low, high = (float(array[row, place]) for array in (means, lows, highs))
            if metric.pooling == "root mean square":
                value, low, high = value**0.5, low**0.5, high**0.5
            count = int(np.isfinite(column[place]).sum())
            if count:
                summaries[method][name] = Summary(value=value, low=low, high=high, images=count)
            elif column.shape[1] and np.isinf(column[place]).all():
                summaries[method][name] = Summary(
                    value=float(column[place, 0]), low=None, high=None, images=column.shape[1]
                )
    return summaries


def column_of(name: str, metric: Metric) -> str:
    """The column of per_image.csv that a metric is made from."""
    return metric.column or name


def weighted_mean(
    values: Float[np.ndarray, "*rows images"], weights: Float[np.ndarray, "*rows images"]
) -> Float[np.ndarray, "*rows"]:
    """sum(weight x value) / sum(weight) without the NaN values; NaN where nothing is left."""
    defined = ~np.isnan(values)
    total = (weights * defined).sum(axis=-1)
    weighted = (weights * np.where(defined, values, 0.0)).sum(axis=-1)
    return np.divide(weighted, total, out=np.full(total.shape, np.nan), where=total > 0)
