"""Images with boxes, whatever their layout, and what must hold of each."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

VOC, COCO = "voc:", "coco:"
EXIF_ORIENTATION, FIRST_ON_ITS_SIDE = 0x0112, 5


@dataclass(frozen=True, kw_only=True)
class Box:
    """One object.

    Attributes:
        label: index of its class.
        corners: left, top, right, bottom in pixels from the image's upper left corner.
        difficult: VOC's; it is trained on, and a detection of it counts neither for nor against.
        crowd: COCO's; it is not trained on.
    """

    label: int
    corners: tuple[float, float, float, float]
    difficult: bool = False
    crowd: bool = False


@dataclass(frozen=True, kw_only=True)
class AnnotatedImage:
    """An image file, its size as shown (after EXIF orientation), and its objects."""

    id: str | int
    path: Path
    width: int
    height: int
    boxes: tuple[Box, ...]


@dataclass(frozen=True, kw_only=True)
class DetectionImages:
    """One split of a data set.

    Attributes:
        address: `voc:FOLDER:SPLIT` or `coco:IMAGES:ANNOTATIONS.json`.
        classes: their names; an index there is a label.
        category_ids: COCO's number of each class.
    """

    address: str
    classes: tuple[str, ...]
    images: tuple[AnnotatedImage, ...]
    category_ids: tuple[int, ...] = ()

    @property
    def is_coco(self) -> bool:
        return self.address.startswith(COCO)

    @property
    def root(self) -> Path:
        """VOC's folder, or COCO's folder of images."""
        return Path(self.address.partition(":")[2].rpartition(":")[0]).expanduser()

    @property
    def split(self) -> str:
        """VOC's split, or COCO's file of annotations."""
        return self.address.rpartition(":")[2]

    def boxes_by_class(self) -> dict[str, int]:
        """Class -> how many boxes it has."""
        counts = Counter(box.label for image in self.images for box in image.boxes)
        return {name: counts[label] for label, name in enumerate(self.classes)}


def check_box(corners: tuple[float, float, float, float], width: int, height: int, whose: str) -> None:
    """Raises ValueError for a box that is empty or reaches out of an image of this size."""
    left, top, right, bottom = corners
    # Published annotations reach up to a pixel beyond the edge.
    if not (-1 <= left < right <= width + 1 and -1 <= top < bottom <= height + 1):
        raise ValueError(
            f"{whose} reaches from ({left:g}, {top:g}) to ({right:g}, {bottom:g}), which is empty or outside the image "
            f"of {width} x {height} px; correct it"
        )


def image_size(path: Path) -> tuple[int, int]:
    """Width and height as shown, from the file's header; raises ValueError if there is no such image."""
    try:
        with Image.open(path) as image:
            turned = image.getexif().get(EXIF_ORIENTATION, 1) >= FIRST_ON_ITS_SIDE
            return (image.height, image.width) if turned else (image.width, image.height)
    except FileNotFoundError:
        raise ValueError(f"{path} is missing, but it is listed") from None
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"{path} cannot be read as an image ({error})") from error
