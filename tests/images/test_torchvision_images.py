import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io  # type: ignore[import-untyped]
from PIL import Image

from pretext.images.image_file import BrokenImageError
from pretext.images.torchvision_images import TorchvisionSource


def source_of(name: str, root: Path, **options: Any) -> TorchvisionSource:
    given: dict[str, Any] = {"root": root, "split": "train"} | options
    return TorchvisionSource(name, **given)


def write_cifar10(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small CIFAR10 in its published layout: five files to train on, one to test."""
    import torchvision

    folder = root / "cifar-10-batches-py"
    folder.mkdir()
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_check_integrity", lambda self: True)
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "_load_meta", lambda self: None)
    for i, name in enumerate([f"data_batch_{k}" for k in range(1, 6)] + ["test_batch"]):
        data = np.full((2, 3 * 32 * 32), 10 * i, np.uint8)
        (folder / name).write_bytes(pickle.dumps({"data": data, "labels": [0, 1]}))


def test_train_and_validation_are_the_data_sets_own_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_cifar10(tmp_path, monkeypatch)
    train = source_of("CIFAR10", tmp_path)
    assert len(train) == 10
    assert train.name(3) == "CIFAR10:00003"
    assert np.asarray(train.open(3)).mean() == 10
    for options in ({"split": "validation"}, {"part": "test"}):
        test = source_of("CIFAR10", tmp_path, **options)
        assert np.asarray(test.open(1)).mean() == 50


def test_a_data_set_with_named_parts_gets_the_first_usual_name_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photograph: Image.Image
) -> None:
    """Flowers102 in its published layout, with two images in each of train, val and test."""
    import torchvision

    folder = tmp_path / "flowers-102"
    (folder / "jpg").mkdir(parents=True)
    for i in range(1, 7):
        photograph.resize((10 * i, 20)).save(folder / "jpg" / f"image_{i:05}.jpg")
    scipy.io.savemat(folder / "setid.mat", {"trnid": [[1, 4]], "valid": [[2, 5]], "tstid": [[3, 6]]})
    scipy.io.savemat(folder / "imagelabels.mat", {"labels": [[1, 2, 3, 4, 5, 6]]})
    monkeypatch.setattr(torchvision.datasets.Flowers102, "_check_integrity", lambda self: True)
    assert source_of("Flowers102", tmp_path).open(0).width == 10
    assert source_of("Flowers102", tmp_path, split="validation").open(0).width == 20
    assert source_of("Flowers102", tmp_path, part="test").open(0).width == 30
    with pytest.raises(ValueError, match=r"torchvision:Flowers102 cannot be opened.*Unknown value 'extra'"):
        source_of("Flowers102", tmp_path, part="extra")


def test_an_image_folder_ignores_its_labels_and_a_broken_file_in_it_is_broken(
    tmp_path: Path, photograph: Image.Image
) -> None:
    for label in ("cat", "dog"):
        (tmp_path / label).mkdir()
        photograph.save(tmp_path / label / "a.png")
    (tmp_path / "dog" / "b.png").write_bytes(b"nothing")
    source = source_of("ImageFolder", tmp_path)
    np.testing.assert_array_equal(np.asarray(source.open(1)), np.asarray(photograph))
    with pytest.raises(BrokenImageError, match="UnidentifiedImageError"):
        source.open(2)
    with pytest.raises(ValueError, match="ImageFolder has no parts"):
        source_of("ImageFolder", tmp_path, part="train")


def test_fake_data_needs_no_folder(tmp_path: Path) -> None:
    assert source_of("FakeData", tmp_path / "none").open(0).mode == "RGB"


def test_a_misspelt_data_set_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"torchvision has no data set 'Flower102' .did you mean 'Flowers102'"
    ):
        source_of("Flower102", tmp_path)


def test_a_data_set_that_is_not_there_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"torchvision:CIFAR10 cannot be opened in .*download: true"):
        source_of("CIFAR10", tmp_path)


def test_labels_are_those_of_torchvisions_image_folder(tmp_path: Path, photograph: Image.Image) -> None:
    for label in ("zebra", "ape"):
        (tmp_path / label).mkdir()
        photograph.save(tmp_path / label / "a.png")
    source = source_of("ImageFolder", tmp_path)
    assert source.labels().indices == tuple(source._dataset.targets) == (0, 1)
    assert source.labels().class_names == {0: "ape", 1: "zebra"}


@pytest.mark.parametrize("label", [-1, 0.5, {"boxes": []}, (1, 2)])
def test_a_data_set_that_does_not_give_each_image_one_class_is_refused(
    label: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """-1 is torchvision's label of STL10's unlabelled images, (1, 2) what multi-target data sets return."""
    source = source_of("FakeData", tmp_path)
    monkeypatch.setattr(source._dataset, "targets", [label] * len(source), raising=False)
    monkeypatch.setattr(type(source._dataset), "__getitem__", lambda self, index: (None, label))
    with pytest.raises(ValueError, match="FakeData does not give each image one class"):
        source.labels()


def test_a_class_that_cannot_be_read_is_an_error_that_names_the_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = source_of("FakeData", tmp_path)
    monkeypatch.setattr(type(source._dataset), "__getitem__", lambda self, index: 1 / 0)
    with pytest.raises(ValueError, match=r"the class of FakeData:00000 cannot be read \(ZeroDivisionError"):
        source.labels()
