"""Labelled images of every kind of address: classes as torchvision numbers them, errors that name what is missing."""

import pickle
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
import webdataset
from torchvision.datasets import ImageFolder

from pretext.images.image_file import BrokenImageError
from tests.transfer.data.small_data import CLASSES, write_voc
from transfer.config import DataConfig
from transfer.data.labelled import LabelledImages, default_name, label_images, open_labelled


def opened(train: object, test: object, **options: Any) -> tuple[LabelledImages, LabelledImages]:
    return open_labelled(DataConfig(train=str(train), test=str(test), **options))


def folder_pair(folders: Path, **options: Any) -> tuple[LabelledImages, LabelledImages]:
    return opened(folders / "train", folders / "val", **options)


def named(images: LabelledImages) -> dict[str, str]:
    """Image -> class."""
    return {
        images.source.name(index): images.classes[label] for index, label in enumerate(images.labels.tolist())
    }


def test_folders_are_classes_in_the_order_of_torchvisions_image_folder(image_folders: Path) -> None:
    train, test = folder_pair(image_folders)
    for images, split in ((train, "train"), (test, "val")):
        reference = ImageFolder(str(image_folders / split))
        assert images.classes == tuple(reference.classes)
        assert images.labels.tolist() == reference.targets
        assert images.labels.dtype == np.int64
        assert not images.multi_label
    assert train.name == test.name == "imagenet val"


def test_a_class_of_one_side_only_is_an_error_that_names_it(image_folders: Path) -> None:
    shutil.rmtree(image_folders / "val/cat")
    with pytest.raises(ValueError, match=r"only .*/train and not .*/val has images of cat$"):
        folder_pair(image_folders)
    shutil.rmtree(image_folders / "train/cat")
    assert folder_pair(image_folders)[0].classes == ("bird", "dog")
    (image_folders / "train/dog").rename(image_folders / "train/cow")
    (image_folders / "train/bird").rename(image_folders / "val/ox")
    with pytest.raises(ValueError, match=r"only .*/train and not .*/val has images of cow$"):
        folder_pair(image_folders)


def test_a_csv_file_gives_the_classes_instead_of_the_folders(image_folders: Path, tmp_path: Path) -> None:
    rows = [
        f"{label}/{i}.png,{number}" for number, label in zip((10, 9, 2), CLASSES, strict=True) for i in (0, 1)
    ]
    csv = tmp_path / "labels.csv"
    csv.write_text("\n".join(["image,class", *rows, "elsewhere.png,77"]))
    train, test = folder_pair(image_folders, train_labels=str(csv), test_labels=str(csv))
    assert train.classes == test.classes == ("2", "9", "10")
    assert named(test) == {"bird/0.png": "10", "cat/0.png": "9", "dog/0.png": "2"}
    assert train.labels.tolist() == [2, 2, 1, 1, 0, 0]
    csv.write_text("\n".join(["image,class", *rows[:-1]]))
    with pytest.raises(ValueError, match=r"labels\.csv has no class for dog/1\.png"):
        folder_pair(image_folders, train_labels=str(csv), test_labels=str(csv))


def write_shards(folder: Path, classes: list[object], shard_size: int = 2) -> str:
    image = webdataset.writer.imageencoder(np.zeros((8, 8, 3), np.uint8), "png")
    for shard in range(0, len(classes), shard_size):
        with webdataset.TarWriter(str(folder / f"val-{shard // shard_size}.tar")) as writer:
            for i, label in enumerate(classes[shard : shard + shard_size], start=shard):
                sample = {"__key__": f"n{i}", "png": image, "cls": label}
                writer.write({key: value for key, value in sample.items() if value is not None})
    return f"{folder}/val-*.tar"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize(
    ("written", "classes", "labels"),
    [([11, 2, 0, 11, 2], ("0", "2", "11"), [2, 1, 0, 2, 1]), (["b", "a", "b"], ("a", "b"), [1, 0, 1])],
)
def test_a_shards_cls_members_are_numbers_or_names_of_classes(
    tmp_path: Path, written: list[object], classes: tuple[str, ...], labels: list[int]
) -> None:
    address = write_shards(tmp_path, written)
    for _ in range(2):  # walked, and from the cache
        train, test = opened(address, address)
        assert train.classes == test.classes == classes
        assert train.labels.tolist() == labels
    assert train.source.group_sizes[0] == 2


