"""Labelled batches: the images of pretext's data order, whatever runs them, each with its own label."""

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from pretext.images.order import DataOrder, augmentation_rng
from pretext.runtime.distributed import World
from tests.transfer.data.small_data import write_voc
from transfer.config import DataConfig
from transfer.data import batches
from transfer.data.batches import LabelledBatch
from transfer.data.crops import central_crop, random_resized_crop, ten_crops
from transfer.data.labelled import LabelledImages, open_labelled

RANDOM_CUT = partial(random_resized_crop, crop_size=16)
CENTRAL_CUT = partial(central_crop, image_size=20, crop_size=16)
ALONE = World(0, 1, torch.device("cpu"))


@pytest.fixture
def images(image_folders: Path) -> LabelledImages:
    """Six images of three classes."""
    return open_labelled(DataConfig(train=f"{image_folders}/train", test=f"{image_folders}/val"))[0]


def train(
    images: LabelledImages, world: World = ALONE, *, start_step: int = 0, num_workers: int = 0
) -> Iterator[LabelledBatch]:
    return batches.train_batches(
        images,
        RANDOM_CUT,
        seed=3,
        num_steps=5,
        batch_size=4,
        start_step=start_step,
        world=world,
        num_workers=num_workers,
    )


def joined(parts: Iterable[LabelledBatch]) -> tuple[torch.Tensor, torch.Tensor, list[int]]:
    listed = list(parts)
    return (
        torch.cat([batch.rgb for batch in listed]),
        torch.cat([batch.labels for batch in listed]),
        np.concatenate([batch.indices for batch in listed]).tolist(),
    )


def test_training_follows_the_data_order_with_each_images_own_label_and_crop(images: LabelledImages) -> None:
    rgb, labels, indices = joined(train(images))
    samples = DataOrder(images.source.group_sizes, 3).samples(range(20))
    assert indices == [sample.index for sample in samples]
    assert labels.tolist() == images.labels[indices].tolist()
    assert labels.dtype == torch.int64
    for crop, sample in zip(rgb, samples, strict=True):
        image = images.source.open(sample.index)
        assert torch.equal(crop, random_resized_crop(image, augmentation_rng(3, sample), 16))


def test_a_resumed_run_on_two_ranks_with_workers_sees_the_same_images_to_the_bit(
    images: LabelledImages,
) -> None:
    whole = list(train(images))
    ranks = [
        train(images, World(rank, 2, torch.device("cpu")), start_step=2, num_workers=rank) for rank in (0, 1)
    ]
    for alone, *halves in zip(whole[2:], *ranks, strict=True):
        for expected, got in zip(joined([alone]), joined(halves), strict=True):
            assert torch.equal(torch.as_tensor(got), torch.as_tensor(expected))


@pytest.mark.parametrize("world_size", [1, 2, 7])
def test_testing_sees_each_image_once_over_all_ranks(world_size: int, images: LabelledImages) -> None:
    seen: list[int] = []
    for rank in range(world_size):
        world = World(rank, world_size, torch.device("cpu"))
        for batch in batches.test_batches(images, CENTRAL_CUT, batch_size=4, world=world, num_workers=0):
            assert batch.labels.tolist() == images.labels[batch.indices].tolist()
            assert all(batch.indices % world_size == rank)
            seen += batch.indices.tolist()
    assert sorted(seen) == list(range(6))


@pytest.mark.parametrize("num_workers", [0, 1])
def test_a_broken_image_keeps_its_place_black_in_all_ten_crops(
    num_workers: int, images: LabelledImages, image_folders: Path
) -> None:
    (image_folders / "train/cat/1.png").write_bytes(b"no picture")
    cut = partial(ten_crops, image_size=20, crop_size=16)
    (batch,) = batches.test_batches(images, cut, batch_size=6, world=ALONE, num_workers=num_workers)
    assert batch.rgb.shape == (6, 10, 3, 16, 16)
    assert batch.broken.tolist() == [False, False, False, True, False, False]
    assert not batch.rgb[3].any()
    assert all(batch.rgb[i].any() for i in (0, 1, 2, 4, 5))
    assert batch.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert batch.errors == [("cat/1.png", "not an image in any format that Pillow reads")]


def test_a_batch_of_voc_images_has_a_label_of_each_class(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "VOC2007", "test", {"cat": {"1": 1, "2": -1}, "dog": {"1": 0, "2": 1}})
    images, _ = open_labelled(DataConfig(train=f"voc:{root}:test", test=f"voc:{root}:test"))
    (batch,) = batches.test_batches(images, CENTRAL_CUT, batch_size=8, world=ALONE, num_workers=0)
    assert batch.labels.dtype == torch.int8
    assert batch.labels.tolist() == [[1, 0], [-1, 1]]


def test_a_batch_that_the_processes_cannot_share_evenly_is_refused(images: LabelledImages) -> None:
    with pytest.raises(ValueError, match="a batch of 4 cannot be shared by 3 processes"):
        train(images, World(0, 3, torch.device("cpu")))
