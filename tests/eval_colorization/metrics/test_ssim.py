"""SSIM against scikit-image."""

import pytest
import skimage.metrics
import torch
from torch import Tensor

from eval_colorization.metrics.ssim import ssim
from tests.eval_colorization.metrics.photographs import colorized_and_truth


def reference(colorized: Tensor, truth: Tensor) -> Tensor:
    values = [
        skimage.metrics.structural_similarity(
            one,
            other,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=0,
            data_range=1,
        )
        for one, other in zip(colorized.double().numpy(), truth.double().numpy(), strict=True)
    ]
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize(("height", "width"), [(96, 80), (101, 67), (11, 64), (30, 11), (11, 11)])
def test_ssim_of_photographs_agrees_with_scikit_image(height: int, width: int) -> None:
    colorized, truth = colorized_and_truth(height, width)
    torch.testing.assert_close(ssim(colorized, truth), reference(colorized, truth), atol=1e-5, rtol=0)


def test_single_precision_holds_in_flat_bright_and_dark_places() -> None:
    noise = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0)) / 255
    levels = torch.tensor([0.0, 0.3, 0.7, 0.99])[:, None, None, None]
    colorized, truth = levels + noise, levels + noise.flip(-1)
    torch.testing.assert_close(ssim(colorized, truth), reference(colorized, truth), atol=1e-5, rtol=0)


def test_an_inverted_image_is_negatively_similar_as_in_scikit_image() -> None:
    checks = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0)).round()
    assert ssim(1 - checks, checks).item() < 0
    torch.testing.assert_close(ssim(1 - checks, checks), reference(1 - checks, checks), atol=1e-5, rtol=0)


def test_equal_images_are_1_exactly() -> None:
    _, truth = colorized_and_truth()
    assert ssim(truth, truth).tolist() == [1.0] * len(truth)


def test_an_image_smaller_than_the_window_is_an_error() -> None:
    small = torch.zeros(1, 3, 10, 40)
    with pytest.raises(ValueError, match=r"at least 11 x 11 pixels, .* but these are 10 x 40"):
        ssim(small, small)
