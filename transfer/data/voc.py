"""PASCAL VOC's layout: lists in ImageSets, of images and of labels for each class, photographs in JPEGImages, boxes in
Annotations; the colors of its masks.
"""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree

import numpy as np
from jaxtyping import Int8

from pretext.images.folder import FolderSource
from pretext.images.image_file import image_extensions
from pretext.images.sources import SubsetSource
from pretext.images.text_files import read_lines, read_text
from pretext.spelling import unknown_name
from transfer.data.checking import Remark, shown

NUM_LABELS = 256  # of a mask
LISTED_TWICE = "images that are listed twice, used once"
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


def voc_colour(label: int) -> tuple[int, int, int]:
    """RGB in 0..255 of a label: VOC's colour map, whose 0 (background) is black and whose 255 (void) is cream.

    The three lowest bits of the label are the highest bits of red, green and blue, the next three the next.
    """
    red = green = blue = 0
    for bit in range(8):
        red |= (label >> 3 * bit & 1) << 7 - bit
        green |= (label >> 3 * bit + 1 & 1) << 7 - bit
        blue |= (label >> 3 * bit + 2 & 1) << 7 - bit
    return red, green, blue


def class_names(root: Path) -> tuple[str, ...]:
    """The lines of classes.txt, where the folder has one, else VOC's twenty classes; without the background.

    Raises ValueError if the file is empty or names a class twice.
    """
    file = root / "classes.txt"
    if not file.is_file():
        return VOC_CLASSES
    names = tuple(read_lines(file))
    if not names or len(set(names)) < len(names):
        raise ValueError(f"{file} should name each class once, a line each, without the background")
    return names


def listed_images(
    root: Path, kind: Literal["Main", "Segmentation"], split: str
) -> tuple[dict[str, Path], list[Remark]]:
    """The images of a split, and a remark for each line of its list that names one again.

    ImageSets/KIND/SPLIT.txt lists them with or without extension; names may hold blanks, and behind a name may be
    labels, as in the lists of a class.

    Returns:
        Name without extension -> its file in JPEGImages.

    Raises ValueError for a folder without such lists or without images, a split without a list, an empty list, and one
    that names images which JPEGImages does not hold.
    """
    lists = root / "ImageSets" / kind
    file = lists / f"{split}.txt"
    if not file.is_file():
        splits = {file.stem for file in lists.glob("*.txt") if "_" not in file.stem}
        raise _no_such_split(lists, split, splits, "trainval.txt")
    folder = FolderSource(root / "JPEGImages")
    places = _places(folder)
    names = [_listed_name(line, places) for line in read_lines(file)]
    if not names:
        raise ValueError(f"{file} names no image")
    _require_images(names, places, file, root)
    images: dict[str, Path] = {}
    remarks = []
    for name in names:
        file_name = folder.name(places[name])
        stem = _split_extension(file_name)[0]
        if stem in images:
            remarks.append(Remark(LISTED_TWICE, stem))
        images[stem] = root / "JPEGImages" / file_name
    return images, remarks


def file_beside(folder: Path, name: str, extension: str) -> Path:
    """What belongs to an image of this name: FOLDER/NAME.xml, or FOLDER/NAME.XML where only that exists."""
    path, in_capitals = folder / f"{name}{extension}", folder / f"{name}{extension.upper()}"
    return in_capitals if in_capitals.is_file() and not path.is_file() else path


def open_voc(
    root: Path, split: str
) -> tuple[SubsetSource, tuple[str, ...], Int8[np.ndarray, "images classes"]]:
    """The images of a split in order of their names, the classes, and the labels: 1, -1, or 0 for "difficult".

    The classes are those with a list CLASS_SPLIT.txt in ImageSets/Main, sorted by name.

    Raises ValueError for a split without lists, a file that is not a list or differs from the others in its images, one
    that names images which JPEGImages does not hold, and a class without a positive image.
    """
    lists = root / "ImageSets" / "Main"
    ending = f"_{split}.txt"
    files = sorted(lists.glob(f"*{ending}"), key=lambda file: file.name.removesuffix(ending))
    if not files:
        splits = {file.stem.rpartition("_")[2] for file in lists.glob("*_*.txt")}
        raise _no_such_split(lists, split, splits, "aeroplane_trainval.txt")
    folder = FolderSource(root / "JPEGImages")
    places = _places(folder)
    first, *others = labels_of_classes = [_read_list(file, places) for file in files]
    for file, labels in zip(files[1:], others, strict=True):
        if labels.keys() != first.keys():
            odd = min(labels.keys() ^ first.keys())
            raise ValueError(f"{file} and {files[0]} must list the same images, but only one has {odd}")
    for file, labels in zip(files, labels_of_classes, strict=True):
        if 1 not in labels.values():
            raise ValueError(
                f"{file} has no image with its class (1); leave the class out, or correct the list"
            )
    _require_images(first, places, files[0], root)
    images = sorted(first, key=places.__getitem__)
    return (
        SubsetSource(folder, np.array([places[image] for image in images])),
        tuple(file.name.removesuffix(ending) for file in files),
        np.array([[labels[image] for labels in labels_of_classes] for image in images], np.int8),
    )