@pytest.mark.usefixtures("cache")
def test_a_sample_without_a_cls_member_is_named(tmp_path: Path) -> None:
    address = write_shards(tmp_path, [1, None, 0, None])
    with pytest.raises(ValueError, match=r"val-0\.tar:n1, val-1\.tar:n3 have no \.cls member"):
        opened(address, address)


@pytest.mark.usefixtures("cache")
def test_the_index_that_an_earlier_version_cached_is_made_again(tmp_path: Path) -> None:
    address = write_shards(tmp_path, [1, 0])
    opened(address, address)
    (cached,) = (tmp_path / "cache").rglob("*.npz")
    with np.load(cached) as stored:
        old = {"stamp": stored["stamp"][:2], "keys": stored["keys"]}
    np.savez(cached, **old, offsets=np.zeros(2, np.int64), sizes=np.zeros(2, np.int64))
    assert opened(address, address)[0].labels.tolist() == [1, 0]


def test_torchvisions_labels_and_class_names_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CIFAR10 in its published layout; two of its classes share a name, as two of ImageNet's do."""
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    cifar10 = torchvision.datasets.CIFAR10
    monkeypatch.setattr(cifar10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(cifar10, "_load_meta", lambda self: None)
    monkeypatch.setattr(cifar10, "classes", ["plane", ("crane", "bird"), "crane", "crane"], raising=False)
    for name in [f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]:
        data = np.zeros((4, 3 * 32 * 32), np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": [3, 0, 2, 1]}))
    address = "torchvision:CIFAR10"
    train, test = opened(address, address, torchvision_root=str(tmp_path))
    assert train.classes == test.classes == ("plane", "crane, bird", "crane (2)", "crane (3)")
    assert train.labels.tolist() == [3, 0, 2, 1] * 5
    assert test.labels.tolist() == [3, 0, 2, 1]
    assert test.name == "CIFAR10"
    again = opened(address, f"{address}:train", torchvision_root=str(tmp_path))
    assert again[0].fingerprint() == again[1].fingerprint() == train.fingerprint()


def test_labels_that_a_torchvision_data_set_does_not_list_are_read_item_by_item(tmp_path: Path) -> None:
    train, _ = opened("torchvision:FakeData", "torchvision:FakeData", torchvision_root=str(tmp_path))
    reference = torchvision.datasets.FakeData()
    assert train.classes == tuple(str(number) for number in range(10))
    assert train.labels[:20].tolist() == [reference[index][1] for index in range(20)]


def test_two_parts_of_a_torchvision_data_set_with_the_same_labels_have_fingerprints_of_their_own(
    image_folders: Path,
) -> None:
    address = "torchvision:ImageFolder"
    prints = [
        opened(address, address, torchvision_root=str(image_folders / split))[0]
        .subset(np.arange(2))
        .fingerprint()
        for split in ("train", "val")
    ]
    assert prints[0] != prints[1]


def test_each_photograph_of_the_bundled_sample_is_a_class() -> None:
    train, test = opened("sample", "sample")
    assert train.classes == test.classes == ("astronaut", "china", "coffee", "flower", "motorcycle")
    assert named(train)["coffee (seen half, across)"] == named(test)["coffee (unseen quarter)"] == "coffee"
    assert np.bincount(train.labels).tolist() == [2] * 5
    assert np.bincount(test.labels).tolist() == [1] * 5
    assert train.name == "sample"


def test_voc_images_have_a_label_of_each_class(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "VOC2007", "trainval", {"cat": {"1": 1, "2": -1}, "dog": {"1": 0, "2": 1}})
    write_voc(tmp_path / "VOC2007", "test", {"cat": {"3": 1, "4": -1}, "dog": {"3": 1, "4": -1}})
    train, test = opened(f"voc:{root}:trainval", f"voc:{root}:test")
    assert train.classes == test.classes == ("cat", "dog")
    assert train.multi_label
    assert train.labels.tolist() == [[1, 0], [-1, 1]]
    assert test.labels.tolist() == [[1, 1], [-1, -1]]
    assert train.name == test.name == "VOC2007 test"
    write_voc(tmp_path / "VOC2007", "test", {"ox": {"3": 1, "4": -1}})
    with pytest.raises(ValueError, match=r"only voc:.*:test and not voc:.*:trainval has images of ox$"):
        opened(f"voc:{root}:trainval", f"voc:{root}:test")


def test_voc_against_single_labels_with_a_csv_file_or_without_a_split_is_refused(
    tmp_path: Path,
) -> None:
    root = write_voc(tmp_path / "VOC2007", "test", {"cat": {"1": 1}})
    with pytest.raises(ValueError, match="train and test on the same kind"):
        opened("sample", f"voc:{root}:test")
    with pytest.raises(ValueError, match=r"has labels of its own; leave out the CSV file x\.csv"):
        opened(f"voc:{root}:test", f"voc:{root}:test", train_labels="x.csv")
    with pytest.raises(ValueError, match="should be voc:FOLDER:SPLIT"):
        opened(f"voc:{root}:test", "voc:VOC2007")


def test_a_subset_has_the_labels_of_its_images_and_all_classes(image_folders: Path) -> None:
    train, _ = folder_pair(image_folders)
    subset = train.subset(np.array([4, 1, 0]))
    assert named(subset) == {"bird/0.png": "bird", "bird/1.png": "bird", "dog/0.png": "dog"}
    assert subset.classes == train.classes


def test_a_fingerprint_is_of_names_files_labels_and_classes(image_folders: Path) -> None:
    train, test = folder_pair(image_folders)
    first = train.fingerprint()
    assert folder_pair(image_folders, name="other")[0].fingerprint() == first
    others = [test, train.subset(np.arange(5))]
    (image_folders / "train/cat/0.png").write_bytes(b"another")
    others.append(folder_pair(image_folders)[0])
    for split in ("train", "val"):
        (image_folders / split / "cat").rename(image_folders / split / "cats")
    others.append(folder_pair(image_folders)[0])
    (image_folders / "train/dog/0.png").unlink()  # between opening and reading
    others.append(LabelledImages(**{**vars(others[-1]), "labels": others[-1].labels[::-1].copy()}))
    assert len({first, *(other.fingerprint() for other in others)}) == 6


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("voc:/data/VOC2007:test", "VOC2007 test"),
        ("/data/imagenet/val", "imagenet val"),
        ("/data/flowers/", "flowers"),
        ("torchvision:STL10:test", "STL10 test"),
        ("sample", "sample"),
        ("/data/imagenet/val-{000..049}.tar", "imagenet val"),
        ("https://host/places/{000..049}.tar", "places"),
        ("shards/inat-*.tar", "inat"),
    ],
)
def test_the_default_name_says_which_data_and_which_part(address: str, name: str) -> None:
    assert default_name(address) == name


