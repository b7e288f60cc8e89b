"""What the cache of decoded images gives is what its source gives."""

import multiprocessing
from functools import partial

import numpy as np
import pytest
import torch

from pretext.config import DataConfig
from pretext.images.crops import random_crop_and_mirror
from pretext.images.folder import FolderSource
from pretext.images.image_file import BrokenImageError
from pretext.images.loader import shuffled_batches
from pretext.images.memory_cache import CachedImages, memory_share
from pretext.images.sample import sample_source
from pretext.images.sources import open_images

MIB = 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve photographs of different sizes and formats, and a file that is none."""
    folder = tmp_path_factory.mktemp("photographs")
    source = sample_source("train")
    for number in range(12):
        picture = source.open(number % len(source)).resize((150 + number, 100 + 7 * number))
        picture.save(folder / f"{number:02}.{('jpg', 'png', 'webp')[number % 3]}")
    (folder / "broken.jpg").write_bytes(b"no picture")
    return folder


def batches(source, num_workers, start_step=0):
    """Three epochs of random crops."""
    return list(
        shuffled_batches(
            source,
            partial(random_crop_and_mirror, image_size=64, crop_size=48),
            short_side=64,
            seed=0,
            start_step=start_step,
            num_steps=10,
            batch_size=4,
            num_workers=num_workers,
        )
    )


@pytest.mark.parametrize("max_bytes", [20 * MIB, 200_000], ids=["all fit", "a few fit"])
@pytest.mark.parametrize("num_workers", [0, 2])
def test_every_batch_of_three_epochs_has_the_same_bits_as_without(folder, num_workers, max_bytes):
    cached = CachedImages(FolderSource(folder), 64, max_bytes)
    expected = batches(FolderSource(folder), num_workers)
    for one, other in zip(expected, batches(cached, num_workers), strict=True):
        assert torch.equal(one.rgb, other.rgb)
        assert np.array_equal(one.indices, other.indices)
        assert one.errors == other.errors
    assert sum(len(batch.errors) for batch in expected) >= 3
    held = int(cached.summary.split()[0])
    assert held == 12 if max_bytes > MIB else 0 < held < 12
    assert f"{held} of 13 decoded images are held in memory" in cached.summary
    assert ("no more fit" in cached.summary) == (max_bytes < MIB)


def test_a_held_image_is_not_read_again(folder, tmp_path):
    file = tmp_path / "only.jpg"
    file.write_bytes((folder / "00.jpg").read_bytes())
    cached = CachedImages(FolderSource(tmp_path), 64, MIB)
    first = cached.open(0, 64)
    file.unlink()
    assert cached.open(0, 64).tobytes() == first.tobytes()
    with pytest.raises(BrokenImageError):
        cached.open(0, 32)  # decoded for another size, so of the file


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_one_process_has_decoded_another_finds(folder, method, monkeypatch):
    monkeypatch.setattr(multiprocessing, "Lock", multiprocessing.get_context(method).Lock)
    cached = CachedImages(FolderSource(folder), 64, 20 * MIB)
    process = multiprocessing.get_context(method).Process(target=cached.open, args=(3, 64))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert cached.summary.startswith("1 of 13 ")
    assert cached.open(3, 64).tobytes() == FolderSource(folder).open(3, 64).tobytes()


def test_the_share_of_the_memory_is_divided_among_the_processes_of_the_machine(monkeypatch):
    whole = memory_share()
    assert whole > 0
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert memory_share() == pytest.approx(whole / 4, rel=0.2)


def test_a_configuration_caches_the_training_images_alone(folder):
    config = DataConfig(train=str(folder), cache="memory", image_size=64)
    sources = open_images(config.train, None, None, config, seed=0)
    assert isinstance(sources.train, CachedImages)
    assert not isinstance(sources.validation, CachedImages)
    assert len(sources.train) + len(sources.validation) == 13
