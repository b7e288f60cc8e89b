"""What holds for every pixel metric: the score is the image's, whatever tensor and batch carry it."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from eval_colorization.metrics.auc import auc, error_counts, rebalancing_weights
from eval_colorization.metrics.ciede2000 import ciede2000
from eval_colorization.metrics.colourfulness import colourfulness, colourfulness_absolute
from eval_colorization.metrics.errors import ab_rmse, mse
from eval_colorization.metrics.saturation import saturation_distance, saturation_histogram
from eval_colorization.metrics.ssim import ssim
from pretext.color.bins import AbBins
from pretext.color.lab import rgb_to_lab
from tests.eval_colorization.metrics.photographs import colorized_and_truth

BINS = AbBins.published()


def rebalanced_auc(colorized: Tensor, truth: Tensor) -> Tensor:
    weight = rebalancing_weights(truth[:, 1:], BINS)
    return auc(error_counts(colorized[:, 1:], truth[:, 1:], weight))


OF_RGB: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "mse": mse,
    "ssim": ssim,
    "colourfulness": lambda colorized, truth: colourfulness(colorized),
    "colourfulness_absolute": lambda colorized, truth: colourfulness_absolute(colorized),
    "saturation": lambda colorized, truth: saturation_distance(
        saturation_histogram(colorized), saturation_histogram(truth)
    ),
}
OF_LAB: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "ab_rmse": lambda colorized, truth: ab_rmse(colorized[:, 1:], truth[:, 1:]),
    "auc": lambda colorized, truth: auc(error_counts(colorized[:, 1:], truth[:, 1:])),
    "auc_rebalanced": rebalanced_auc,
    "ciede2000": ciede2000,
}
METRICS = OF_RGB | OF_LAB


def images_for(name: str, height: int = 96, width: int = 80) -> tuple[Tensor, Tensor]:
    colorized, truth = colorized_and_truth(height, width)
    return (colorized, truth) if name in OF_RGB else (rgb_to_lab(colorized), rgb_to_lab(truth))


@pytest.fixture
def one_to_three_threads() -> Iterator[Iterator[int]]:
    def threads() -> Iterator[int]:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            yield number

    before = torch.get_num_threads()
    yield threads()
    torch.set_num_threads(before)


@pytest.mark.parametrize(("height", "width"), [(256, 256), (101, 99), (200, 250)])
@pytest.mark.parametrize("name", METRICS)
def test_a_score_is_the_same_to_the_bit_in_any_batch_and_on_any_number_of_threads(
    name: str, height: int, width: int, one_to_three_threads: Iterator[int]
) -> None:
    metric = METRICS[name]
    colorized, truth = images_for(name, height, width)
    expected = metric(colorized, truth)
    for _ in one_to_three_threads:
        assert torch.equal(metric(colorized, truth), expected)
        for size in (1, 3):
            batches = zip(colorized.split(size), truth.split(size), strict=True)
            assert torch.equal(torch.cat([metric(*batch) for batch in batches]), expected)


@pytest.mark.parametrize("name", METRICS)
def test_memory_layout_does_not_matter(name: str) -> None:
    metric = METRICS[name]
    colorized, truth = images_for(name)
    expected = metric(colorized, truth)
    last = [images.contiguous(memory_format=torch.channels_last) for images in (colorized, truth)]
    torch.testing.assert_close(metric(*last), expected, atol=1e-6, rtol=1e-6)
    wide = [torch.cat([images, images], dim=-1)[..., : truth.shape[-1]] for images in (colorized, truth)]
    assert not wide[0].is_contiguous()
    torch.testing.assert_close(metric(*wide), expected, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", METRICS)
def test_half_precision_images_are_measured_in_full_precision(name: str, dtype: torch.dtype) -> None:
    colorized, truth = (images.to(dtype) for images in images_for(name))
    with torch.autocast("cpu", torch.bfloat16):
        score = METRICS[name](colorized, truth)
    assert torch.equal(score, METRICS[name](colorized.float(), truth.float()))


@pytest.mark.parametrize("name", METRICS)
def test_no_metric_writes_into_its_images(name: str) -> None:
    colorized, truth = images_for(name)
    before = colorized.clone(), truth.clone()
    METRICS[name](colorized, truth)
    assert torch.equal(colorized, before[0])
    assert torch.equal(truth, before[1])
