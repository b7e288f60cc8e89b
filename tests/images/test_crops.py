import random

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from pretext.images.crops import central_square, random_crop_and_mirror


class FixedPlace(random.Random):
    """Stands for the random generator: a chosen place (left, top) and mirroring, each in [0, 1)."""

    def __init__(self, left: float, top: float, mirrored: float) -> None:
        super().__init__()
        self.values = iter((left, top, mirrored))

    def random(self) -> float:
        return next(self.values)


def test_the_central_square_is_torchvisions_resize_and_centre_crop(photograph: Image.Image) -> None:
    landscape = photograph.crop((0, 0, 440, 300))
    reference = v2.Compose([v2.Resize(150), v2.CenterCrop(150), v2.PILToTensor()])(landscape)
    assert (central_square(landscape, 150).int() - reference.int()).abs().max() <= 1


@pytest.mark.parametrize("mirrored", [False, True])
def test_a_random_crop_is_cut_from_the_picture_resized_to_image_size(
    mirrored: bool, photograph: Image.Image
) -> None:
    landscape = photograph.crop((0, 0, 450, 300))
    resized = v2.Compose([v2.Resize(200), v2.PILToTensor()])(landscape)  # 300 x 200
    # Offsets 40 of the 300 - 120 and 60 of the 200 - 120 free pixels.
    place = FixedPlace(40 / 180, 60 / 80, 0.0 if mirrored else 0.9)
    crop = random_crop_and_mirror(landscape, place, image_size=200, crop_size=120)
    expected = resized[:, 60:180, 40:160]
    expected = expected.flip(-1) if mirrored else expected
    assert (crop.int() - expected.int()).abs().max() <= 1


def test_crops_reach_every_edge_and_half_of_them_are_mirrored() -> None:
    ramp = Image.fromarray(np.tile(np.arange(256, dtype=np.uint8), (64, 1))).convert("RGB")
    rng = random.Random(0)
    crops = torch.stack([random_crop_and_mirror(ramp, rng, 64, 48)[0] for _ in range(400)]).int()
    mirrored = crops[:, 0, 0] > crops[:, 0, -1]
    assert 160 < mirrored.sum() < 240  # 4 standard deviations
    assert crops.min() < 6
    assert crops.max() > 249


@pytest.mark.parametrize("size", [(1, 1), (10, 5000), (5000, 10), (176, 176), (3, 2)])
def test_any_shape_gives_a_full_square_of_its_own_colour(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, (200, 120, 40))
    rng = random.Random(0)
    for crop in (random_crop_and_mirror(image, rng), central_square(image, 176)):
        assert crop.shape == (3, 176, 176)
        assert crop.amax((1, 2)).tolist() == crop.amin((1, 2)).tolist() == [200, 120, 40]


def test_a_whole_crop_of_a_square_picture_is_its_central_square(photograph: Image.Image) -> None:
    square = photograph.crop((0, 0, 300, 300))
    crop = random_crop_and_mirror(square, random.Random(1), 128, 128)
    whole = central_square(square, 128)
    assert torch.equal(crop, whole) or torch.equal(crop.flip(-1), whole)
