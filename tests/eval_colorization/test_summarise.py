import numpy as np
import pytest

from eval_colorization.bootstrap import percentile_interval, resampled_means
from eval_colorization.metrics.table import METRICS
from eval_colorization.summarise import standings, summarise


def summaries(**values):
    columns = {name: np.array(column, dtype=float) for name, column in values.items()}
    return summarise(columns, ["one", "other"], METRICS, seed=0, resamples=200)


def test_a_mean_has_the_interval_of_its_bootstrap():
    ssim = np.random.default_rng(0).random((2, 50))
    found = summaries(ssim=ssim)
    low, high = percentile_interval(resampled_means(ssim, seed=0, resamples=200))
    for place, name in enumerate(("one", "other")):
        summary = found[name]["ssim"]
        assert summary.value == pytest.approx(ssim[place].mean())
        assert (summary.low, summary.high) == (pytest.approx(low[place]), pytest.approx(high[place]))
        assert summary.images == 50


def test_ab_rmse_is_the_root_of_the_mean_square_over_the_set():
    assert summaries(ab_rmse=[[3, 4], [0, 10]])["one"]["ab_rmse"].value == pytest.approx(np.sqrt(12.5))


def test_the_rebalanced_auc_over_the_set_weighs_images_and_per_image_does_not():
    found = summaries(auc_rebalanced=[[80, 60], [1, 1]], rebalancing_weight=[[3, 1], [3, 1]])["one"]
    assert found["auc_rebalanced"].value == pytest.approx(75)
    assert found["auc_rebalanced_per_image"].value == pytest.approx(70)


def test_images_identical_to_the_truth_are_not_in_the_mean_psnr():
    found = summaries(psnr=[[20, np.inf, 30], [np.inf, np.inf, np.inf]])
    assert (found["one"]["psnr"].value, found["one"]["psnr"].images) == (25, 2)
    truth = found["other"]["psnr"]
    assert (truth.value, truth.low, truth.images) == (np.inf, None, 3)


def test_a_method_without_values_has_no_summary():
    found = summaries(cross_entropy=[[1, 2], [np.nan, np.nan]])
    assert "cross_entropy" in found["one"]
    assert "cross_entropy" not in found["other"]


def test_chosen_images_alone_count():
    found = summarise(
        {"mse": np.array([[1.0, 2.0, 9.0]])},
        ["one"],
        METRICS,
        seed=0,
        resamples=10,
        chosen=np.array([True, True, False]),
    )
    assert found["one"]["mse"].value == 1.5


def standing(better, **values):
    return standings(list(values), np.array([float(v) for v in values.values()]), None, better)


def test_the_best_but_for_the_truth_leads_and_equal_values_share_the_place():
    assert standing("higher", a=20, b=24, truth=np.inf) == {"a": "behind", "b": "best"}
    assert standing("lower", a=12, b=12, c=13, truth=0) == {"a": "best", "b": "best", "c": "behind"}


def test_a_signed_difference_is_judged_by_its_distance_from_zero_and_colourfulness_by_that_from_the_truth():
    assert standing("nearer zero", a=-2, b=2.5, truth=0) == {"a": "best", "b": "behind"}
    assert standing("nearer truth", a=60, b=38, truth=40) == {"a": "behind", "b": "best"}
    assert standing("nearer truth", a=60, b=38) == {}


def test_a_method_without_a_value_has_no_standing():
    assert standing("lower", a=np.nan, b=30, truth=0) == {"b": "best"}
    assert standing("lower", a=np.nan) == {}


def test_methods_differ_significantly_on_the_same_images_though_their_intervals_overlap():
    """b is worse than a by 0.01 on every image; images differ by far more. c differs from a without a direction."""
    rng = np.random.default_rng(0)
    a = rng.normal(0.8, 0.1, 60)
    ssim = np.array([a, a - 0.01 + rng.normal(0, 0.002, 60), a - 0.001 + rng.normal(0, 0.05, 60)])
    found = summarise({"ssim": ssim}, ["a", "b", "c"], METRICS, seed=0, resamples=500)
    assert found["b"]["ssim"].high > found["a"]["ssim"].low
    assert [found[method]["ssim"].standing for method in "abc"] == ["best", "behind", "level"]


def test_equal_methods_are_called_behind_in_at_most_5_percent_of_simulations():
    """The 95 % interval of the difference; one-sided here, as the better of the two is always the best."""
    rng = np.random.default_rng(1)
    behind = 0
    for seed in range(200):
        ssim = rng.normal(0.8, 0.1, 60) + rng.normal(0, 0.02, (2, 60))
        found = summarise({"ssim": ssim}, ["a", "b"], METRICS, seed=seed, resamples=200)
        behind += "behind" in [found[method]["ssim"].standing for method in "ab"]
    assert (
        2 <= behind <= 22
    )  # 99.9 % of binomial(200, 0.05), and a little for the percentile interval's shortness
