"""Boxes in COCO's layout: one JSON file for all images."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from transfer.data.checking import read_all
from transfer.detection.annotated import AnnotatedImage, Box, DetectionImages, check_box, image_size


def open_coco_boxes(address: str, root: Path, split: str, classes: Sequence[str] | None) -> DetectionImages:
    """The images and boxes of a file; its categories, in order of their numbers, are the classes if none are given.

    Raises ValueError as `open_detection` does.
    """
    file = Path(split).expanduser()
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        categories = sorted(content["categories"], key=lambda category: category["id"])
        number = {category["name"]: category["id"] for category in categories}
        names = tuple(classes) if classes else tuple(number)
        unknown = [name for name in names if name not in number]
        if unknown:
            raise ValueError(
                f"{file} has no class {', '.join(unknown)}, but {', '.join(number)}; correct data.classes"
            )
        ids = tuple(number[name] for name in names)
        of_images: dict[int, list[dict[str, Any]]] = {image["id"]: [] for image in content["images"]}
        for annotation in content["annotations"]:
            if annotation["category_id"] not in number.values():
                raise ValueError(
                    f"{file}: annotation {annotation['id']} is of category {annotation['category_id']}, "
                    "which the file does not name"
                )
            if annotation["image_id"] not in of_images:
                raise ValueError(
                    f"{file}: annotation {annotation['id']} is of image {annotation['image_id']}, "
                    "which the file does not name"
                )
            if annotation["category_id"] in ids:
                of_images[annotation["image_id"]].append(annotation)
    except FileNotFoundError:
        raise ValueError(f"{address}: there is no file {file}") from None
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{file} is no file of COCO annotations ({error!r})") from error
    images = read_all(lambda image: _image(root, file, image, of_images[image["id"]], ids), content["images"])
    return DetectionImages(address=address, classes=names, images=images, category_ids=ids)


def _image(
    root: Path, file: Path, image: dict[str, Any], annotations: Iterable[dict[str, Any]], ids: Sequence[int]
) -> AnnotatedImage:
    path = root / image["file_name"]
    width, height = image_size(path)
    if (image["width"], image["height"]) != (width, height):
        raise ValueError(
            f"{file} says {image['width']} x {image['height']} px of {path.name}, which has {width} x {height}"
        )
    boxes = []
    for annotation in annotations:
        left, top, box_width, box_height = map(float, annotation["bbox"])
        corners = (left, top, left + box_width, top + box_height)
        check_box(corners, width, height, f"{file}: the box of annotation {annotation['id']} on {path.name}")
        label = ids.index(annotation["category_id"])
        boxes.append(Box(label=label, corners=corners, crowd=bool(annotation.get("iscrowd"))))
    return AnnotatedImage(id=image["id"], path=path, width=width, height=height, boxes=tuple(boxes))
