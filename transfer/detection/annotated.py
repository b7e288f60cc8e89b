"""Images with boxes, whatever their layout, and what must hold of each."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image

from pretext.images.image_file import open_rgb
from pretext.spelling import first_few
from transfer.data.checking import Remark, Split, open_listed, remarks_by_kind
from transfer.detection.masks import Mask

MIN_SIDE = 0.1  # pixels; the 32-bit corners of a detector do not hold much less
Corners = tuple[float, float, float, float]
MaskFormat = Literal["polygon", "bitmask"]
"""What Detectron2 learns masks from: outlines, or pixels."""

FLAT = "boxes without width or height, left out"
OUTSIDE = "boxes outside their image, left out"
NO_MASK = "objects whose mask has no pixel, left out"
CLIPPED = "boxes that reach over the border, clipped"
EXCHANGED = "sizes with width and height exchanged, taken from the images"


@dataclass(frozen=True, kw_only=True)
class Box:
    """One object.

    Attributes:
        label: index of its class.
        corners: left, top, right, bottom in pixels from the image's upper left corner, inside the image.
        difficult: VOC's; it is trained on, and a detection of it counts neither for nor against.
        crowd: COCO's; it is not trained on.
        mask: None where masks were not asked for.
    """

    label: int
    corners: Corners
    difficult: bool = False
    crowd: bool = False
    mask: Mask | None = field(default=None, compare=False)


@dataclass(frozen=True, kw_only=True)
class AnnotatedImage:
    """An image, its size as shown (after EXIF orientation), its objects, and what was not used as it stands.

    Attributes:
        id: as the data set has it.
        name: its file, or whatever else identifies it.
        open: gives it in RGB.
    """

    id: str | int
    name: str
    open: Callable[[], Image.Image]
    width: int
    height: int
    boxes: tuple[Box, ...]
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DetectionImages(Split[AnnotatedImage]):
    """One split of a data set, whose average precision is measured as that of `measure`."""

    measure: Literal["voc", "coco"]

    def boxes_by_class(self) -> dict[str, int]:
        """Class -> how many boxes it has."""
        counts = Counter(box.label for image in self.images for box in image.boxes)
        return {name: counts[label] for label, name in enumerate(self.classes)}

    def notes(self) -> list[str]:
        """What of the annotations is not used as it stands there, a line for each kind."""
        remarks = [*self.remarks, *(remark for image in self.images for remark in image.remarks)]
        return [f"{self.address}: {line}" for line in remarks_by_kind(remarks)]

    def summary(self) -> str:
        """What was found, in one line; images without objects are counted and named."""
        boxes = [box for image in self.images for box in image.boxes]
        by_class = ", ".join(f"{name} {count}" for name, count in self.boxes_by_class().items())
        line = f"{self.address}: {len(self.images)} images, {len(boxes)} boxes ({by_class})"
        for count, what in (
            (sum(box.mask is not None for box in boxes), "with masks"),
            (sum(box.difficult for box in boxes), "difficult"),
            (sum(box.crowd for box in boxes), "crowds"),
        ):
            line += f", {count} {what}" if count else ""
        empty = [Path(image.name).name for image in self.images if not image.boxes]
        if empty:
            line += f"; {len(empty)} without objects: {first_few(empty)}"
        return line


def mask_format(splits: Iterable[DetectionImages]) -> MaskFormat:
    """Outlines where all masks are polygons, but for those of crowds, which are not trained on."""
    boxes = (box for split in splits for image in split.images for box in image.boxes)
    return "bitmask" if any(isinstance(box.mask, dict) and not box.crowd for box in boxes) else "polygon"


class GivenBox(NamedTuple):
    """A box as an annotation gives it, wherever its corners are.

    Attributes:
        name: in remarks.
        where: in errors.
        read_mask: gives its mask, for an image of some width and height, or None where that has no pixel.
    """

    box: Box
    name: str
    where: str
    read_mask: Callable[[int, int], Mask | None] | None = None


def clipped(boxes: Iterable[GivenBox], width: int, height: int) -> tuple[tuple[Box, ...], tuple[Remark, ...]]:
    """The parts of boxes inside an image of this size, and remarks on those that differ or are left out.

    Raises:
        ValueError: corners are in the wrong order, or a mask is not of this image.
    """
    used, remarks = [], []
    for box, name, where, read_mask in boxes:
        left, top, right, bottom = box.corners
        if right < left or bottom < top:
            raise ValueError(
                f"{where} reaches from ({left:g}, {top:g}) to ({right:g}, {bottom:g}), against the order left, top, "
                "right, bottom; correct it"
            )
        inside = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
        if min(right - left, bottom - top) < MIN_SIDE:
            remarks.append(Remark(FLAT, name))
        elif min(inside[2] - inside[0], inside[3] - inside[1]) < MIN_SIDE:
            remarks.append(Remark(OUTSIDE, name))
        elif read_mask and (mask := read_mask(width, height)) is None:
            remarks.append(Remark(NO_MASK, name))
        else:
            used.append(replace(box, corners=inside, mask=mask if read_mask else None))
            if inside != box.corners:
                remarks.append(Remark(CLIPPED, name))
    return tuple(used), tuple(remarks)


def image_in_file(
    path: Path, identity: str | int, boxes: Sequence[GivenBox], given_size: tuple[float, float], where: str
) -> AnnotatedImage:
    """An image with the boxes that an annotation gives, those outside it left out and those over its border clipped.

    Where the annotation gives the image's height as its width and the reverse, while its boxes fit the image, a remark
    says so.

    Args:
        given_size: width and height in pixels; 0 is not known.
        where: the annotation is, for a message.

    Raises:
        ValueError: there is no such image, corners are in the wrong order, a mask is not of the image, or the
            annotation gives another size, such as that of the image before it is turned as its EXIF orientation says.
    """
    try:
        size = width, height = open_listed(path).size
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    remarks: tuple[Remark, ...] = ()
    if 0 not in given_size and given_size != size:
        with Image.open(path) as image:
            is_turned = image.size == given_size
        corners = [given.box.corners for given in boxes]
        fits = all(right <= width + 1 and bottom <= height + 1 for _, _, right, bottom in corners)
        if given_size != size[::-1] or not fits or is_turned:
            how = (
                ", turned as its EXIF orientation says: turn the file itself before it is annotated"
                if is_turned
                else ""
            )
            raise ValueError(
                f"{where} says {given_size[0]:g} x {given_size[1]:g} px, but {path.name} has {width} x {height}{how}"
            )
        remarks = (Remark(EXCHANGED, path.name),)
    used, remarks_on_boxes = clipped(boxes, width, height)
    return AnnotatedImage(
        id=identity,
        name=str(path),
        open=partial(open_rgb, path),
        width=width,
        height=height,
        boxes=used,
        remarks=remarks + remarks_on_boxes,
    )
