"""Masks beside images: found by name, in the size of the picture, and checked."""

import numpy as np
import pytest
from PIL import Image

from pretext.images.folder import FolderSource
from pretext.images.image_file import BrokenImageError
from pretext.images.masks import VOID, MaskedImages


@pytest.fixture
def data(tmp_path):
    """A red half beside a blue one, whose classes are 1 and 2; and an image in a sub-folder that has no mask."""
    labels = np.repeat([[1, 2]], 64, axis=0).repeat(48, axis=1).astype(np.uint8)
    colours = np.array([[0, 0, 0], [255, 0, 0], [0, 0, 255]], np.uint8)
    (tmp_path / "images" / "more").mkdir(parents=True)
    (tmp_path / "masks").mkdir()
    Image.fromarray(colours[labels]).save(tmp_path / "images" / "halves.jpg")
    Image.fromarray(colours[labels]).save(tmp_path / "images" / "more" / "unlabelled.jpg")
    mask = Image.fromarray(labels, "L").convert("P")
    mask.save(tmp_path / "masks" / "halves.png")
    return tmp_path


def masked(data, num_classes=3):
    return MaskedImages(FolderSource(data / "images"), [data / "masks"], num_classes)


def test_a_mask_is_the_fourth_channel_and_lies_on_what_it_labels(data):
    images = masked(data)
    assert images.remark == "1 of 2 images have a mask"
    for short_side in (None, 32):  # which lets the JPEG be decoded at half its size
        pixels = np.array(images.open(0, short_side))
        assert pixels.shape == ((64, 96, 4) if short_side is None else (32, 48, 4))
        assert np.array_equal(pixels[..., 3] == 1, pixels[..., 0] > 128)
        assert np.array_equal(pixels[..., 3] == 2, pixels[..., 2] > 128)


def test_an_image_without_a_mask_is_void(data):
    assert np.unique(np.array(masked(data).open(1))[..., 3]).tolist() == [VOID]


def test_a_class_that_there_is_not_is_named_with_its_mask(data):
    with pytest.raises(
        BrokenImageError, match=r"its mask .*halves.png has the class 2, expected 0 to 1, or 255"
    ):
        masked(data, num_classes=2).open(0)


def test_a_mask_of_another_size_or_kind_is_refused(data):
    Image.new("L", (96, 60)).save(data / "masks" / "halves.png")
    with pytest.raises(BrokenImageError, match=r"have other sizes: 96 x 64 and 96 x 60"):
        masked(data).open(0)
    Image.new("RGB", (96, 64)).save(data / "masks" / "halves.png")
    with pytest.raises(BrokenImageError, match="expected a PNG of one 8-bit channel"):
        masked(data).open(0)


def test_a_missing_folder_is_named(data):
    with pytest.raises(ValueError, match=r"there is no folder of masks .*none"):
        MaskedImages(FolderSource(data / "images"), [data / "none"], 3)
