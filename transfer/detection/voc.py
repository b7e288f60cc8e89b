"""Boxes in PASCAL VOC's layout: an XML file for each image in Annotations."""

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from pretext.images.image_file import open_rgb
from transfer.data.checking import Remark, finite_number, image_size, read_all, shown
from transfer.data.voc import class_names, file_beside, listed_images
from transfer.detection.annotated import (
    EXCHANGED,
    FLAT,
    AnnotatedImage,
    Box,
    Corners,
    DetectionImages,
    clipped_corners,
    sides_are_exchanged,
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
    size = width, height = image_size(path)
    file = file_beside(root / "Annotations", name, ".xml")
    tree = _read(file)
    objects = [(_label(entry, file, classes), _corners(entry, file), entry) for entry in tree.iter("object")]
    given = _side(tree, file, "width"), _side(tree, file, "height")
    remarks = []
    if sides_are_exchanged(given, size, [corners for _, corners, _ in objects], path, str(file)):
        remarks.append(Remark(EXCHANGED, file.name))
    boxes: dict[tuple[int, Corners], Box] = {}
    for label, exact, entry in objects:
        box_name = f"{classes[label]} in {file.name}"
        left, top, right, bottom = (float(round(corner)) for corner in exact)
        if (left, top, right, bottom) != exact:
            remarks.append(Remark(ROUNDED, box_name))
        # VOC counts pixels from 1, and the last one belongs to the box.
        corners, fault = clipped_corners(
            (left - 1, top - 1, right, bottom), width, height, f"{file}: the box of {classes[label]}"
        )
        if exact[0] == exact[2] or exact[1] == exact[3]:  # to nearly all tools that is nothing, not a pixel
            corners, fault = None, FLAT
        if fault:
            remarks.append(Remark(fault, box_name))
        if corners is None:
            continue
        box = Box(label=label, corners=corners, difficult=_text(entry, "difficult").lower() in ("1", "true"))
        if (label, corners) in boxes:
            remarks.append(Remark(TWICE, box_name))
        if not box.difficult or (label, corners) not in boxes:
            boxes[label, corners] = box
    return AnnotatedImage(
        id=name,
        name=str(path),
        open=partial(open_rgb, path),
        width=width,
        height=height,
        boxes=tuple(boxes.values()),
        remarks=tuple(remarks),
    )


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
