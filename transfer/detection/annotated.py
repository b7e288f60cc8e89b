"""Images with boxes, whatever their layout, and what must hold of each."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from PIL import Image

from transfer.data.checking import Remark, remarks_by_kind

MIN_SIDE = 0.1  # pixels; the 32-bit corners of a detector do not hold much less
Corners = tuple[float, float, float, float]

FLAT = "boxes without width or height, left out"
OUTSIDE = "boxes outside their image, left out"
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
        area: COCO's, in square pixels, of what the outline holds, or the box where that is unknown.
    """

    label: int
    corners: Corners
    difficult: bool = False
    crowd: bool = False
    area: float = 0.0


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
class DetectionImages:
    """One split of a data set.

    Attributes:
        address: `voc:FOLDER:SPLIT` or `coco:IMAGES:ANNOTATIONS.json`.
        classes: their names; an index there is a label.
        measure: whose average precision is measured.
        remarks: on the split as a whole.
    """

    address: str
    classes: tuple[str, ...]
    measure: Literal["voc", "coco"]
    images: tuple[AnnotatedImage, ...]
    remarks: tuple[Remark, ...] = ()

    def boxes_by_class(self) -> dict[str, int]:
        """Class -> how many boxes it has."""
        counts = Counter(box.label for image in self.images for box in image.boxes)
        return {name: counts[label] for label, name in enumerate(self.classes)}

    def notes(self) -> list[str]:
        """What of the annotations is not used as it stands there, a line for each kind."""
        remarks = [*self.remarks, *(remark for image in self.images for remark in image.remarks)]
        return [f"{self.address}: {line}" for line in remarks_by_kind(remarks)]


def clipped_corners(
    corners: Corners, width: int, height: int, where: str
) -> tuple[Corners | None, str | None]:
    """The part of a box inside an image of this size, None if there is none, and the remark on it if it differs.

    Raises ValueError, naming `where` the box is, if its corners are in the wrong order.
    """
    left, top, right, bottom = corners
    if right < left or bottom < top:
        raise ValueError(
            f"{where} reaches from ({left:g}, {top:g}) to ({right:g}, {bottom:g}), against the order left, top, right, "
            "bottom; correct it"
        )
    if min(right - left, bottom - top) < MIN_SIDE:
        return None, FLAT
    inside = max(left, 0.0), max(top, 0.0), min(right, float(width)), min(bottom, float(height))
    if min(inside[2] - inside[0], inside[3] - inside[1]) < MIN_SIDE:
        return None, OUTSIDE
    return inside, None if inside == corners else CLIPPED


def sides_are_exchanged(
    given: tuple[float, float], size: tuple[int, int], boxes: Iterable[Corners], path: Path, where: str
) -> bool:
    """Whether an annotation gives an image's height as its width and the reverse, while its boxes fit the image.

    Args:
        given: width and height in pixels; 0 is not known.
        size: width and height of the image as shown.
        boxes: of the annotation.
        path: of the image.
        where: the annotation is, for a message.

    Raises:
        ValueError: it gives another size, or that of the image before it is turned as its EXIF orientation says.
    """
    if 0 in given or given == size:
        return False
    with Image.open(path) as image:
        is_turned = image.size == given
    fits = all(right <= size[0] + 1 and bottom <= size[1] + 1 for _, _, right, bottom in boxes)
    if given == size[::-1] and fits and not is_turned:
        return True
    how = (
        ", turned as its EXIF orientation says: turn the file itself before it is annotated"
        if is_turned
        else ""
    )
    raise ValueError(
        f"{where} says {given[0]:g} x {given[1]:g} px, but {path.name} has {size[0]} x {size[1]}{how}"
    )
