"""Dominant colours on images whose palette is known by construction, and on photographs by invariants."""

import io

import numpy as np
import pytest
import scipy.ndimage
import scipy.optimize
import skimage.restoration
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from eval_colorization.metrics.palette import bilateral_filter, dominant_colours, palette_distance
from pretext.color.lab import rgb_to_lab
from tests.eval_colorization.metrics.photographs import photographs

FIVE = torch.tensor(
    [[30.0, 40.0, 20.0], [80.0, 0.0, 60.0], [50.0, -45.0, 30.0], [40.0, 10.0, -50.0], [95.0, 0.0, 0.0]]
)
ROUNDING = 1 / 64  # half a step of the rounding, in each channel


def patchwork(colours: Tensor, arrangement: Tensor, side: int = 32) -> Tensor:
    """(1, 3, height, width) in Lab: a square of `side` pixels for each entry of `arrangement`, an index of a colour."""
    cells = arrangement.repeat_interleave(side, dim=0).repeat_interleave(side, dim=1)
    return colours[cells].permute(2, 0, 1)[None]


def by_lightness(palette: Tensor) -> Tensor:
    """A palette without its order."""
    return palette[palette[:, 0].argsort()]


def photographs_lab() -> Tensor:
    return rgb_to_lab(photographs(256, 256) / 255)


@pytest.mark.parametrize("seed", range(5))
def test_five_flat_colours_are_the_palette_wherever_they_lie(seed: int) -> None:
    order = torch.randperm(16, generator=torch.Generator().manual_seed(seed))
    arrangement = (torch.arange(16) % 5)[order].view(4, 4)
    palette = dominant_colours(patchwork(FIVE, arrangement))[0]
    torch.testing.assert_close(by_lightness(palette), by_lightness(FIVE), atol=ROUNDING, rtol=0)


def test_an_image_with_fewer_colours_repeats_its_strongest() -> None:
    palette = dominant_colours(patchwork(FIVE, torch.tensor([[1, 1], [1, 4]])))[0]
    expected = FIVE[[1, 4, 1, 1, 1]]
    torch.testing.assert_close(palette, expected, atol=ROUNDING, rtol=0)


def test_a_flat_grey_image_has_its_grey_for_a_palette() -> None:
    grey = torch.tensor([[53.0, 0.0, 0.0]])
    palette = dominant_colours(patchwork(grey, torch.zeros(1, 1, dtype=torch.int64)))
    assert torch.equal(palette[0], grey.expand(5, 3))


def test_grey_photographs_have_grey_palettes_of_different_lightness() -> None:
    lab = photographs_lab()
    lab[:, 1:] = 0
    palette = dominant_colours(lab)
    assert not palette[..., 1:].any()
    assert (palette[..., 0].amax(dim=1) - palette[..., 0].amin(dim=1) > 20).all()


def test_colours_nearer_than_8_are_one_where_they_touch_and_two_where_they_do_not() -> None:
    pair = torch.tensor([[50.0, 0.0, 0.0], [57.0, 0.0, 0.0], [50.0, 60.0, 0.0]])
    touching = dominant_colours(patchwork(pair, torch.tensor([[0, 1]])))[0]
    assert torch.equal(touching, touching[:1].expand(5, 3))
    assert touching[0, 0].item() == pytest.approx(53.5, abs=ROUNDING)
    parted = dominant_colours(patchwork(pair, torch.tensor([[0, 2, 1]])))[0]
    lightness = parted[parted[:, 1] == 0][:, 0]
    assert lightness.unique().tolist() == pytest.approx([50, 57], abs=ROUNDING)


@pytest.mark.parametrize(("width", "kept"), [(2, False), (4, False), (12, True)])
def test_a_vivid_line_counts_only_if_erosion_leaves_something_of_it(width: int, kept: bool) -> None:
    """The small copy is a quarter of the image; erosion takes all that is less than 3 of its pixels wide."""
    red = torch.tensor([50.0, 70.0, 50.0])
    lab = patchwork(torch.tensor([[60.0, 0.0, -20.0]]), torch.zeros(8, 8, dtype=torch.int64))
    lab[..., 100 : 100 + width] = red[:, None, None]
    distance = (dominant_colours(lab)[0] - red).norm(dim=1).amin()
    assert (distance.item() < ROUNDING * 2) == kept


