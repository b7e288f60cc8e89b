"""Boxes in PASCAL VOC's layout: an XML file for each image in Annotations."""

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree

from transfer.data.checking import read_all
from transfer.data.voc import class_names, image_list, image_path
from transfer.detection.annotated import AnnotatedImage, Box, DetectionImages, check_box, image_size


def open_voc_boxes(address: str, root: Path, split: str, classes: Sequence[str] | None) -> DetectionImages:
    """The images that ImageSets/Main/SPLIT.txt lists, with the boxes of Annotations.

    Raises ValueError as `open_detection` does.
    """
    names = tuple(classes) if classes else class_names(root)
    listed = image_list(root, "Main", split)
    images = read_all(lambda name: _image(root, name, names), listed)
    return DetectionImages(address=address, classes=names, images=images)


def _image(root: Path, name: str, classes: Sequence[str]) -> AnnotatedImage:
    file = root / "Annotations" / f"{name}.xml"
    try:
        tree = ElementTree.parse(file)
    except FileNotFoundError:
        raise ValueError(f"{file} is missing, but its image is listed") from None
    except ElementTree.ParseError as error:
        raise ValueError(f"{file} is no XML ({error})") from error
    path = image_path(root, name)
    width, height = image_size(path)
    try:
        said = tuple(int(tree.findtext(f"size/{key}", "")) for key in ("width", "height"))
        boxes = tuple(_box(of, file, classes, width, height) for of in tree.iter("object"))
    except (TypeError, KeyError) as error:
        raise ValueError(f"{file} lacks a number ({error})") from error
    if said != (width, height):
        raise ValueError(f"{file} says {said[0]} x {said[1]} px, but {path.name} has {width} x {height}")
    return AnnotatedImage(id=name, path=path, width=width, height=height, boxes=boxes)


def _box(of: ElementTree.Element, file: Path, classes: Sequence[str], width: int, height: int) -> Box:
    name = of.findtext("name")
    if name not in classes:
        raise ValueError(
            f"{file} names the class {name!r}, which is none of {', '.join(classes)}; give data.classes"
        )
    left, top, right, bottom = (
        float(of.findtext(f"bndbox/{key}", "nan")) for key in ("xmin", "ymin", "xmax", "ymax")
    )
    # VOC counts pixels from 1, and the last one belongs to the box.
    corners = (left - 1, top - 1, right, bottom)
    check_box(corners, width, height, f"{file}: the box of {name}")
    return Box(label=classes.index(name), corners=corners, difficult=of.findtext("difficult") == "1")
