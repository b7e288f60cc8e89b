"""Boxes and masks in COCO's layout: one JSON file for all images."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from transfer.data.checking import Remark, finite_number, read_all, shown
from transfer.detection.annotated import (
    AnnotatedImage,
    Box,
    Corners,
    DetectionImages,
    GivenBox,
    image_in_file,
)
from transfer.detection.masks import Mask, coco_mask

ONE_NAME = "categories of one name, which are one class"
LISTED_AGAIN = "files of several entries, each of them an image of its own"


def open_coco_boxes(
    address: str, root: Path, split: str, classes: Sequence[str] | None, *, masks: bool = False
) -> DetectionImages:
    """The images and boxes of a file; its categories, in order of their numbers, are the classes if none are given.

    Of an image the file must give `id` and `file_name`, of an annotation `image_id`, `category_id` and `bbox`, of a
    category `id` and `name`; categories of one name are one class. With `masks` also an annotation's `segmentation`.
    Raises ValueError as `open_detection` does.
    """
    file = Path(split).expanduser()
    categories, images, annotations = _read(address, file)
    name_of = {number: " ".join(entry.text("name").split()) for number, entry in categories.items()}
    numbers: dict[str, list[int | str]] = defaultdict(list)
    for number in sorted(name_of, key=lambda number: (isinstance(number, str), number)):
        numbers[name_of[number]].append(number)
    remarks = [
        Remark(ONE_NAME, f"{name} of {' and '.join(map(str, same))}")
        for name, same in numbers.items()
        if len(same) > 1
    ]
    names = tuple(classes) if classes else tuple(numbers)
    unknown = [name for name in names if name not in numbers]
    if unknown:
        raise ValueError(
            f"{file} has no class {', '.join(unknown)}, but {', '.join(numbers)}; correct data.classes"
        )
    label_of = {number: names.index(name) for number, name in name_of.items() if name in names}
    of_images: dict[int | str, list[_Entry]] = {number: [] for number in images}
    for annotation in annotations:
        category, image = annotation.id("category_id"), annotation.id("image_id")
        if category not in categories:
            raise ValueError(
                f"{annotation.where} is of category {shown(category)}, which the file does not name"
            )
        if image not in images:
            raise ValueError(f"{annotation.where} is of image {shown(image)}, which the file does not name")
        if category in label_of:
            of_images[image].append(annotation)
    read = read_all(
        lambda number: _image(root, number, images[number], of_images[number], label_of, masks), images
    )
    return DetectionImages(
        address=address,
        classes=names,
        measure="coco",
        images=read,
        remarks=(*remarks, *_listed_again(images)),
    )


@dataclass(frozen=True)
class _Entry:
    """An entry in a list of the file, and where it is for messages. What it lacks or has wrong is a ValueError."""

    values: Mapping[str, Any]
    file: Path
    name: str

    @property
    def where(self) -> str:
        return f"{self.file}: {self.name}"

    def value(self, key: str) -> Any:
        if key not in self.values:
            raise ValueError(f"{self.where} has no {key}")
        return self.values[key]

    def text(self, key: str) -> str:
        value = self.value(key)
        if not isinstance(value, str) or not value.strip() or re.search("[\0\ud800-\udfff]", value):
            raise ValueError(f"{self.where}: {key} is {shown(value)}, expected text")
        return value

    def id(self, key: str) -> int | str:
        """A number or text; 7, 7.0 and "7" are one."""
        value = self.value(key)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, str) and re.fullmatch(r"0|-?[1-9]\d{0,17}", value, re.ASCII):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise ValueError(f"{self.where}: {key} is {shown(value)}, expected a number or text")
        return value

    def side(self, key: str) -> float:
        """A length in pixels, 0 where it is not given."""
        return finite_number(self.values.get(key) or 0, f"{self.where}: {key}")

    def corners(self) -> Corners:
        box = self.value("bbox")
        if not isinstance(box, list) or len(box) != 4:
            raise ValueError(f"{self.where}: bbox is {shown(box)}, expected [left, top, width, height]")
        left, top, width, height = (
            finite_number(number, f"{self.where}: bbox has {shown(box)}, of which one") for number in box
        )
        return left, top, left + width, top + height


def _read(address: str, file: Path) -> tuple[dict[int | str, _Entry], dict[int | str, _Entry], list[_Entry]]:
    """The file's categories and images by their ids, and its annotations."""
    try:
        content = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{address}: there is no file {file}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} cannot be read as JSON ({error})") from error
    lists: dict[str, list[_Entry]] = {}
    for key, kind in (("categories", "category"), ("images", "image"), ("annotations", "annotation")):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise ValueError(f"{file} is not a file of COCO annotations: it has no list {key!r}")
        lists[key] = []
        for place, values in enumerate(entries):
            if not isinstance(values, dict):
                raise ValueError(f"{file}: {key}[{place}] is {shown(values)}, expected an object with keys")
            name = f"{kind} {shown(values['id'])}" if values.get("id") is not None else f"{key}[{place}]"
            lists[key].append(_Entry(values, file, name))
    return _by_id(lists["categories"], "name"), _by_id(lists["images"], "file_name"), lists["annotations"]


def _by_id(entries: Sequence[_Entry], name: str) -> dict[int | str, _Entry]:
    by_id: dict[int | str, _Entry] = {}
    for entry in entries:
        other = by_id.setdefault(entry.id("id"), entry)
        if entry.text(name) != other.text(name):
            raise ValueError(
                f"{entry.where} is both {shown(other.text(name))} and {shown(entry.text(name))}; give each an id of "
                "its own"
            )
    return by_id


def _listed_again(images: Mapping[int | str, _Entry]) -> list[Remark]:
    ids: dict[str, list[str]] = defaultdict(list)
    for number, entry in images.items():
        ids[entry.text("file_name")].append(str(number))
    return [
        Remark(LISTED_AGAIN, f"{name} of {' and '.join(same)}") for name, same in ids.items() if len(same) > 1
    ]


def _image(
    root: Path,
    number: int | str,
    image: _Entry,
    annotations: Sequence[_Entry],
    label_of: Mapping[int | str, int],
    masks: bool,
) -> AnnotatedImage:
    path = root / image.text("file_name")
    boxes = [
        GivenBox(
            Box(
                label=label_of[annotation.id("category_id")],
                corners=annotation.corners(),
                crowd=annotation.values.get("iscrowd") in (1, "1"),
            ),
            name=f"{annotation.name} on {path.name}",
            where=f"{annotation.where} on {path.name}",
            read_mask=partial(_mask, annotation, f"{annotation.where} on {path.name}") if masks else None,
        )
        for annotation in annotations
    ]
    return image_in_file(path, number, boxes, (image.side("width"), image.side("height")), image.where)


def _mask(annotation: _Entry, where: str, width: int, height: int) -> Mask | None:
    if "segmentation" not in annotation.values:
        raise ValueError(f"{where} has no segmentation; leave masks out to train on boxes alone")
    return coco_mask(annotation.values["segmentation"], width, height, where)