def test_the_users_name_goes_before_the_default(image_folders: Path) -> None:
    assert folder_pair(image_folders, name="my birds")[1].name == "my birds"


def test_a_data_set_in_the_manner_of_torchvision_gives_the_pictures_and_classes_of_its_folder(
    image_folders: Path,
) -> None:
    by_address = folder_pair(image_folders)
    for transform in (None, torchvision.transforms.ToTensor()):
        sides = [ImageFolder(str(image_folders / split), transform) for split in ("train", "val")]
        for labelled, expected in zip(label_images(*sides), by_address, strict=True):
            assert labelled.classes == expected.classes
            assert labelled.labels.tolist() == expected.labels.tolist()
            for index in range(len(labelled.source)):
                picture = np.asarray(labelled.source.open(index))
                assert np.array_equal(picture, np.asarray(expected.source.open(index)))
            assert labelled.name == "ImageFolder"


def test_classes_are_those_that_a_subset_or_a_target_transform_gives(image_folders: Path) -> None:
    whole = ImageFolder(str(image_folders / "train"), target_transform=lambda label: 2 - label)
    part = torch.utils.data.Subset(whole, [0, 2, 4])
    train, test = label_images(part, part)
    assert train.classes == ("0", "1", "2")
    assert train.labels.tolist() == test.labels.tolist() == [2, 1, 0]
    assert label_images(train, test) == (train, test)


def test_a_picture_that_is_normalised_already_counts_as_broken_and_sides_of_two_kinds_are_an_error(
    image_folders: Path,
) -> None:
    transform = torchvision.transforms.Compose(
        [torchvision.transforms.ToTensor(), torchvision.transforms.Normalize(0.5, 0.5)]
    )
    normalised = ImageFolder(str(image_folders / "train"), transform)
    train, _ = label_images(normalised, normalised)
    with pytest.raises(BrokenImageError, match=r"expected RGB in \[0, 1\]; leave the normalisation"):
        train.source.open(0)
    with pytest.raises(ValueError, match="both be addresses, or both data sets"):
        label_images("sample", normalised)
