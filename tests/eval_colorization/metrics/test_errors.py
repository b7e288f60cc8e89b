"""MSE, PSNR and ab-RMSE against scikit-image and their definitions."""

import numpy as np
import pytest
import skimage.metrics
import torch

from eval_colorization.metrics.errors import ab_rmse, mse, psnr
from tests.eval_colorization.metrics.photographs import colorized_and_truth


def test_mse_and_psnr_agree_with_scikit_image() -> None:
    colorized, truth = colorized_and_truth()
    errors = mse(colorized, truth)
    ratios = psnr(errors)
    for i, (one, other) in enumerate(zip(colorized.double().numpy(), truth.double().numpy(), strict=True)):
        expected = skimage.metrics.mean_squared_error(other, one)
        assert errors[i].item() == pytest.approx(expected, rel=1e-6)
        expected = skimage.metrics.peak_signal_noise_ratio(other, one, data_range=1)
        assert ratios[i].item() == pytest.approx(expected, abs=1e-5)


def test_one_level_of_error_everywhere_is_48_decibels() -> None:
    grey = torch.full((1, 3, 8, 8), 100 / 255)
    ratio = psnr(mse(grey, torch.full_like(grey, 101 / 255)))
    assert ratio.item() == pytest.approx(20 * np.log10(255), abs=1e-4)


def test_equal_images_have_no_error_and_an_infinite_ratio() -> None:
    _, truth = colorized_and_truth()
    assert (mse(truth, truth) == 0).all()
    assert (psnr(mse(truth, truth)) == torch.inf).all()


def test_ab_rmse_is_the_distance_of_both_channels_and_sqrt_2_of_the_mean_over_channels() -> None:
    truth = torch.zeros(2, 2, 5, 7)
    colorized = torch.tensor([[3.0, 4.0], [30.0, 40.0]])[:, :, None, None].expand(2, 2, 5, 7)
    assert ab_rmse(colorized, truth).tolist() == [5, 50]
    per_channel = (colorized - truth).square().mean(dim=(1, 2, 3)).sqrt().double()
    torch.testing.assert_close(ab_rmse(colorized, truth), per_channel * 2**0.5, atol=0, rtol=1e-6)
