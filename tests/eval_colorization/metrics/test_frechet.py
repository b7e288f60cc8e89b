"""The Fréchet distance against its closed form for diagonal Gaussians, torchmetrics and scipy."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from eval_colorization.metrics.frechet import GaussianStatistics, frechet_distance
from pretext.optional import NotAvailableError


def features(num: int, seed: int, width: int = 24) -> Tensor:
    """Correlated, non-negative and skewed, as features behind a ReLU are."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width, width, generator=generator) / width**0.5
    return (torch.randn(num, width, generator=generator) @ mixing + 0.2).relu()


def statistics(*batches: Tensor) -> GaussianStatistics:
    found = GaussianStatistics.empty(batches[0].shape[1])
    for batch in batches:
        found.add(batch)
    return found


def test_mean_and_covariance_are_numpys() -> None:
    sample = features(200, seed=0)
    mean, covariance = statistics(*sample.split(64)).mean_and_covariance()
    np.testing.assert_allclose(mean.numpy(), sample.numpy().mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(covariance.numpy(), np.cov(sample.numpy(), rowvar=False), atol=1e-5)


def test_the_sums_are_the_same_bit_for_bit_however_the_set_is_cut() -> None:
    sample = features(300, seed=1)
    whole = statistics(sample)
    for other in (
        statistics(*sample.split(7)),
        statistics(sample.flip(0)),
        statistics(sample[200:], *sample[:200].split(33)),
    ):
        assert other.count == whole.count
        assert torch.equal(other.total, whole.total)
        assert torch.equal(other.outer, whole.outer)


def test_of_diagonal_gaussians_it_is_the_distance_of_their_means_and_deviations() -> None:
    """tr(C_a + C_b - 2 (C_a C_b)^(1/2)) = sum (s_a - s_b)^2 where both are diagonal (Dowson, Landau 1982)."""
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 3)  # uncorrelated columns
    mean_a, mean_b = torch.tensor([0.0, 1.0, 2.0]), torch.tensor([1.0, 1.0, -1.0])
    deviation_a, deviation_b = torch.tensor([1.0, 2.0, 0.0]), torch.tensor([0.5, 3.0, 1.0])
    unbiased = 8 / 7
    expected = 1 + 9 + unbiased * (0.25 + 1 + 1)
    a, b = statistics(mean_a + signs * deviation_a), statistics(mean_b + signs * deviation_b)
    assert frechet_distance(a, b) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("num", [500, 10])
def test_it_is_that_of_torchmetrics_and_of_the_published_formula(num: int) -> None:
    sample_a, sample_b = features(num, seed=2), 1.2 * features(num, seed=3)
    reference = FrechetInceptionDistance(feature=_Pass(), normalize=True).set_dtype(torch.float64)
    reference.update(sample_a.double(), real=True)
    reference.update(sample_b.double(), real=False)
    a, b = statistics(sample_a), statistics(sample_b)
    distance = frechet_distance(a, b)
    assert distance == pytest.approx(reference.compute().item(), abs=1e-4)
    (mean_a, covariance_a), (mean_b, covariance_b) = a.mean_and_covariance(), b.mean_and_covariance()
    root = scipy.linalg.sqrtm((covariance_a @ covariance_b).numpy()).real
    published = (mean_a - mean_b).square().sum() + (covariance_a + covariance_b).trace() - 2 * np.trace(root)
    assert distance == pytest.approx(published.item(), abs=1e-4)


@pytest.mark.parametrize("num", [300, 5, 2])
def test_of_a_set_and_itself_it_is_0(num: int) -> None:
    found = statistics(features(num, seed=4))
    assert frechet_distance(found, found) == pytest.approx(0, abs=1e-9)


def test_sets_that_do_not_vary_have_the_distance_of_their_means() -> None:
    assert frechet_distance(statistics(torch.zeros(3, 4)), statistics(torch.ones(3, 4))) == 4


def test_one_image_has_no_covariance_and_says_so() -> None:
    one = statistics(features(1, seed=5))
    with pytest.raises(NotAvailableError, match="at least 2 images but there are 1"):
        frechet_distance(one, one)


class _Pass(nn.Module):
    """Hands features through where torchmetrics expects a network."""

    num_features = 24

    def forward(self, features: Tensor) -> Tensor:
        return features
