"""AuC against a direct reading of its definition."""

import numpy as np
import pytest
import torch
from torch import Tensor

from eval_colorization.metrics.auc import THRESHOLDS, auc, auc_curve, error_counts, rebalancing_weights
from pretext.color.bins import AbBins
from pretext.color.lab import rgb_to_lab
from pretext.color.soft_encoding import soft_encode
from tests.eval_colorization.metrics.photographs import colorized_and_truth


@pytest.fixture(scope="module")
def colorized_ab() -> Tensor:
    return rgb_to_lab(colorized_and_truth()[0])[:, 1:]


@pytest.fixture(scope="module")
def truth_ab() -> Tensor:
    return rgb_to_lab(colorized_and_truth()[1])[:, 1:]


def curve_by_definition(colorized_ab: Tensor, truth_ab: Tensor, weight: Tensor) -> np.ndarray:
    """Weighted share of the pixels whose L2 error is at most t, for every whole t in 0..150."""
    error = np.linalg.norm((colorized_ab - truth_ab).numpy(), axis=1)
    shares = [np.average(error <= t, axis=(1, 2), weights=weight.double()) for t in range(151)]
    return np.stack(shares, axis=1)


def test_curve_and_area_are_those_of_the_definition(colorized_ab: Tensor, truth_ab: Tensor) -> None:
    expected = curve_by_definition(colorized_ab, truth_ab, torch.ones_like(truth_ab[:, 0]))
    counts = error_counts(colorized_ab, truth_ab)
    np.testing.assert_allclose(auc_curve(counts).numpy(), expected, atol=1e-12)
    np.testing.assert_allclose(auc(counts).numpy(), np.trapezoid(expected) / 150 * 100, atol=1e-9)


def test_weighted_pixels_count_by_their_weight(colorized_ab: Tensor, truth_ab: Tensor) -> None:
    weight = rebalancing_weights(truth_ab, AbBins.published())
    counts = error_counts(colorized_ab, truth_ab, weight)
    np.testing.assert_allclose(
        auc_curve(counts).numpy(), curve_by_definition(colorized_ab, truth_ab, weight), atol=1e-12
    )
    equal = error_counts(colorized_ab, truth_ab, torch.ones_like(weight))
    assert torch.equal(equal, error_counts(colorized_ab, truth_ab).double())


def test_counts_are_exact_and_a_whole_error_reaches_its_own_threshold() -> None:
    errors = ((0, 0), (0.25, 0), (3, 4), (3, 4.01), (90, -120), (90, -120.01), (300, 400))
    colorized = torch.tensor(errors, dtype=torch.float32).T[None, :, :, None]
    counts = error_counts(colorized, torch.zeros_like(colorized))
    assert counts.dtype == torch.int64
    expected = torch.zeros(1, len(THRESHOLDS) + 1, dtype=torch.int64)
    for column in (0, 1, 5, 6, 150, 151, 151):
        expected[0, column] += 1
    assert torch.equal(counts, expected)


@pytest.mark.parametrize(("error", "area"), [(0.0, 100.0), (30.0, 100 * 120.5 / 150), (151.0, 0.0)])
def test_the_same_error_everywhere_gives_a_step_and_its_area(error: float, area: float) -> None:
    colorized = torch.zeros(1, 2, 4, 6)
    colorized[:, 0] = error
    assert auc(error_counts(colorized, torch.zeros_like(colorized))).item() == area


def test_an_equal_image_scores_100_exactly_also_rebalanced(truth_ab: Tensor) -> None:
    weight = rebalancing_weights(truth_ab, AbBins.published())
    for counts in (error_counts(truth_ab, truth_ab), error_counts(truth_ab, truth_ab, weight)):
        assert auc(counts).tolist() == [100.0] * len(truth_ab)
        assert auc(counts.sum(dim=0)).item() == 100


def test_counts_add_up_over_images_to_the_curve_over_all_pixels(
    colorized_ab: Tensor, truth_ab: Tensor
) -> None:
    counts = error_counts(colorized_ab, truth_ab)
    side_by_side = error_counts(
        torch.cat(colorized_ab.unbind(), dim=-1)[None], torch.cat(truth_ab.unbind(), dim=-1)[None]
    )
    assert torch.equal(counts.sum(dim=0, keepdim=True), side_by_side)


def test_weights_are_the_inverse_prior_of_the_nearest_bin(truth_ab: Tensor) -> None:
    bins = AbBins.published()
    nearest = soft_encode(truth_ab, bins.centres, neighbours=1).index[:, 0]
    weight = rebalancing_weights(truth_ab, bins)
    # Multiplied by the prior that they invert, all weights are the same number.
    flat = weight * bins.prior[nearest] * 313
    assert ((flat - 1).abs() < 1e-5).float().mean() > 0.999  # the table's ties

    at_centres = rebalancing_weights(bins.centres.T[None, :, :, None], bins).flatten()
    assert (at_centres * bins.prior).sum().item() == pytest.approx(1, abs=1e-5)


def test_an_empty_bin_has_no_weight_and_is_an_error(truth_ab: Tensor) -> None:
    published = AbBins.published()
    prior = published.prior.clone()
    prior[7] = 0
    with pytest.raises(ValueError, match="1 bins of the prior are empty"):
        rebalancing_weights(truth_ab, AbBins(published.centres, prior))
