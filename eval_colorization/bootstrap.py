"""Percentile bootstrap intervals: of means over images, and of shares over participants and their trials.

All arithmetic is a product with a matrix that says how often each image is drawn, so 1000 resamples of 10,000
images take a third of a second, in blocks of bounded memory. The same seed gives the same interval.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float, Int

# Numbers in a block of draws: 16 MiB in float64.
BLOCK_NUMEL = 2**21


def resampled_means(
    values: Float[np.ndarray, "*rows images"],
    *,
    seed: int,
    resamples: int = 1000,
    weights: Float[np.ndarray, "*rows images"] | None = None,
) -> Float[np.ndarray, "resamples *rows"]:
    """Each row's mean over the images, in each resample of the images with replacement.

    All rows share their resamples: methods are compared on the same images. A value that is NaN (an image for
    which the metric is not defined) is left out; where a resample holds no other, its mean is NaN.

    Args:
        values: finite or NaN.
        weights: not negative; the mean is then sum(weight x value) / sum(weight).
    """
    if weights is None:
        weights = np.ones_like(values)
    images = values.shape[-1]
    terms = np.stack(_weighted(values, weights)).reshape(-1, images).T
    sums = np.concatenate([draws @ terms for draws in draw_counts(images, resamples, seed)])
    numerator, denominator = np.split(sums, 2, axis=1)
    return _quotient(numerator, denominator).reshape(resamples, *values.shape[:-1])


def weighted_mean(
    values: Float[np.ndarray, "*rows images"], weights: Float[np.ndarray, "*rows images"]
) -> Float[np.ndarray, "*rows"]:
    """What `resampled_means` resamples: sum(weight x value) / sum(weight) without the NaN values."""
    weighted, weight = _weighted(values, weights)
    return _quotient(weighted.sum(axis=-1), weight.sum(axis=-1))


def percentile_interval(
    statistics: Float[np.ndarray, "resamples *rows"], level: float = 0.95
) -> tuple[Float[np.ndarray, "*rows"], Float[np.ndarray, "*rows"]]:
    """Ends of the percentile interval of each row's statistic; NaN for a row of nothing but NaN.

    `level` is the share of the distribution between the ends, in (0, 1).
    """
    rows = statistics.reshape(len(statistics), -1)
    ends = np.full((2, rows.shape[1]), np.nan)
    known = ~np.isnan(rows).all(axis=0)
    tail = (1 - level) / 2
    ends[:, known] = np.nanquantile(rows[:, known], [tail, 1 - tail], axis=0)
    low, high = ends
    return low.reshape(statistics.shape[1:]), high.reshape(statistics.shape[1:])


def draw_counts(num: int, resamples: int, seed: int) -> Iterator[Float[np.ndarray, "block num"]]:
    """How often each of `num` items is drawn: one row per resample, each of sum `num`, in blocks of rows."""
    rng = np.random.default_rng(seed)
    for rows in _blocks(resamples, num):
        drawn = rng.integers(num, size=(rows, num)) + np.arange(rows)[:, None] * num
        yield np.bincount(drawn.ravel(), minlength=rows * num).reshape(rows, num).astype(np.float64)


def participants_trials_interval(
    successes: Int[np.ndarray, "participants methods"],
    trials: Int[np.ndarray, "participants methods"],
    *,
    seed: int,
    resamples: int = 10_000,
    level: float = 0.95,
) -> tuple[Float[np.ndarray, "methods"], Float[np.ndarray, "methods"]]:
    """Ends of the interval of each method's share sum(successes) / sum(trials), in [0, 1].

    Resampled are the participants and, for each one drawn, their trials of each method (Zhang, Isola, Efros
    2016, section 3.1). n trials drawn with replacement from n of which k are successes hold Binomial(n, k / n)
    of them, so no trial is drawn singly. All methods share the participants drawn.

    The noise of single trials enters twice, once inside the participants' differences. So the interval is
    cautious: up to sqrt(2) too wide where participants do not differ at all. A method that nobody was shown has
    NaN ends.
    """
    rng = np.random.default_rng(seed)
    share = successes / np.maximum(trials, 1)
    num_participants = len(trials)
    shares = []
    for rows in _blocks(resamples, trials.size):
        drawn = rng.integers(num_participants, size=(rows, num_participants))
        resampled = rng.binomial(trials[drawn], share[drawn])
        shares.append(_quotient(resampled.sum(axis=1), trials[drawn].sum(axis=1)))
    return percentile_interval(np.concatenate(shares), level)


def _blocks(resamples: int, numel: int) -> Iterator[int]:
    """Sizes, summing to `resamples`, of blocks in which a resample has `numel` numbers."""
    rows = max(1, BLOCK_NUMEL // max(numel, 1))
    for start in range(0, resamples, rows):
        yield min(rows, resamples - start)


def _weighted(values: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """weight x value, and weight; both 0 where there is no value."""
    defined = ~np.isnan(values)
    weight = np.where(defined, weights, 0.0)
    return weight * np.where(defined, values, 0.0), weight


def _quotient(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """NaN where nothing counts for the row."""
    empty = np.full(numerator.shape, np.nan)
    return np.divide(numerator, denominator, out=empty, where=denominator > 0)
