"""Soft encoding against the published figures and a dense search."""

import pytest
import skimage.data
import torch
from torch import Tensor

from pretext.color.bins import AbBins
from pretext.color.lab import rgb_to_lab
from pretext.color.soft_encoding import NeighbourTable, SoftTargets, soft_encode


@pytest.fixture(scope="module")
def bins() -> AbBins:
    return AbBins.published()


@pytest.fixture(scope="module")
def table(bins: AbBins) -> NeighbourTable:
    return NeighbourTable(bins.centres)


@pytest.fixture(scope="module")
def gamut_ab() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return rgb_to_lab(torch.rand(2, 3, 60, 60, generator=generator))[:, 1:]


def dense(targets: SoftTargets, num_bins: int) -> Tensor:
    batch, _, height, width = targets.index.shape
    return torch.zeros(batch, num_bins, height, width).scatter_add(1, targets.index, targets.weight)


@pytest.mark.parametrize(("neighbours", "entropy", "mass"), [(5, 1.1350, 0.9536), (10, 1.3327, 0.9992)])
def test_entropy_and_mass_at_the_bin_centres_are_the_published_ones(
    bins: AbBins, neighbours: int, entropy: float, mass: float
) -> None:
    targets = soft_encode(bins.centres.T[None, :, :, None], bins.centres, neighbours)
    entropies = torch.special.entr(targets.weight).sum(dim=1).flatten()
    assert (bins.prior * entropies).sum().item() == pytest.approx(entropy, abs=5e-5)

    gaussian = torch.exp(-torch.cdist(bins.centres, bins.centres).square() / (2 * 5.0**2))
    kept = gaussian.topk(neighbours, dim=1).values.sum(dim=1) / gaussian.sum(dim=1)
    assert (bins.prior * kept).sum().item() == pytest.approx(mass, abs=5e-5)


def test_the_nearest_bin_comes_first_and_the_weights_are_normalised_gaussians(
    bins: AbBins, gamut_ab: Tensor
) -> None:
    targets = soft_encode(gamut_ab, bins.centres, neighbours=7, sigma=4.0)
    distance = (bins.centres[targets.index] - gamut_ab.permute(0, 2, 3, 1)[:, None]).norm(dim=-1)
    assert (distance.diff(dim=1) >= -1e-4).all()
    every = (bins.centres - gamut_ab.permute(0, 2, 3, 1)[..., None, :]).norm(dim=-1)
    torch.testing.assert_close(distance[:, 0], every.amin(dim=-1))
    expected = torch.exp(-distance.square() / (2 * 4.0**2))
    torch.testing.assert_close(targets.weight, expected / expected.sum(dim=1, keepdim=True))


def test_weights_stay_finite_far_from_every_bin(bins: AbBins, table: NeighbourTable) -> None:
    far = torch.tensor([1000.0, -1000.0]).reshape(1, 2, 1, 1)
    for targets in (soft_encode(far, bins.centres), table.encode(far)):
        assert targets.weight.sum().item() == pytest.approx(1)


def test_the_table_differs_from_the_search_rarely_and_by_little(
    bins: AbBins, table: NeighbourTable, gamut_ab: Tensor
) -> None:
    exact, fast = soft_encode(gamut_ab, bins.centres), table.encode(gamut_ab)
    moved_mass = (dense(exact, 313) - dense(fast, 313)).abs().sum(dim=1) / 2
    assert (moved_mass > 1e-5).float().mean() < 0.06
    assert moved_mass.mean() < 2e-3
    assert moved_mass.max() < 0.06
    nearest = fast.index.gather(1, fast.weight.argmax(dim=1, keepdim=True))
    assert (nearest != exact.index[:, :1]).float().mean() < 1e-3  # ties


def test_the_table_replaces_a_neighbour_only_by_one_that_is_hardly_farther(
    bins: AbBins, table: NeighbourTable, gamut_ab: Tensor
) -> None:
    exact, fast = soft_encode(gamut_ab, bins.centres), table.encode(gamut_ab)
    colours = gamut_ab.permute(0, 2, 3, 1)[:, None]
    farthest = [(bins.centres[targets.index] - colours).norm(dim=-1).amax(dim=1) for targets in (exact, fast)]
    inside = ((gamut_ab[:, 0] > -90) & (gamut_ab[:, 1] > -110)).all()
    assert inside
    assert (farthest[1] - farthest[0]).max() <= 0.5 * 2**0.5 + 1e-4


def test_the_table_moves_with_its_module_but_is_not_saved(table: NeighbourTable) -> None:
    assert table.state_dict() == {}
    assert {name for name, _ in table.named_buffers()} == {"centres", "nearest"}


def test_encoding_under_autocast_is_in_full_precision(table: NeighbourTable, gamut_ab: Tensor) -> None:
    expected = table.encode(gamut_ab)
    with torch.autocast("cpu", torch.bfloat16):
        targets = table.encode(gamut_ab)
    assert torch.equal(targets.weight, expected.weight)


def test_a_photograph_keeps_its_mean_colour_through_encoding(bins: AbBins, table: NeighbourTable) -> None:
    rgb = torch.from_numpy(skimage.data.astronaut()).permute(2, 0, 1)[None] / 255
    ab = rgb_to_lab(rgb)[:, 1:, ::4, ::4]
    targets = table.encode(ab)
    colours = bins.centres[targets.index].permute(0, 4, 1, 2, 3)
    decoded = (colours * targets.weight[:, None]).sum(dim=2)
    assert (decoded - ab).abs().mean() < 2  # the bins are 10 apart


@pytest.mark.parametrize("neighbours", [0, 314])
def test_an_impossible_number_of_neighbours_is_an_error(bins: AbBins, neighbours: int) -> None:
    with pytest.raises(ValueError, match="between 1 and the number of bins, 313"):
        soft_encode(torch.zeros(1, 2, 1, 1), bins.centres, neighbours)