def test_a_photograph_has_the_same_palette_in_any_batch() -> None:
    lab = photographs_lab()
    together = dominant_colours(lab)
    assert torch.equal(together, torch.cat([dominant_colours(one) for one in lab.split(1)]))
    assert torch.equal(together.roll(1, dims=0), dominant_colours(lab.roll(1, dims=0)))
    assert torch.equal(together, dominant_colours(lab.contiguous(memory_format=torch.channels_last)))


def test_a_mirrored_or_turned_photograph_has_the_same_palette() -> None:
    lab = photographs_lab()
    for other in (lab.flip(-1), lab.flip(-2), lab.mT):
        assert (palette_distance(dominant_colours(lab), dominant_colours(other)) < 0.05).all()


def test_a_jpeg_copy_lies_far_nearer_than_the_photograph_without_its_colours() -> None:
    """2.3 and 26 over many details of the same photographs."""
    lab, copies = photographs_lab(), []
    for photograph in photographs(256, 256):
        file = io.BytesIO()
        Image.fromarray(photograph.permute(1, 2, 0).numpy()).save(file, "JPEG", quality=75)
        copies.append(torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1))
    grey = lab * torch.tensor([1, 0, 0])[:, None, None]
    jpeg_distance, grey_distance = (
        palette_distance(dominant_colours(lab), dominant_colours(other)).mean()
        for other in (rgb_to_lab(torch.stack(copies) / 255), grey)
    )
    assert 4 * jpeg_distance < grey_distance


def test_the_colours_of_a_palette_are_colours_of_the_photograph() -> None:
    lab = photographs_lab()
    nearest = torch.cdist(dominant_colours(lab), lab.flatten(2).mT.contiguous()).amin(dim=2)
    assert (nearest < 8).all()


def small_photographs() -> Tensor:
    """Without negative values, which scikit-image's filter does not take."""
    lab = F.adaptive_avg_pool2d(photographs_lab(), 48)
    return lab - lab.amin(dim=(1, 2, 3), keepdim=True)


def test_the_bilateral_filter_weighs_colours_as_scikit_images() -> None:
    """That of scikit-image 0.26 divides colour distances by the number of channels, and its spatial weights are not
    centred: a wide Gaussian leaves them out.
    """
    lab = small_photographs()
    for ours, image in zip(bilateral_filter(lab, radius=2, space=1e6, colour=8.0), lab, strict=True):
        reference = skimage.restoration.denoise_bilateral(
            image.permute(1, 2, 0).double().numpy(),
            win_size=5,
            sigma_color=8 / 3,
            sigma_spatial=1e6,
            mode="edge",
            channel_axis=2,
        )
        torch.testing.assert_close(
            ours.permute(1, 2, 0).double(), torch.from_numpy(reference), atol=0.02, rtol=0
        )


def test_the_bilateral_filter_is_a_gaussian_where_colours_do_not_count() -> None:
    lab = small_photographs()
    reference = scipy.ndimage.gaussian_filter(lab.numpy(), sigma=1.5, radius=2, mode="nearest", axes=(2, 3))
    ours = bilateral_filter(lab, radius=2, space=1.5, colour=1e6)
    torch.testing.assert_close(ours, torch.from_numpy(reference), atol=1e-3, rtol=0)


def test_a_palette_is_at_distance_0_from_itself_in_any_order() -> None:
    assert palette_distance(FIVE[None], FIVE[[3, 0, 4, 1, 2]][None]).item() == 0


def test_a_small_shift_of_all_colours_is_the_distance() -> None:
    shift = torch.tensor([1.0, -2.0, 2.0])
    assert palette_distance(FIVE[None], (FIVE + shift)[[4, 2, 0, 1, 3]][None]).item() == pytest.approx(3)


def test_the_matching_is_the_best_one() -> None:
    """Of all one-to-one matchings, as scipy's solver of the assignment problem finds it."""
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(2, 20, 5, 3, generator=generator) * 30
    for first, second, distance in zip(a, b, palette_distance(a, b), strict=True):
        cost = torch.cdist(first, second).numpy()
        assert distance.item() == pytest.approx(
            cost[scipy.optimize.linear_sum_assignment(cost)].mean(), rel=1e-5
        )


def test_another_number_of_colours_can_be_asked_for() -> None:
    palette = dominant_colours(photographs_lab(), num=3)
    assert palette.shape == (4, 3, 3)
    assert torch.equal(palette, dominant_colours(photographs_lab())[:, :3])
