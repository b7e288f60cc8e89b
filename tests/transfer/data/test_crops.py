"""Crops as torchvision cuts them, with one resampling of the box instead of one of the picture."""

import random
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import ks_2samp
from torchvision.transforms import v2

from pretext.images.sample import sample_source
from transfer.data.crops import central_crop, random_resized_crop, random_square, scale_jitter_crop, ten_crops


@pytest.fixture(scope="module")
def photograph() -> Image.Image:
    """Chelsea the cat, 451 x 300."""
    return sample_source("held-out").open(0)


def ramp(width: int, height: int) -> Image.Image:
    """A picture whose red is its column and whose green is its row, as shares of 255."""
    columns, rows = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([columns, rows, 0 * rows], -1).round().astype(np.uint8))


def sides(crop: torch.Tensor) -> tuple[float, float, bool]:
    """Width and height of a crop of a ramp, as shares of the picture's, and whether it is mirrored."""
    size = crop.shape[-1]
    columns, rows = crop[0].double().mean(0) / 255, crop[1].double().mean(1) / 255
    # From the centre of the first pixel to that of the last there is one pixel less than in the crop.
    width, height = (float(line[-1] - line[0]) * size / (size - 1) for line in (columns, rows))
    return abs(width), height, width < 0


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("image_size", "crop_size"), [(256, 227), (256, 224), (64, 56), (400, 313), (96, 96)]
)
def test_the_central_crop_is_torchvisions_resize_and_centre_crop(
    photograph: Image.Image, image_size: int, crop_size: int, turned: bool
) -> None:
    image = photograph.transpose(Image.Transpose.ROTATE_90) if turned else photograph
    reference = v2.Compose([v2.Resize(image_size), v2.CenterCrop(crop_size), v2.PILToTensor()])(image)
    assert (central_crop(image, image_size, crop_size).int() - reference.int()).abs().max() <= 2


def test_ten_crops_are_those_of_torchvision_of_the_resized_picture(photograph: Image.Image) -> None:
    """torchvision cuts the mirrored five from the mirrored picture: its corners come in another order."""
    resized = v2.Compose([v2.Resize(96), v2.PILToTensor()])(photograph)  # 144 x 96
    reference = torch.stack(v2.TenCrop(80)(resized))
    crops = ten_crops(photograph, 96, 80)
    assert (crops[:5].int() - reference[:5].int()).abs().max() <= 2
    assert (crops[[6, 5, 8, 7, 9]].int() - reference[5:].int()).abs().max() <= 2
    assert torch.equal(crops[4], central_crop(photograph, 96, 80))


def test_random_resized_crops_have_the_areas_aspects_and_places_of_torchvisions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two-sample Kolmogorov-Smirnov of 2000 boxes each: 1.95 sqrt(2 / n) is exceeded by chance in one of 1000."""
    image, number = Image.new("RGB", (2000, 1500)), 2000
    torch.manual_seed(0)
    reference = v2.RandomResizedCrop(8)
    theirs = [reference.make_params([image]) for _ in range(number)]
    ours = []

    def record(
        self: Image.Image, size: tuple[int, int], resample: int, *, box: tuple[float, ...]
    ) -> Image.Image:
        left, top, right, bottom = box
        ours.append({"left": left, "top": top, "width": right - left, "height": bottom - top})
        return Image.new("RGB", size)

    rng = random.Random(0)
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "resize", record)
        for _ in range(number):
            random_resized_crop(image, rng, 8)
    for quantity in (
        lambda box: box["width"] * box["height"],
        lambda box: box["width"] / box["height"],
        lambda box: box["left"],
        lambda box: box["top"],
    ):
        assert (
            ks_2samp(list(map(quantity, ours)), list(map(quantity, theirs))).statistic
            < 1.95 * (2 / number) ** 0.5
        )


@pytest.mark.parametrize("size", [(400, 20), (20, 400)])
def test_of_a_strip_the_central_box_of_the_nearest_aspect_is_taken_as_by_torchvision(
    size: tuple[int, int],
) -> None:
    """No box of all the area fits in ten tries, nor in ten thousand."""
    image = ramp(*size)
    crop = random_resized_crop(image, random.Random(1), 16, scale=(1.0, 1.0))
    box = v2.RandomResizedCrop(16, scale=(1.0, 1.0)).make_params([image])
    assert {box["width"], box["height"]} == {20, 27}
    reference = v2.functional.resized_crop(image, **box, size=[16, 16], antialias=True)
    expected = v2.functional.pil_to_tensor(reference).int()
    assert min((crop.int() - e).abs().max() for e in (expected, expected.flip(-1))) <= 2


def test_scale_jitter_shows_between_half_and_twice_the_picture_at_image_size_and_never_less_than_the_crop() -> (
    None
):
    """A crop of 48 at scales 0.5 to 2 of 64 pixels: short sides of 48 (raised from 32) to 128."""
    image, rng = ramp(100, 100), random.Random(0)
    shown = np.array([sides(scale_jitter_crop(image, rng, 64, 48)) for _ in range(600)])
    short_sides = 48 / shown[:, 0]
    np.testing.assert_allclose(shown[:, 0], shown[:, 1], rtol=0.03)
    assert 46 < short_sides.min() < 50
    assert 124 < short_sides.max() < 131
    raised = (shown[:, 0] > 0.98).mean()  # (48 - 32) / (128 - 32) of the scales
    assert abs(raised - 1 / 6) < 0.06
    assert abs(shown[:, 2].mean() - 0.5) < 0.09


CUTS = {
    "random_square": partial(random_square, rng=random.Random(0), image_size=40, crop_size=32),
    "random_resized_crop": partial(random_resized_crop, rng=random.Random(0), crop_size=32),
    "scale_jitter_crop": partial(scale_jitter_crop, rng=random.Random(0), image_size=40, crop_size=32),
    "central_crop": partial(central_crop, image_size=40, crop_size=32),
    "ten_crops": partial(ten_crops, image_size=40, crop_size=32),
}


@pytest.mark.parametrize("size", [(1, 1), (10, 5000), (5000, 10), (3, 2), (32, 32)])
@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_any_shape_gives_full_squares_of_its_own_colour(
    cut: "partial[torch.Tensor]", size: tuple[int, int]
) -> None:
    for _ in range(10):
        crops = cut(Image.new("RGB", size, (200, 120, 40)))
        assert crops.shape[-3:] == (3, 32, 32)
        assert crops.amax((-1, -2)).view(-1, 3).unique(dim=0).tolist() == [[200, 120, 40]]
        assert torch.equal(crops.amax((-1, -2)), crops.amin((-1, -2)))
