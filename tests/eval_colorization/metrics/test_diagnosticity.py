"""Colour diagnosticity on cases whose answers are known by construction."""

import math

import numpy as np
import pytest
import scipy.stats
import skimage.color
import torch

from eval_colorization.metrics.diagnosticity import (
    ab_entropy,
    colour_diagnosticity,
    incongruent_colours,
    split_by_diagnosticity,
)
from pretext.color.bins import AbBins
from pretext.color.lab import lab_to_rgb, rgb_to_lab
from tests.eval_colorization.metrics.photographs import photographs


def test_a_class_that_is_known_by_its_colour_is_diagnostic_and_one_that_is_not_is_not() -> None:
    banana, lamp = 7, 3
    labels = np.array([banana, lamp, banana, lamp, banana, lamp, banana, lamp])
    correct_truth = np.array([True, True, True, True, True, False, True, False])
    correct_grey = np.array([False, True, False, True, True, False, False, False])
    correct_incongruent = np.array([False, True, False, True, False, True, False, False])
    found = colour_diagnosticity(correct_truth, correct_grey, correct_incongruent, labels)
    assert list(found) == [lamp, banana]
    assert found[banana].images == found[lamp].images == 4
    assert (found[banana].accuracy_truth, found[banana].accuracy_grey) == (1.0, 0.25)
    assert (found[banana].accuracy_incongruent, found[lamp].accuracy_incongruent) == (0.0, 0.75)
    assert found[banana].diagnosticity == 0.75
    assert found[lamp].diagnosticity == 0.0


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
