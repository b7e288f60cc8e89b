"""Lab conversion against scikit-image."""

import numpy as np
import pytest
import skimage.color
import skimage.data
import torch
from torch import Tensor

from pretext.color import lab
from pretext.color.lab import fit_chroma_to_gamut, lab_to_rgb, rgb_to_lab


def channels_first(image: np.ndarray) -> Tensor:
    return torch.from_numpy(np.moveaxis(image, -1, -3).astype(np.float32))


def rgb_cube(steps: int) -> np.ndarray:
    axis = np.linspace(0, 1, steps)
    return np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(steps, -1, 3)


def lab_box() -> np.ndarray:
    """Lab colours of which most lie far outside the sRGB gamut."""
    lightness, ab = np.linspace(0, 100, 21), np.linspace(-120, 120, 25)
    return np.stack(np.meshgrid(lightness, ab, ab), axis=-1).reshape(25, -1, 3)


@pytest.fixture(scope="module")
def photo() -> Tensor:
    return channels_first(skimage.data.astronaut() / 255)


@pytest.mark.parametrize("keeps_gradient", [False, True], ids=["fast way", "formula"])
def test_rgb_to_lab_agrees_with_scikit_image_over_the_whole_cube(keeps_gradient: bool) -> None:
    cube = rgb_cube(64)  # the knee of the sRGB curve and both ends are in it
    lab = rgb_to_lab(channels_first(cube).requires_grad_(keeps_gradient)).detach()
    torch.testing.assert_close(lab, channels_first(skimage.color.rgb2lab(cube)), atol=2e-3, rtol=0)


@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
def test_lab_to_rgb_agrees_with_scikit_image_also_out_of_gamut() -> None:
    rgb = lab_to_rgb(channels_first(lab_box()))
    torch.testing.assert_close(rgb, channels_first(skimage.color.lab2rgb(lab_box())), atol=1e-4, rtol=0)


def test_a_round_trip_returns_every_8_bit_level() -> None:
    cube = channels_first(rgb_cube(52))  # steps of 5 / 255
    torch.testing.assert_close(lab_to_rgb(rgb_to_lab(cube)), cube, atol=1e-4, rtol=0)


def test_the_blocks_of_the_fast_way_do_not_show(photo: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = torch.stack([photo, photo.flip(-1), photo.flip(-2)])[..., :101, :99]
    whole = rgb_to_lab(batch)
    for numel in (1000, batch[0].numel(), 2 * batch[0].numel()):
        monkeypatch.setattr(lab, "BLOCK_NUMEL", numel)
        torch.testing.assert_close(rgb_to_lab(batch), whole, atol=1e-4, rtol=0)


def test_any_number_of_batch_dimensions_and_memory_layouts_are_accepted(photo: Tensor) -> None:
    crops = photo[:, :64, :48].unfold(1, 16, 16).unfold(2, 16, 16).permute(1, 2, 0, 3, 4)
    lab = rgb_to_lab(crops)
    assert lab.shape == crops.shape
    torch.testing.assert_close(lab[1, 2], rgb_to_lab(crops[1, 2].contiguous()))
    assert rgb_to_lab(crops[:0]).shape == lab_to_rgb(crops[:0]).shape == (0, 3, 3, 16, 16)


def test_autocast_leaves_the_precision_alone(photo: Tensor) -> None:
    expected = rgb_to_lab(photo)
    with torch.autocast("cpu", torch.bfloat16):
        lab = rgb_to_lab(photo.clone().requires_grad_()).detach()
        rgb = lab_to_rgb(lab)
    assert lab.dtype == rgb.dtype == torch.float32
    torch.testing.assert_close(lab, expected, atol=2e-3, rtol=0)
    torch.testing.assert_close(rgb, photo, atol=1e-4, rtol=0)


def test_gradients_are_finite_at_black_and_white() -> None:
    ends = torch.tensor([0.0, 1.0]).expand(3, 1, 2).clone().requires_grad_()
    lab_to_rgb(rgb_to_lab(ends)).sum().backward()
    assert ends.grad is not None
    assert ends.grad.isfinite().all()


def test_colours_inside_the_gamut_are_not_touched(photo: Tensor) -> None:
    lab = rgb_to_lab(photo)
    assert torch.equal(fit_chroma_to_gamut(lab), lab)


def test_fitting_chroma_keeps_lightness_and_hue_of_colours_outside_the_gamut() -> None:
    lab = channels_first(lab_box())
    fitted = fit_chroma_to_gamut(lab)
    shown = rgb_to_lab(lab_to_rgb(fitted))
    torch.testing.assert_close(shown[0], lab[0], atol=0.15, rtol=0)
    torch.testing.assert_close(shown, fitted, atol=1.0, rtol=0)
    clipped = rgb_to_lab(lab_to_rgb(lab))
    assert (clipped[0] - lab[0]).abs().max() > 10

    assert torch.equal(fitted[0], lab[0])
    cross = fitted[1] * lab[2] - fitted[2] * lab[1]
    assert cross.abs().max() < 1e-2
    assert ((fitted[1:] * lab[1:]).sum(0) >= 0).all()


def test_fitted_colours_lie_on_the_border_of_the_gamut() -> None:
    lab = channels_first(lab_box())
    fitted = fit_chroma_to_gamut(lab)
    moved = (fitted != lab).any(0) & (lab[0] > 5) & (lab[0] < 95)
    rgb = lab_to_rgb(fitted)[:, moved]
    distance = torch.minimum(rgb, 1 - rgb).amin(0)
    assert moved.any()
    assert distance.max() < 0.01
