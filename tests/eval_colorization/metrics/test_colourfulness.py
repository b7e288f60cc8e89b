"""Colourfulness against cases computed by hand and NumPy's statistics."""

import numpy as np
import pytest
import torch

from eval_colorization.metrics.colourfulness import colourfulness, colourfulness_absolute
from tests.eval_colorization.metrics.photographs import colorized_and_truth


def test_an_image_half_red_half_blue_has_the_figures_computed_by_hand() -> None:
    """Red has R - G = 255 and (R + G) / 2 - B = 127.5; blue has 0 and -255."""
    flag = torch.zeros(1, 3, 6, 8)
    flag[:, 0, :, :4] = 1
    flag[:, 2, :, 4:] = 1
    signed = np.hypot(127.5, 191.25) + 0.3 * np.hypot(127.5, -63.75)
    absolute = np.hypot(127.5, 63.75) + 0.3 * np.hypot(127.5, 191.25)
    assert colourfulness(flag).item() == pytest.approx(signed, rel=1e-6)
    assert colourfulness_absolute(flag).item() == pytest.approx(absolute, rel=1e-6)


def test_photographs_agree_with_the_published_formula_in_numpy() -> None:
    _, truth = colorized_and_truth()
    red, green, blue = 255 * truth.double().numpy().transpose(1, 0, 2, 3)
    for function, change in ((colourfulness, np.asarray), (colourfulness_absolute, np.abs)):
        rg, yb = change(red - green), change((red + green) / 2 - blue)
        sigma = np.hypot(rg.std(axis=(1, 2)), yb.std(axis=(1, 2)))
        mu = np.hypot(rg.mean(axis=(1, 2)), yb.mean(axis=(1, 2)))
        np.testing.assert_allclose(function(truth).numpy(), sigma + 0.3 * mu, rtol=1e-5)


def test_grey_has_none_and_one_colour_has_only_its_mean() -> None:
    grey = colorized_and_truth()[1][:, :1].expand(-1, 3, -1, -1)
    assert (colourfulness(grey) == 0).all()
    red = torch.zeros(1, 3, 16, 16)
    red[:, 0] = 1
    assert colourfulness(red).item() == pytest.approx(0.3 * np.hypot(255, 127.5), rel=1e-6)
