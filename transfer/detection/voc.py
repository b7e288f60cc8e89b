"""Boxes in PASCAL VOC's layout: an XML file for each image in Annotations."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

from transfer.data.checking import Remark, finite_number, read_all, shown
from transfer.data.voc import class_names, file_beside, listed_images
from transfer.detection.annotated import (
    AnnotatedImage,
    Box,
    Corners,
    DetectionImages,
    GivenBox,
    image_in_file,
)

ROUNDED = "boxes whose corners have decimals, rounded to whole pixels as VOC's are"
TWICE = "boxes that are there twice, used once"


def open_voc_boxes(address: str, root: Path, split: str, classes: Sequence[str] | None) -> DetectionImages:
    """The images that ImageSets/Main/SPLIT.txt lists, with the boxes of Annotations.

    Of an object the XML must give `name` and `bndbox`; without `difficult` it is not difficult. Corners are rounded to
    whole pixels, as VOC's measure takes them, and of two equal boxes of a class one is used, since by that measure no
    detector finds both. Raises ValueError as `open_detection` does.
    """
    names = tuple(classes) if classes else class_names(root)
    listed, remarks = listed_images(root, "Main", split)
    images = read_all(lambda name: _image(root, name, listed[name], names), listed)
    return DetectionImages(
        address=address, classes=names, measure="voc", images=images, remarks=tuple(remarks)
    )


def _image(root: Path, name: str, path: Path, classes: Sequence[str]) -> AnnotatedImage:
    file = file_beside(root / "Annotations", name, ".xml")
    tree = _read(file)
    given, remarks = [], []
    for entry in tree.iter("object"):
        label, exact = _label(entry, file, classes), _corners(entry, file)
        left, top, right, bottom = (float(round(corner)) for corner in exact)
        box_name = f"{classes[label]} in {file.name}"
        if (left, top, right, bottom) != exact:
            remarks.append(Remark(ROUNDED, box_name))
        # VOC counts pixels from 1, and the last one belongs to the box; but one whose corners are equal is nothing to
        # nearly all tools, not a pixel.
        first = 0 if exact[0] == exact[2] or exact[1] == exact[3] else 1
        box = Box(
            label=label,
            corners=(left - first, top - first, right, bottom),
            difficult=_text(entry, "difficult").lower() in ("1", "true"),
        )
        given.append(GivenBox(box, box_name, f"{file}: the box of {classes[label]}"))
    size = _side(tree, file, "width"), _side(tree, file, "height")
    image = image_in_file(path, name, given, size, str(file))
    boxes: dict[tuple[int, Corners], Box] = {}
    for box in image.boxes:
        key = box.label, box.corners
        if key in boxes:
            remarks.append(Remark(TWICE, f"{classes[box.label]} in {file.name}"))
        if not box.difficult or key not in boxes:
            boxes[key] = box
    return replace(image, boxes=tuple(boxes.values()), remarks=(*image.remarks, *remarks))


def _read(file: Path) -> ElementTree.Element:
    """The root of an XML file, its tags without namespaces."""
    try:
        content = file.read_bytes()
        # Of encodings with several bytes a character, the parser knows Unicode's alone; Python knows the others.
        declared = re.match(rb"""\s*<\?xml[^>]*\sencoding\s*=\s*["']([\w.-]+)""", content)
        tree = ElementTree.fromstring(content.decode(declared[1].decode()) if declared else content)
    except FileNotFoundError:
        raise ValueError(f"{file} is missing, but its image is listed") from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise ValueError(f"{file} cannot be read as XML ({error})") from error
    for element in tree.iter():
        element.tag = element.tag.rpartition("}")[2]
    return tree


def _text(element: ElementTree.Element, path: str) -> str:
    """The words in an element, nothing where there is none."""
    return " ".join(element.findtext(path, "").split())


def _label(entry: ElementTree.Element, file: Path, classes: Sequence[str]) -> int:
    name = _text(entry, "name")
    if name not in classes:
        raise ValueError(
            f"{file} names the class {shown(name)}, which is none of {', '.join(classes)}; give data.classes"
        )
    return classes.index(name)


def _corners(entry: ElementTree.Element, file: Path) -> Corners:
    """xmin, ymin, xmax and ymax."""
    where = f"{file}: the box of {_text(entry, 'name')}"
    for path in ("bndbox", "bndbox/xmin", "bndbox/ymin", "bndbox/xmax", "bndbox/ymax"):
        if entry.find(path) is None:
            raise ValueError(f"{where} has no {path}")
    left, top, right, bottom = (
        finite_number(_text(entry, f"bndbox/{key}"), f"{where}: {key}")
        for key in ("xmin", "ymin", "xmax", "ymax")
    )
    return left, top, right, bottom


def _side(tree: ElementTree.Element, file: Path, key: str) -> float:
    """A length in pixels, 0 where it is not given."""
    return finite_number(_text(tree, f"size/{key}") or 0, f"{file}: size/{key}")
