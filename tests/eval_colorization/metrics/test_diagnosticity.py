"""Colour diagnosticity on cases whose answers are known by construction."""

import math

import numpy as np
import pytest
import scipy.stats
import skimage.color
import torch

from eval_colorization.metrics.diagnosticity import (
    ab_entropy,
    class_accuracies,
    incongruent_colours,
    split_by_diagnosticity,
)
from pretext.color.bins import AbBins
from pretext.color.lab import lab_to_rgb, rgb_to_lab
from tests.eval_colorization.metrics.photographs import photographs


def test_a_class_is_recognised_as_often_as_its_images_are() -> None:
    banana, lamp = 7, 3
    labels = np.array([banana, lamp] * 4)
    truth = [True, True, True, True, True, False, True, False]
    grey = [False, True, False, True, True, False, False, False]
    incongruent = [False, True, False, True, False, True, False, False]
    accuracies = class_accuracies(np.array([truth, grey, incongruent]), labels)
    assert list(accuracies.items()) == [(lamp, [0.5, 0.5, 0.75]), (banana, [1.0, 0.25, 0.0])]


def test_incongruent_colours_keep_lightness_and_turn_ab_about_grey_with_the_chroma_that_fits() -> None:
    lab = rgb_to_lab(photographs(64, 64) / 255)
    turned = incongruent_colours(lab)
    chroma, new_chroma = (ab.norm(dim=1, keepdim=True) for ab in (lab[:, 1:], turned[:, 1:]))
    share = new_chroma / chroma.clamp(min=1e-6)
    assert torch.equal(turned[:, 0], lab[:, 0])
    assert (new_chroma <= chroma + 1e-4).all()
    assert 0.3 < (turned[:, 1:] == -lab[:, 1:]).float().mean() < 1  # of the others sRGB has no such chroma
    torch.testing.assert_close(turned[:, 1:], -lab[:, 1:] * share, atol=1e-3, rtol=0)
    # On the screen, too, the lightness is the old one.
    rgb = lab_to_rgb(turned).permute(0, 2, 3, 1).double().numpy()
    np.testing.assert_allclose(skimage.color.rgb2lab(rgb)[..., 0], lab[:, 0].numpy(), atol=0.1)


def test_grey_has_no_incongruent_colour() -> None:
    grey = torch.zeros(1, 3, 2, 2) + torch.tensor([50.0, 0.0, 0.0])[:, None, None]
    assert torch.equal(incongruent_colours(grey), grey)


@pytest.mark.parametrize("num", [1, 2, 16, 313])
def test_equal_shares_of_n_bins_have_log2_n_bits(num: int) -> None:
    counts = np.zeros(313, dtype=np.int64)
    counts[:num] = 500
    assert ab_entropy(counts) == pytest.approx(math.log2(num))


def test_the_entropy_of_the_published_prior_is_that_of_its_perplexity() -> None:
    """31.1 bins, as published; the prior counted as if it were 10 million pixels."""
    counts = (AbBins.published().prior.double() * 10_000_000).round().long().numpy()
    assert ab_entropy(counts) == pytest.approx(math.log2(31.1), abs=0.003)
    assert ab_entropy(counts) == pytest.approx(scipy.stats.entropy(counts, base=2))


def test_no_pixels_have_no_entropy() -> None:
    assert ab_entropy(np.zeros(313, dtype=np.int64)) == 0


def test_the_halves_are_the_classes_above_the_median_and_the_others() -> None:
    assert split_by_diagnosticity({0: 0.1, 1: 0.9, 2: -0.2, 3: 0.4}) == ([1, 3], [0, 2])
    assert split_by_diagnosticity({0: 0.1, 1: 0.9, 2: 0.5}) == ([1], [0, 2])


def test_equal_classes_are_never_parted() -> None:
    assert split_by_diagnosticity({0: 0.0, 1: 0.0, 2: 0.0, 3: 0.5}) == ([3], [0, 1, 2])
    assert split_by_diagnosticity({0: 0.25, 1: 0.25}) == ([], [0, 1])