def write_annotation(
    file: Path, size: tuple[int, int], objects: Iterable[tuple[str, Sequence[int], bool]]
) -> None:
    """Write VOC's XML for an image, whose boxes start at 1 and include their last pixel.

    Args:
        size: width and height in pixels.
        objects: class, box and whether it is difficult; the box is left, top, right and bottom in pixels from the
            image's upper left corner, the last two exclusive.
    """
    root = ElementTree.Element("annotation")
    _add(root, filename=f"{file.stem}.jpg", segmented=1)
    _add(ElementTree.SubElement(root, "size"), width=size[0], height=size[1], depth=3)
    for name, (left, top, right, bottom), difficult in objects:
        entry = ElementTree.SubElement(root, "object")
        _add(entry, name=name, pose="Unspecified", truncated=0, difficult=int(difficult))
        box = ElementTree.SubElement(entry, "bndbox")
        _add(box, xmin=left + 1, ymin=top + 1, xmax=right, ymax=bottom)
    ElementTree.indent(root)
    file.write_bytes(ElementTree.tostring(root))


def _add(parent: ElementTree.Element, **texts: object) -> None:
    for key, text in texts.items():
        ElementTree.SubElement(parent, key).text = str(text)


def _no_such_split(lists: Path, split: str, splits: Iterable[str], example: str) -> ValueError:
    if not splits:
        return ValueError(f"{lists} holds no lists such as {example}; give the folder of VOC2007")
    return ValueError(f"in {lists} " + unknown_name("split", split, sorted(splits)))


def _read_list(file: Path, places: Mapping[str, int]) -> dict[str, int]:
    """Image -> 1, -1 or 0."""
    labels: dict[str, int] = {}
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        match line.rsplit(maxsplit=1):
            case []:
                continue
            case [name, ("1" | "-1" | "0") as text]:
                name, label = _image_name(name.strip(), places), int(text)
            case _:
                raise ValueError(f"{file}, line {number}: expected IMAGE 1, -1 or 0 but found {line!r}")
        if labels.setdefault(name, label) != label:
            raise ValueError(
                f"{file}, line {number}: {name} has the label {label} but above it has {labels[name]}: keep one of "
                "the lines"
            )
    return labels


def _require_images(names: Iterable[str], places: Mapping[str, int], file: Path, root: Path) -> None:
    absent = [name for name in names if name not in places]
    if absent:
        raise ValueError(
            f"{root / 'JPEGImages'} lacks {len(absent)} of the images that {file} names, the first is "
            f"{shown(absent[0])}"
        )


def _places(folder: FolderSource) -> dict[str, int]:
    """Name with and without extension -> index in the folder; of a JPEG where several files have the name."""
    names = [folder.name(index) for index in range(len(folder))]
    places: dict[str, int] = {}
    for index, name in enumerate(names):
        stem, extension = _split_extension(name)
        if stem not in places or extension in (".jpg", ".jpeg"):
            places[stem] = index
    return places | {name: index for index, name in enumerate(names)}


def _listed_name(line: str, places: Mapping[str, int]) -> str:
    """The image in a line of a list: the longest beginning of whole words that is one's name, else all but labels."""
    for word in reversed(list(re.finditer(r"\S+", line))):
        name = _image_name(line[: word.end()], places)
        if name in places:
            return name
    return re.sub(r"(\s+-?\d+)+$", "", line)


def _image_name(name: str, places: Mapping[str, int]) -> str:
    """The name without the extension, unless that would be another file's."""
    stem, extension = _split_extension(name)
    is_same = extension in image_extensions() and places.get(name, places.get(stem)) == places.get(stem)
    return stem if is_same else name


def _split_extension(name: str) -> tuple[str, str]:
    """The name without extension, and the extension in lower case."""
    stem, extension = os.path.splitext(name)  # noqa: PTH122
    return stem, extension.lower()
