"""Class weights against the figures of the released ImageNet prior."""

import pytest
import torch

from pretext.color.bins import AbBins
from pretext.color.rebalancing import class_weights


def test_the_weights_of_the_imagenet_prior_are_the_published_ones() -> None:
    bins = AbBins.published()
    weights = class_weights(bins.prior)
    assert weights.min().item() == pytest.approx(0.09650, abs=5e-6)
    assert bins.centres[weights.argmin()].tolist() == [0, 0]
    assert weights.max().item() == pytest.approx(6.1749, abs=5e-5)
    assert weights.mean().item() == pytest.approx(5.1749, abs=5e-5)
    common = weights < 1
    assert common.sum() == 14
    assert bins.prior[common].sum().item() == pytest.approx(0.730, abs=5e-4)


@pytest.mark.parametrize("uniform_share", [0.1, 0.5, 1.0])
def test_the_expected_weight_is_one(uniform_share: float) -> None:
    prior = AbBins.published().prior
    assert (prior * class_weights(prior, uniform_share)).sum().item() == pytest.approx(1)


def test_a_uniform_share_of_one_weighs_all_bins_alike() -> None:
    prior = AbBins.published().prior
    torch.testing.assert_close(class_weights(prior, 1.0), torch.ones(313))


def test_bins_without_mass_get_a_finite_weight() -> None:
    weights = class_weights(torch.tensor([0.75, 0.25, 0.0, 0.0]))
    assert weights.isfinite().all()
    assert weights[2] == weights[3] == weights.max()


@pytest.mark.parametrize("uniform_share", [-0.1, 1.5])
def test_a_share_outside_0_to_1_is_an_error(uniform_share: float) -> None:
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        class_weights(AbBins.published().prior, uniform_share)


def test_pure_inverse_frequency_with_an_empty_bin_is_an_error() -> None:
    with pytest.raises(ValueError, match="choose a share above 0"):
        class_weights(torch.tensor([0.5, 0.5, 0.0]), uniform_share=0.0)
