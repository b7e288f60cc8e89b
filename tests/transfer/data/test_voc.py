"""PASCAL VOC's layout, as the development kit of VOC2007 describes it (section 4.1)."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.transfer.data.small_data import write_voc
from transfer.data.voc import class_names, listed_images, open_voc

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
        match=r"JPEGImages lacks 2 of the images that .*aeroplane_train\.txt names, the first is '000005'",
    ):
        open_voc(root, "train")


def test_a_folder_without_lists_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"Main holds no lists such as aeroplane_trainval\.txt"):
        open_voc(tmp_path, "train")


PHOTOGRAPHS = (
    "000005.jpg",
    "my photo 1.JPG",
    "my photo.jpeg",
    "plain.PNG",
    "v1.2.bmp",
    "both.png",
    "both.jpg",
)


@pytest.fixture
def photographs(tmp_path: Path) -> Path:
    (tmp_path / "JPEGImages").mkdir()
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    for name in PHOTOGRAPHS:
        (tmp_path / "JPEGImages" / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("line", "name", "file"),
    [
        ("000005", "000005", "000005.jpg"),
        ("000005.jpg", "000005", "000005.jpg"),
        ("000005.JPG  1", "000005", "000005.jpg"),
        ("000005\t-1", "000005", "000005.jpg"),
        ("my photo 1", "my photo 1", "my photo 1.JPG"),
        ("my photo 1 -1", "my photo 1", "my photo 1.JPG"),
        ("my photo 0", "my photo", "my photo.jpeg"),
        ("my photo.jpg", "my photo", "my photo.jpeg"),
        ("plain", "plain", "plain.PNG"),
        ("v1.2", "v1.2", "v1.2.bmp"),
        ("both", "both", "both.jpg"),
        ("both.png", "both", "both.png"),
    ],
)
def test_images_are_listed_with_or_without_extension_and_labels_and_their_names_may_hold_blanks(
    photographs: Path, line: str, name: str, file: str
) -> None:
    (photographs / "ImageSets/Main/train.txt").write_bytes(f"\ufeff{line}\r\n\r\n".encode())
    assert listed_images(photographs, "Main", "train") == ({name: photographs / "JPEGImages" / file}, [])


def test_images_that_are_listed_twice_are_used_once_and_named(photographs: Path) -> None:
    (photographs / "ImageSets/Main/train.txt").write_text("000005\nplain\n000005.jpg\n")
    images, remarks = listed_images(photographs, "Main", "train")
    assert list(images) == ["000005", "plain"]
    assert remarks == [("images that are listed twice, used once", "000005")]


def test_the_lists_of_classes_may_hold_blanks_extensions_and_blank_lines(tmp_path: Path) -> None:
    root = write_voc(tmp_path / "VOC2007", "train", {"cat": {"a": 1, "b c": -1}, "dog": {"a": 1, "b c": 1}})
    (root / "ImageSets/Main/dog_train.txt").write_bytes("\ufeffb c.jpg  1\r\n\r\na -1\r\na -1\r\n".encode())
    source, classes, labels = open_voc(root, "train")
    assert [source.name(index) for index in range(len(source))] == ["a.jpg", "b c.jpg"]
    assert (classes, labels.tolist()) == (("cat", "dog"), [[1, -1], [-1, 1]])
    (root / "ImageSets/Main/dog_train.txt").write_text("b c 1\na -1\na 1\n")
    with pytest.raises(ValueError, match=r"dog_train\.txt, line 3: a has the label 1 but above it has -1"):
        open_voc(root, "train")


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("ImageSets/Main/cat_train.txt", lambda root: open_voc(root, "train")),
        ("ImageSets/Main/train.txt", lambda root: listed_images(root, "Main", "train")),
        ("classes.txt", class_names),
    ],
)
def test_a_list_in_another_encoding_is_named(
    tmp_path: Path, file: str, read: Callable[[Path], object]
) -> None:
    root = write_voc(tmp_path / "VOC2007", "train", {"cat": {"a": 1}})
    (root / file).write_bytes(b"t\xfcr 1\n")
    with pytest.raises(ValueError, match=rf"{file} is not text in UTF-8: byte 1 is 0xfc"):
        read(root)
