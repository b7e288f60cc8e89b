"""Bootstrap intervals against a direct loop, scipy, and the coverage that their level promises."""

from typing import Any

import numpy as np
import pytest
import scipy.stats

from eval_colorization.bootstrap import (
    draw_counts,
    participants_trials_interval,
    percentile_interval,
    resampled_means,
)


def mean_interval(values: np.ndarray, level: float = 0.95, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    return percentile_interval(resampled_means(values, **options), level)


def coverage(low: np.ndarray, high: np.ndarray, truth: float) -> int:
    return int(((low <= truth) & (truth <= high)).sum())


def within_binomial_bounds(covered: int, simulations: int, level: float = 0.95) -> bool:
    """Within what 99.9 % of correct intervals of that level do."""
    least, most = scipy.stats.binom.interval(0.999, simulations, level)
    return bool(least <= covered <= most)


def test_every_resample_draws_as_many_images_as_there_are() -> None:
    counts = np.concatenate(list(draw_counts(7, 50, seed=3)))
    assert counts.shape == (50, 7)
    assert (counts.sum(axis=1) == 7).all()


def test_memory_is_bounded_for_10_000_images_and_blocks_do_not_repeat_themselves() -> None:
    blocks = draw_counts(10_000, 1000, seed=0)
    first, second = next(blocks), next(blocks)
    assert first.nbytes <= 16 * 2**20
    assert not np.array_equal(first, second)
    assert len(first) + len(second) + sum(len(block) for block in blocks) == 1000


def test_the_interval_is_that_of_a_direct_loop_over_drawn_images() -> None:
    """Independent draws of 20,000 resamples: ends agree to their Monte Carlo error."""
    values = np.random.default_rng(1).gamma(2.0, size=60)
    means = [np.random.default_rng(i).choice(values, size=60).mean() for i in range(20_000)]
    low, high = mean_interval(values, seed=0, resamples=20_000)
    np.testing.assert_allclose([low, high], np.quantile(means, [0.025, 0.975]), rtol=0.01)


def test_the_interval_is_that_of_scipy() -> None:
    values = np.random.default_rng(2).normal(30, 4, size=80)
    reference = scipy.stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=np.random.default_rng(0)
    ).confidence_interval
    low, high = mean_interval(values, seed=0, resamples=20_000)
    np.testing.assert_allclose([low, high], reference, atol=0.03)


def test_the_weighted_interval_is_the_percentiles_of_the_weighted_means_of_the_same_resamples() -> None:
    rng = np.random.default_rng(3)
    values, weights = rng.normal(size=(2, 40)), rng.uniform(0, 5, size=(2, 40))
    counts = np.concatenate(list(draw_counts(40, 300, seed=9)))
    direct = [
        [np.average(v, weights=w * row) for v, w in zip(values, weights, strict=True)] for row in counts
    ]
    low, high = mean_interval(values, weights=weights, seed=9, resamples=300, level=0.9)
    np.testing.assert_allclose([low, high], np.quantile(direct, [0.05, 0.95], axis=0))


@pytest.mark.parametrize("num_images", [50, 100])
@pytest.mark.parametrize("distribution", [scipy.stats.norm(27, 3), scipy.stats.gamma(4.0)])
def test_95_percent_intervals_cover_the_true_mean_in_95_percent_of_simulations(
    distribution: scipy.stats.rv_continuous, num_images: int
) -> None:
    """Rows share their draws of images, yet every row is a data set of its own.

    The percentile interval is known to be a little short for few images: by sqrt((n - 1) / n) and by the normal
    quantile in the place of Student's, together 1 to 2 points of coverage at n = 50.
    """
    simulations = 400
    samples = distribution.rvs(size=(simulations, num_images), random_state=np.random.default_rng(num_images))
    low, high = mean_interval(samples, seed=0)
    assert within_binomial_bounds(
        coverage(low, high, distribution.mean()), simulations, level=0.95 - 0.8 / num_images
    )


def test_images_without_a_value_are_left_out_and_a_row_without_any_value_has_no_interval() -> None:
    values = np.random.default_rng(5).normal(size=40)
    holes = np.concatenate([values, np.full(40, np.nan)])
    rows = np.stack([holes, np.full(80, np.nan)])
    low, high = mean_interval(rows, seed=0, resamples=4000)
    dense_low, dense_high = mean_interval(values, seed=0, resamples=4000)
    np.testing.assert_allclose([low[0], high[0]], [dense_low, dense_high], atol=0.03)
    assert np.isnan([low[1], high[1]]).all()


def test_methods_that_differ_by_a_constant_have_intervals_that_differ_by_it_exactly() -> None:
    values = np.random.default_rng(6).normal(size=(3, 1, 50))
    rows = values + np.array([0.0, 10.0])[:, None]
    low, high = mean_interval(rows, seed=1)
    assert low.shape == high.shape == (3, 2)
    np.testing.assert_allclose(low[:, 1] - low[:, 0], 10)
    np.testing.assert_allclose(high[:, 1] - high[:, 0], 10)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = np.random.default_rng(7).normal(size=50)
    assert mean_interval(values, seed=4) == mean_interval(values, seed=4)
    assert mean_interval(values, seed=4) != mean_interval(values, seed=5)


def test_the_two_level_interval_is_that_of_a_direct_loop_over_participants_and_trials() -> None:
    rng = np.random.default_rng(8)
    answers = rng.random((12, 20)) < rng.uniform(0.1, 0.6, size=(12, 1))
    shares = [
        np.mean([rng.choice(answers[participant], size=20) for participant in rng.integers(12, size=12)])
        for _ in range(4000)
    ]
    low, high = participants_trials_interval(answers.sum(axis=1)[:, None], np.full((12, 1), 20), seed=0)
    np.testing.assert_allclose([low[0], high[0]], np.quantile(shares, [0.025, 0.975]), atol=0.01)


@pytest.mark.parametrize("spread", [0.0, 0.15])
def test_the_two_level_interval_covers_the_true_share_at_least_as_often_as_promised(spread: float) -> None:
    """30 participants x 20 trials; `spread` is the standard deviation between participants' true shares."""
    rng = np.random.default_rng(9)
    covered = 0
    for simulation in range(200):
        shares = np.clip(rng.normal(0.35, spread, size=(30, 1)), 0.35 - 2 * spread, 0.35 + 2 * spread)
        successes = rng.binomial(20, shares)
        low, high = participants_trials_interval(
            successes, np.full((30, 1), 20), seed=simulation, resamples=600
        )
        covered += coverage(low, high, 0.35)
    assert covered >= scipy.stats.binom.ppf(0.001, 200, 0.95)


def test_a_method_that_nobody_was_shown_has_no_interval() -> None:
    low, high = participants_trials_interval(
        np.array([[1, 0], [3, 0]]), np.array([[4, 0], [4, 0]]), seed=0, resamples=100
    )
    assert 0 <= low[0] < high[0] <= 1
    assert np.isnan([low[1], high[1]]).all()
