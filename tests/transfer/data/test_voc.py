"""PASCAL VOC's layout, as the development kit of VOC2007 describes it (section 4.1)."""

from pathlib import Path

import numpy as np
import pytest

from tests.transfer.data.small_data import write_voc
from transfer.data.voc import open_voc

LISTS = {
    "tv_monitor": {"000007": -1, "000005": 1, "000009": 0},
    "aeroplane": {"000007": 1, "000005": -1, "000009": 1},
}


def test_classes_are_the_lists_sorted_by_name_and_labels_follow_the_images(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "VOC2007", "trainval", LISTS)
    write_voc(tmp_path / "VOC2007", "test", {"cat": {"000001": 1}})
    (root / "ImageSets/Main/trainval.txt").write_text("000005\n000007\n000009\n")
    source, classes, labels = open_voc(root, "trainval")
    assert classes == ("aeroplane", "tv_monitor")
    assert [source.name(index) for index in range(len(source))] == ["000005.jpg", "000007.jpg", "000009.jpg"]
    assert labels.dtype == np.int8
    assert labels.tolist() == [[-1, 1], [1, -1], [1, 0]]
    assert source.open(1).size == (20, 16)


def test_images_may_be_png_files(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "VOC2007", "train", LISTS)
    (root / "JPEGImages/000005.jpg").rename(root / "JPEGImages/000005.png")
    source, _, labels = open_voc(root, "train")
    assert source.name(0) == "000005.png"
    assert labels[0].tolist() == [-1, 1]


@pytest.mark.parametrize(
    ("split", "lists", "message"),
    [
        ("trainvl", LISTS, r"there is no split 'trainvl' \(did you mean 'train'\?\)"),
        (
            "train",
            {"cat": {"a": 1}, "dog": {"a": 1, "b": 1}},
            "must list the same images, but only one has b",
        ),
        ("train", {"cat": {"a": 1}, "dog": {"a": 0}}, r"dog_train\.txt has no image with its class"),
        ("train", {"cat": {"a": 2}}, r"cat_train\.txt, line 1: expected IMAGE 1, -1 or 0 but found 'a  2'"),
    ],
)
def test_lists_that_do_not_fit_are_named(
    tmp_path: Path, split: str, lists: dict[str, dict[str, int]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        open_voc(write_voc(tmp_path / "VOC2007", "train", lists), split)


def test_absent_images_are_counted_and_the_first_is_named(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "VOC2007", "train", LISTS)
    for image in ("000005", "000009"):
        (root / f"JPEGImages/{image}.jpg").unlink()
    with pytest.raises(
        ValueError,
        match=r"aeroplane_train\.txt names 2 images .*JPEGImages does not hold, the first is 000005",
    ):
        open_voc(root, "train")


def test_a_folder_without_lists_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Main holds no lists such as aeroplane_trainval\.txt"):
        open_voc(tmp_path, "train")
