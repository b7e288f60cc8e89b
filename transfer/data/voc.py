"""PASCAL VOC's layout: lists in ImageSets, of images and of labels for each class, photographs in JPEGImages."""

from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from jaxtyping import Int8

from pretext.data.folder import FolderSource
from pretext.data.sources import SubsetSource
from pretext.spelling import unknown_name

VOC_CLASSES = (
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)


def class_names(root: Path) -> tuple[str, ...]:
    """The lines of classes.txt, where the folder has one, else VOC's twenty classes; without the background.

    Raises ValueError if the file is empty or names a class twice.
    """
    file = root / "classes.txt"
    if not file.is_file():
        return VOC_CLASSES
    names = tuple(filter(None, map(str.strip, file.read_text(encoding="utf-8").splitlines())))
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{file} should name each class once, a line each, without the background")
    return names


def image_list(root: Path, kind: Literal["Main", "Segmentation"], split: str) -> list[str]:
    """The names of a split's images, without suffix, as ImageSets/KIND/SPLIT.txt lists them.

    Raises ValueError for a folder without such lists, a split without one, and an empty list.
    """
    lists = root / "ImageSets" / kind
    file = lists / f"{split}.txt"
    if not file.is_file():
        splits = sorted(file.stem for file in lists.glob("*.txt") if "_" not in file.stem)
        if not splits:
            raise ValueError(f"{lists} holds no lists such as trainval.txt; give the folder of VOC2007")
        raise ValueError(f"in {lists} " + unknown_name("split", split, splits))
    names = [line.split()[0] for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not names:
        raise ValueError(f"{file} names no image")
    return names


def image_path(root: Path, name: str) -> Path:
    """The photograph of this name in JPEGImages, whatever its suffix; the .jpg where there is none."""
    paths = [root / "JPEGImages" / f"{name}{suffix}" for suffix in (".jpg", ".jpeg", ".png")]
    return next((path for path in paths if path.is_file()), paths[0])


def open_voc(
    root: Path, split: str
) -> tuple[SubsetSource, tuple[str, ...], Int8[np.ndarray, "images classes"]]:
    """The images of a split in order of their names, the classes, and the labels: 1, -1, or 0 for "difficult".

    The classes are those with a list CLASS_SPLIT.txt in ImageSets/Main, sorted by name.

    Raises ValueError for a split without lists, a list that is no list or differs from the others in its images, one
    that names images which JPEGImages does not hold, and a class without a positive image.
    """
    lists = root / "ImageSets" / "Main"
    ending = f"_{split}.txt"
    files = sorted(lists.glob(f"*{ending}"), key=lambda file: file.name.removesuffix(ending))
    if not files:
        splits = sorted({file.stem.rpartition("_")[2] for file in lists.glob("*_*.txt")})
        if not splits:
            raise ValueError(
                f"{lists} holds no lists such as aeroplane_trainval.txt; give the folder of VOC2007"
            )
        raise ValueError(f"in {lists} " + unknown_name("split", split, splits))
    first, *others = labels_of_classes = [_read_list(file) for file in files]
    for file, labels in zip(files[1:], others, strict=True):
        if labels.keys() != first.keys():
            odd = min(labels.keys() ^ first.keys())
            raise ValueError(f"{file} and {files[0]} must list the same images, but only one has {odd}")
    for file, labels in zip(files, labels_of_classes, strict=True):
        if 1 not in labels.values():
            raise ValueError(
                f"{file} has no image with its class (1); leave the class out, or correct the list"
            )

    folder = FolderSource(root / "JPEGImages")
    stems = [str(PurePosixPath(folder.name(index)).with_suffix("")) for index in range(len(folder))]
    place = dict(zip(stems, range(len(folder)), strict=True))
    absent = [image for image in first if image not in place]
    if absent:
        raise ValueError(
            f"{files[0]} names {len(absent)} images that {root / 'JPEGImages'} does not hold, the first is {absent[0]}"
        )
    images = sorted(first, key=place.__getitem__)
    return (
        SubsetSource(folder, np.array([place[image] for image in images])),
        tuple(file.name.removesuffix(ending) for file in files),
        np.array([[labels[image] for labels in labels_of_classes] for image in images], np.int8),
    )


def _read_list(file: Path) -> dict[str, int]:
    """Image -> 1, -1 or 0."""
    labels = {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        match line.split():
            case [image, ("1" | "-1" | "0") as label]:
                labels[image] = int(label)
            case _:
                raise ValueError(f"{file}, line {number}: expected IMAGE 1, -1 or 0 but found {line!r}")
    return labels
