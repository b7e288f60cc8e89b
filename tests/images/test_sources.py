import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import webdataset

from pretext.images.folder import FolderSource
from pretext.images.sample import SampleSource
from pretext.images.shards import ShardSource
from pretext.images.sources import ImageSource, SubsetSource, open_source, split_source
from pretext.images.torchvision_images import TorchvisionSource


@pytest.fixture
def shard_address(tmp_path: Path, photo_folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for shard, files in enumerate(np.array_split(sorted(photo_folder.rglob("*.jpg")), 3)):
        with webdataset.TarWriter(str(tmp_path / f"p{shard}.tar")) as writer:
            for file in files:
                writer.write({"__key__": file.stem, "jpg": file.read_bytes()})
    return f"{tmp_path}/p{{0..2}}.tar"


def names_of(source: ImageSource) -> list[str]:
    return [source.name(i) for i in range(len(source))]


def test_each_kind_of_address_opens_its_kind_of_source(photo_folder: Path, shard_address: str) -> None:
    kinds = {
        "sample": SampleSource,
        "sample:held-out": SampleSource,
        "sample:unseen": SampleSource,
        str(photo_folder): FolderSource,
        shard_address: ShardSource,
        f"file:{shard_address}": ShardSource,
        "torchvision:FakeData": TorchvisionSource,
    }
    for address, kind in kinds.items():
        source = open_source(address, split="train")
        assert isinstance(source, kind)
        assert sum(source.group_sizes) == len(source)


def test_an_address_of_nothing_is_named_with_the_ways_to_write_one() -> None:
    with pytest.raises(ValueError, match=r"CIFAR10 is not a folder; give .*torchvision:NAME"):
        open_source("CIFAR10", split="train")


def test_held_out_images_are_the_same_each_time_and_not_in_training(photo_folder: Path) -> None:
    source = FolderSource(photo_folder)
    train, validation = split_source(source, num_validation=3, seed=0)
    again = split_source(FolderSource(photo_folder), num_validation=3, seed=0)
    assert names_of(validation) == names_of(again[1])
    assert len(validation) == 3
    assert sorted(names_of(train) + names_of(validation)) == names_of(source)
    assert names_of(split_source(source, num_validation=3, seed=1)[1]) != names_of(validation)


def test_photographs_added_later_do_not_bring_held_out_ones_into_training_unless_they_replace_them(
    tmp_path: Path,
) -> None:
    for i in range(40):
        (tmp_path / f"{i}.jpg").touch()
    before = set(names_of(split_source(FolderSource(tmp_path), num_validation=8, seed=0)[1]))
    added = {f"new{i}.jpg" for i in range(4)}
    for name in added:
        (tmp_path / name).touch()
    after = set(names_of(split_source(FolderSource(tmp_path), num_validation=8, seed=0)[1]))
    assert after <= before | added


def test_a_subset_keeps_what_is_left_of_each_shard_and_opens_the_right_image(shard_address: str) -> None:
    whole = open_source(shard_address, split="train")
    assert whole.group_sizes == (4, 4, 3)
    subset = SubsetSource(whole, np.array([9, 0, 1, 10, 2]))
    assert subset.group_sizes == (3, 0, 2)
    assert names_of(subset) == [whole.name(i) for i in (0, 1, 2, 9, 10)]
    np.testing.assert_array_equal(np.asarray(subset.open(3)), np.asarray(whole.open(9)))


@pytest.mark.parametrize("num_validation", [0, 11, 12])
def test_a_hold_out_that_leaves_nothing_on_one_side_is_refused(
    num_validation: int, photo_folder: Path
) -> None:
    with pytest.raises(ValueError, match=f"{num_validation} images cannot be held out for validation of 11"):
        split_source(FolderSource(photo_folder), num_validation=num_validation, seed=0)


def test_a_stamp_tells_a_changed_file_and_a_subset_has_those_of_its_images(
    tmp_path: Path, photo_folder: Path, shard_address: str
) -> None:
    folder = shutil.copytree(photo_folder, tmp_path / "copy", copy_function=shutil.copy2)
    for kept, changed, source in (
        (0, 3, FolderSource(folder)),
        (0, 10, open_source(shard_address, split="train")),
        (0, 3, open_source("sample", split="train")),
    ):
        subset = SubsetSource(source, np.array([changed, kept]))
        assert [subset.stamp(0), subset.stamp(1)] == [source.stamp(kept), source.stamp(changed)]
    stamps = [FolderSource(folder).stamp(index) for index in range(11)]
    assert stamps == [FolderSource(photo_folder).stamp(index) for index in range(11)]
    source = FolderSource(folder)
    (folder / source.name(3)).write_bytes(b"changed")
    (folder / source.name(4)).unlink()
    assert [i for i in range(11) if source.stamp(i) != stamps[i]] == [3, 4]
    assert source.stamp(4) == "missing"


def test_images_of_a_shard_have_stamps_of_their_own_and_others_when_the_shard_has_changed(
    shard_address: str, tmp_path: Path
) -> None:
    before = [open_source(shard_address, split="train").stamp(index) for index in range(11)]
    os.utime(tmp_path / "p2.tar", ns=(1, 1))
    after = [open_source(shard_address, split="train").stamp(index) for index in range(11)]
    assert len(set(before)) == 11
    assert [i for i in range(11) if after[i] != before[i]] == [8, 9, 10]
