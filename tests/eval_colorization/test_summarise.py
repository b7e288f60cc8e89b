import numpy as np
import pytest

from eval_colorization.bootstrap import mean_interval
from eval_colorization.summarise import summarise


def summaries(**values):
    columns = {name: np.array(column, dtype=float) for name, column in values.items()}
    return summarise(columns, ["one", "other"], seed=0, resamples=200)


def test_a_mean_has_the_interval_of_its_bootstrap():
    ssim = np.random.default_rng(0).random((2, 50))
    found = summaries(ssim=ssim)
    low, high = mean_interval(ssim, seed=0, resamples=200)
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
        seed=0,
        resamples=10,
        chosen=np.array([True, True, False]),
    )
    assert found["one"]["mse"].value == 1.5
