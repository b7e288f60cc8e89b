"""Bins, prior and histogram against the published quantisation and against direct counting."""

from collections.abc import Callable

import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor

from pretext.color.bins import AbBins, AbHistogram, empirical_prior, fit_bins, published_grid
from pretext.color.lab import rgb_to_lab
from pretext.color.soft_encoding import soft_encode


def photo_ab(image: Callable[[], np.ndarray]) -> Tensor:
    rgb = torch.from_numpy(image()).permute(2, 0, 1).float() / 255
    return rgb_to_lab(rgb)[1:, ::4, ::4]


@pytest.fixture(scope="module")
def ab() -> Tensor:
    return photo_ab(skimage.data.astronaut)


@pytest.fixture(scope="module")
def histogram(ab: Tensor) -> AbHistogram:
    histogram = AbHistogram()
    histogram.add(ab)
    return histogram


def test_the_published_bins_and_prior_are_those_of_the_release() -> None:
    bins = AbBins.published()
    assert bins.centres.shape == (313, 2)
    assert bins.prior.sum().item() == pytest.approx(1)
    cells = [tuple(cell) for cell in bins.centres.tolist()]
    assert cells == sorted(set(cells))
    assert cells[0] == (-90, 50)
    assert cells[-1] == (100, 0)
    assert bins.prior[cells.index((0, 0))].item() == pytest.approx(0.2012, abs=5e-5)
    assert torch.special.entr(bins.prior).sum().exp().item() == pytest.approx(31.1, abs=0.05)


def test_all_8_bit_colours_fill_261_bins_which_the_published_grid_contains() -> None:
    level = torch.arange(256) / 255
    filled: set[tuple[float, ...]] = set()
    for red in level.split(32):
        lab = rgb_to_lab(torch.stack(torch.meshgrid(red, level, level, indexing="ij"), dim=1))
        rounded = (lab[:, 1:] / 10).round().long() + 20
        flat = torch.bincount((rounded[:, 0] * 40 + rounded[:, 1]).flatten(), minlength=1600)
        filled |= {
            ((cell // 40 - 20) * 10.0, (cell % 40 - 20) * 10.0) for cell in flat.nonzero()[:, 0].tolist()
        }
    assert len(filled) == 261
    assert filled < {tuple(cell) for cell in published_grid().tolist()}


def test_the_histogram_counts_every_pixel_in_the_cell_of_its_rounded_colour(
    ab: Tensor, histogram: AbHistogram
) -> None:
    values, counts = np.unique(ab.round().flatten(1).numpy(), axis=1, return_counts=True)
    colours, cells = histogram.occupied()
    np.testing.assert_array_equal(colours.numpy().T, values)
    np.testing.assert_array_equal(cells.numpy(), counts)


def test_colours_off_the_plane_are_counted_at_its_border() -> None:
    histogram = AbHistogram()
    histogram.add(torch.tensor([500.0, -500.0]).reshape(2, 1, 1))
    assert histogram.counts[-1, 0] == 1


def test_k_means_bins_are_reproducible_ordered_and_near_the_colours(
    ab: Tensor, histogram: AbHistogram
) -> None:
    centres = fit_bins(histogram, num_bins=16, seed=3)
    assert torch.equal(centres, fit_bins(histogram, num_bins=16, seed=3))
    assert centres.tolist() == sorted(centres.tolist())
    # The published grid's rounding error is at most half a diagonal, 7.07; 16 fitted bins do better on average.
    assert torch.cdist(ab.flatten(1).T, centres).amin(dim=1).mean() < 5


def test_more_bins_than_colours_is_an_error_that_says_how_many_are_possible() -> None:
    histogram = AbHistogram()
    histogram.add(torch.tensor([[[0.0, 10.0, 20.0]], [[0.0, 0.0, 5.0]]]))
    with pytest.raises(ValueError, match="between 1 and 3"):
        fit_bins(histogram, num_bins=4, seed=0)


def test_an_empty_histogram_is_an_error() -> None:
    with pytest.raises(ValueError, match="holds no pixels"):
        empirical_prior(AbHistogram(), published_grid())


@pytest.mark.parametrize("neighbours", [5, 10])
def test_the_prior_from_the_histogram_is_the_mean_target_of_the_pixels(
    ab: Tensor, histogram: AbHistogram, neighbours: int
) -> None:
    centres = published_grid()
    targets = soft_encode(ab[None], centres, neighbours)
    direct = torch.zeros(313).scatter_add(0, targets.index.flatten(), targets.weight.flatten())
    direct /= direct.sum()
    prior = empirical_prior(histogram, centres, neighbours)
    assert prior.sum().item() == pytest.approx(1)
    assert (prior - direct).abs().sum() < 0.02  # the cells are 1 unit wide


def test_the_prior_of_grey_images_is_the_target_of_grey() -> None:
    grey = torch.rand(1, 32, 32, generator=torch.Generator().manual_seed(0)).expand(3, 32, 32)
    histogram = AbHistogram()
    histogram.add(rgb_to_lab(grey)[1:])
    targets = soft_encode(torch.zeros(1, 2, 1, 1), published_grid())
    prior = empirical_prior(histogram, published_grid())
    torch.testing.assert_close(prior[targets.index.flatten()], targets.weight.flatten())
