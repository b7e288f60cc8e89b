import numpy as np
import pytest
import torch
from PIL import Image

from eval_colorization.images import CTEST10K, ImageSet, choose_images, read_batches
from pretext.images.crops import central_square
from pretext.images.folder import FolderSource


@pytest.fixture
def photos(tmp_path):
    """Seven small pictures of different colours; the fourth is broken."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for index in range(7):
        Image.new("RGB", (20, 16), (30 * index, 255 - 30 * index, 90)).save(folder / f"{index}.png")
    (folder / "3.png").write_bytes(b"not a picture")
    return folder


def image_set(folder, **changes):
    source = FolderSource(folder)
    options = {"size": 16, "protocol": "central_crop", "folders": {}, "leave_out": False, "seed": 0} | changes
    return ImageSet(source, np.arange(len(source)), **options)


def test_batches_hold_the_central_squares_and_leave_out_what_cannot_be_read(photos):
    images = image_set(photos)
    batches = list(read_batches(images, [range(0, 4), range(4, 7)], num_workers=0))
    assert [batch.positions.tolist() for batch in batches] == [[0, 1, 2], [4, 5, 6]]
    assert torch.equal(batches[1].truth[0], central_square(images.truth(4), 16))
    assert batches[0].left_out == [(3, "not an image in any format that Pillow reads")]


def test_worker_processes_read_the_same(photos):
    images = image_set(photos)
    alone, shared = (
        list(read_batches(images, [range(0, 4), range(4, 7)], num_workers=number)) for number in (0, 2)
    )
    for one, other in zip(alone, shared, strict=True):
        assert torch.equal(one.truth, other.truth)
        assert torch.equal(one.lenders, other.lenders)


def test_random_colours_come_from_one_other_image_each_and_from_none_twice(photos):
    (photos / "3.png").unlink()
    images = image_set(photos)
    lenders = [images.lender(position) for position in range(6)]
    own = [central_square(images.truth(position), 16) for position in range(6)]
    lent = [next(i for i, picture in enumerate(own) if torch.equal(picture, lender)) for lender in lenders]
    assert sorted(lent) == list(range(6))
    assert all(i != position for position, i in enumerate(lent))


def test_a_broken_lender_is_passed_over(photos):
    images = image_set(photos)
    for position in (0, 1, 2, 4, 5, 6):
        assert images.lender(position).shape == (3, 16, 16)


def test_another_seed_lends_otherwise(photos):
    (photos / "3.png").unlink()
    orders = {
        tuple(tuple(image_set(photos, seed=seed).lender(p)[:, 0, 0].tolist()) for p in range(6))
        for seed in range(8)
    }
    assert len(orders) > 1


def test_ctest10k_is_found_by_the_number_in_the_file_name(tmp_path):
    """Larsson's list holds 10,000 different images, all of the second half of ImageNet's validation set."""
    numbers = np.load(CTEST10K) + 1
    assert len(set(numbers.tolist())) == 10_000
    assert (numbers.min(), numbers.max()) == (25_275, 50_000)
    for number in numbers:
        folder = tmp_path / f"n{number % 7:08d}"
        folder.mkdir(exist_ok=True)
        (folder / f"ILSVRC2012_val_{number:08d}.JPEG").touch()
    (tmp_path / "ILSVRC2012_val_00000001.JPEG").touch()
    source, indices = choose_images(str(tmp_path), subset="ctest10k", max_images=None)
    assert len(indices) == 10_000
    assert source.name(int(indices[0])).endswith(f"ILSVRC2012_val_{numbers[0]:08d}.JPEG")
    assert f"{numbers[-1]:08d}" in source.name(int(indices[-1]))
    with pytest.raises(
        ValueError, match=r"subset val5k: 4999 of 5000 images are not there, the first is .*00000002"
    ):
        choose_images(str(tmp_path), subset="val5k", max_images=None)


def test_max_images_spreads_over_the_set(photos):
    _, indices = choose_images(str(photos), subset="all", max_images=3)
    assert indices.tolist() == [0, 3, 6]
    with pytest.raises(ValueError, match="max_images must be at least 1 but is 0"):
        choose_images(str(photos), subset="all", max_images=0)
