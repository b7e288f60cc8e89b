"""CIEDE2000 against the published test pairs and scikit-image."""

import numpy as np
import pytest
import skimage.color
import torch
from torch import Tensor

from eval_colorization.metrics.ciede2000 import ciede2000, difference_map
from pretext.color.lab import rgb_to_lab
from tests.eval_colorization.metrics.photographs import colorized_and_truth

# Table 1 of Sharma, Wu, Dalal (2005): L, a, b of two colours and their difference to four digits.
PUBLISHED_PAIRS = (
    (50.0000, 2.6772, -79.7751, 50.0000, 0.0000, -82.7485, 2.0425),
    (50.0000, 3.1571, -77.2803, 50.0000, 0.0000, -82.7485, 2.8615),
    (50.0000, 2.8361, -74.0200, 50.0000, 0.0000, -82.7485, 3.4412),
    (50.0000, -1.3802, -84.2814, 50.0000, 0.0000, -82.7485, 1.0000),
    (50.0000, -1.1848, -84.8006, 50.0000, 0.0000, -82.7485, 1.0000),
    (50.0000, -0.9009, -85.5211, 50.0000, 0.0000, -82.7485, 1.0000),
    (50.0000, 0.0000, 0.0000, 50.0000, -1.0000, 2.0000, 2.3669),
    (50.0000, -1.0000, 2.0000, 50.0000, 0.0000, 0.0000, 2.3669),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0009, 7.1792),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0010, 7.1792),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0011, 7.2195),
    (50.0000, 2.4900, -0.0010, 50.0000, -2.4900, 0.0012, 7.2195),
    (50.0000, -0.0010, 2.4900, 50.0000, 0.0009, -2.4900, 4.8045),
    (50.0000, -0.0010, 2.4900, 50.0000, 0.0010, -2.4900, 4.8045),
    (50.0000, -0.0010, 2.4900, 50.0000, 0.0011, -2.4900, 4.7461),
    (50.0000, 2.5000, 0.0000, 50.0000, 0.0000, -2.5000, 4.3065),
    (50.0000, 2.5000, 0.0000, 73.0000, 25.0000, -18.0000, 27.1492),
    (50.0000, 2.5000, 0.0000, 61.0000, -5.0000, 29.0000, 22.8977),
    (50.0000, 2.5000, 0.0000, 56.0000, -27.0000, -3.0000, 31.9030),
    (50.0000, 2.5000, 0.0000, 58.0000, 24.0000, 15.0000, 19.4535),
    (50.0000, 2.5000, 0.0000, 50.0000, 3.1736, 0.5854, 1.0000),
    (50.0000, 2.5000, 0.0000, 50.0000, 3.2972, 0.0000, 1.0000),
    (50.0000, 2.5000, 0.0000, 50.0000, 1.8634, 0.5757, 1.0000),
    (50.0000, 2.5000, 0.0000, 50.0000, 3.2592, 0.3350, 1.0000),
    (60.2574, -34.0099, 36.2677, 60.4626, -34.1751, 39.4387, 1.2644),
    (63.0109, -31.0961, -5.8663, 62.8187, -29.7946, -4.0864, 1.2630),
    (61.2901, 3.7196, -5.3901, 61.4292, 2.2480, -4.9620, 1.8731),
    (35.0831, -44.1164, 3.7933, 35.0232, -40.0716, 1.5901, 1.8645),
    (22.7233, 20.0904, -46.6940, 23.0331, 14.9730, -42.5619, 2.0373),
    (36.4612, 47.8580, 18.3852, 36.2715, 50.5065, 21.2231, 1.4146),
    (90.8027, -2.0831, 1.4410, 91.1528, -1.6435, 0.0447, 1.4441),
    (90.9257, -0.5406, -0.9208, 88.6381, -0.8985, -0.7239, 1.5381),
    (6.7747, -0.2908, -2.4247, 5.8714, -0.0985, -2.2286, 0.6377),
    (2.0776, 0.0795, -1.1350, 0.9033, -0.0636, -0.5514, 0.9082),
)


def reference(lab1: Tensor, lab2: Tensor) -> Tensor:
    first, second = lab1.double().numpy(), lab2.double().numpy()
    return torch.from_numpy(skimage.color.deltaE_ciede2000(first, second, channel_axis=1))


def test_the_published_pairs_have_their_published_differences() -> None:
    pairs = torch.tensor(PUBLISHED_PAIRS)
    differences = ciede2000(pairs[:, :3, None, None], pairs[:, 3:6, None, None])
    torch.testing.assert_close(differences, pairs[:, 6].double(), atol=1e-4, rtol=0)


def test_every_pixel_of_random_colours_agrees_with_scikit_image() -> None:
    draw = np.random.default_rng(0).uniform((0, -110, -110), (100, 110, 110), size=(2, 100_000, 3))
    lab1, lab2 = torch.from_numpy(draw).float().transpose(1, 2)[..., None].split(1)
    torch.testing.assert_close(difference_map(lab1, lab2).double(), reference(lab1, lab2), atol=2e-3, rtol=0)


def test_the_mean_over_photographs_agrees_with_scikit_image() -> None:
    lab1, lab2 = map(rgb_to_lab, colorized_and_truth())
    expected = reference(lab1, lab2).mean(dim=(1, 2))
    torch.testing.assert_close(ciede2000(lab1, lab2), expected, atol=0, rtol=1e-5)


def test_equal_images_do_not_differ_and_a_change_of_sides_changes_nothing() -> None:
    lab1, lab2 = map(rgb_to_lab, colorized_and_truth())
    assert torch.equal(ciede2000(lab2, lab2), torch.zeros(len(lab2), dtype=torch.float64))
    torch.testing.assert_close(ciede2000(lab1, lab2), ciede2000(lab2, lab1), atol=0, rtol=1e-5)


@pytest.mark.parametrize("lightness", [0.0, 50.0, 100.0])
def test_greys_have_no_hue_that_could_differ(lightness: float) -> None:
    grey = torch.tensor([lightness, 0.0, 0.0]).reshape(1, 3, 1, 1)
    almost = torch.tensor([lightness, -1e-6, 1e-6]).reshape(1, 3, 1, 1)
    assert ciede2000(grey, grey).item() == 0
    assert ciede2000(grey, almost).item() == pytest.approx(0, abs=1e-5)
