"""Saturation histograms against scikit-image's HSV, their distance against SciPy."""

import numpy as np
import pytest
import scipy.stats
import skimage.color
import torch
from torch import Tensor

from eval_colorization.metrics.saturation import saturation_distance, saturation_histogram
from tests.eval_colorization.metrics.photographs import colorized_and_truth

LEVELS = np.arange(256) / 255


def hsv_saturation(rgb: Tensor) -> np.ndarray:
    return skimage.color.rgb2hsv(rgb.double().numpy(), channel_axis=1)[:, 1].reshape(len(rgb), -1)


def test_the_histogram_is_that_of_scikit_images_saturations() -> None:
    _, truth = colorized_and_truth()
    levels = np.rint(hsv_saturation(truth) * 255).astype(int)
    expected = torch.stack([torch.from_numpy(np.bincount(image, minlength=256)) for image in levels])
    histogram = saturation_histogram(truth)
    assert torch.equal(histogram.sum(dim=1), expected.sum(dim=1))
    # A saturation half-way between two levels may round to either.
    assert saturation_distance(histogram, expected).max() < 1e-4


def test_the_distance_is_scipys_of_the_same_histograms() -> None:
    first, second = map(saturation_histogram, colorized_and_truth())
    expected = [
        scipy.stats.wasserstein_distance(LEVELS, LEVELS, one, other)
        for one, other in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(saturation_distance(first, second).numpy(), expected, atol=1e-12)


def test_the_distance_is_that_of_the_exact_saturations_to_less_than_a_level() -> None:
    colorized, truth = colorized_and_truth()
    expected = [
        scipy.stats.wasserstein_distance(one, other)
        for one, other in zip(hsv_saturation(colorized), hsv_saturation(truth), strict=True)
    ]
    distance = saturation_distance(saturation_histogram(colorized), saturation_histogram(truth))
    np.testing.assert_allclose(distance.numpy(), expected, atol=1 / 255)


def test_grey_and_pure_colours_are_1_apart_and_black_counts_as_grey() -> None:
    colours = ([0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.0, 1.0, 0.0], [0.0, 0.0, 0.1])
    images = torch.tensor(colours)[:, :, None, None].expand(-1, -1, 4, 6)
    black, grey, green, dark_blue = saturation_histogram(images)
    assert black[0] == grey[0] == green[255] == dark_blue[255] == 24
    assert saturation_distance(grey, green).item() == 1
    assert saturation_distance(grey, black).item() == 0


def test_histograms_of_sets_of_different_sizes_are_compared_by_their_shares() -> None:
    first, second = map(saturation_histogram, colorized_and_truth())
    once, thrice = saturation_distance(first[0], second[0]), saturation_distance(3 * first[0], second[0])
    assert thrice.item() == pytest.approx(once.item(), abs=1e-12)
