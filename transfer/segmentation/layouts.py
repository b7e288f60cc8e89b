"""Where the images, the masks and the names of the classes lie: PASCAL VOC's, Cityscapes' and ADE20K's layout."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pretext.images.image_file import image_extensions
from pretext.images.text_files import read_lines
from pretext.spelling import unknown_name
from transfer.data.checking import Remark, existing_folder
from transfer.data.voc import class_names, file_beside, listed_images

BACKGROUND = "background"
CITYSCAPES_CLASSES = (
    "road",
    "sidewalk",
    "building",
    "wall",
    "fence",
    "pole",
    "traffic light",
    "traffic sign",
    "vegetation",
    "terrain",
    "sky",
    "person",
    "rider",
    "car",
    "truck",
    "bus",
    "train",
    "motorcycle",
    "bicycle",
)


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What a split consists of, before anything is opened.

    Attributes:
        classes: their names; VOC's begin with the background.
        first_label: of the first class in the masks; below it is void.
        files: image and mask of each image.
        remarks: on the list of the images.
    """

    classes: tuple[str, ...]
    first_label: int
    files: tuple[tuple[Path, Path], ...]
    remarks: tuple[Remark, ...] = ()


def list_split(address: str, classes: Sequence[str] | None) -> Listing:
    """The images at `voc:FOLDER:SPLIT[:MASKS]`, `cityscapes:FOLDER:SPLIT` or `ade20k:FOLDER:SPLIT`.

    Args:
        classes: of VOC's layout, without the background; None takes those of the folder.

    Raises:
        ValueError: another address, a folder or split that is not there, an image without a file, or `classes` for
            a layout that has its own.
    """
    match address.split(":"):
        case ["voc", folder, split]:
            return _list_voc(existing_folder(address, folder), split, "SegmentationClass", classes)
        case ["voc", folder, split, masks]:
            return _list_voc(existing_folder(address, folder), split, masks, classes)
        case ["cityscapes", folder, split] if not classes:
            return _list_cityscapes(existing_folder(address, folder), split)
        case ["ade20k", folder, split] if not classes:
            return _list_ade20k(existing_folder(address, folder), split)
    if address.startswith(("cityscapes:", "ade20k:")) and classes:
        raise ValueError(f"data.classes is for VOC's layout; {address} has its own classes, leave it out")
    raise ValueError(
        f"{address} should be voc:FOLDER:SPLIT, such as voc:VOCdevkit/VOC2012:train, voc:FOLDER:SPLIT:MASKS, "
        "cityscapes:FOLDER:SPLIT or ade20k:FOLDER:SPLIT"
    )


def _list_voc(root: Path, split: str, masks: str, classes: Sequence[str] | None) -> Listing:
    images, remarks = listed_images(root, "Segmentation", split)
    files = tuple((path, file_beside(root / masks, name, ".png")) for name, path in images.items())
    names = classes or class_names(root)
    if BACKGROUND in names:
        raise ValueError(
            f"{root}: the classes of VOC's layout are named without the {BACKGROUND}, which is 0 in a mask; leave it "
            "out of data.classes or classes.txt"
        )
    return Listing(classes=(BACKGROUND, *names), first_label=0, files=files, remarks=tuple(remarks))


def _list_cityscapes(root: Path, split: str) -> Listing:
    folder, ending = _split_folder(root / "leftImg8bit", split), "_leftImg8bit.png"
    images = sorted(folder.glob(f"*/*{ending}"))
    if not images:
        raise ValueError(f"{folder} holds no images such as CITY/NAME{ending}; give the folder of Cityscapes")
    masks = [
        root / "gtFine" / split / image.parent.name / image.name.replace(ending, "_gtFine_labelTrainIds.png")
        for image in images
    ]
    if not any(mask.is_file() for mask in masks):
        raise ValueError(
            f"{masks[0]} is missing, as all of its kind are; csCreateTrainIdLabelImgs of cityscapesscripts makes them"
        )
    return Listing(classes=CITYSCAPES_CLASSES, first_label=0, files=tuple(zip(images, masks, strict=True)))


def _list_ade20k(root: Path, split: str) -> Listing:
    names = root / "objectInfo150.txt"
    if not names.is_file():
        raise ValueError(f"{names} is missing; it names the classes, and ADEChallengeData2016.zip brings it")
    classes = tuple(line.split("\t")[-1].strip() for line in read_lines(names)[1:])
    if not classes or len(set(classes)) < len(classes):
        raise ValueError(f"{names} should name each class once, a line each, below its heading")
    folder = _split_folder(root / "images", split)
    extensions = image_extensions()
    images = sorted(path for path in folder.iterdir() if path.suffix.lower() in extensions)
    if not images:
        raise ValueError(f"{folder} holds no images; give the folder of ADEChallengeData2016")
    masks = [root / "annotations" / split / f"{image.stem}.png" for image in images]
    return Listing(classes=classes, first_label=1, files=tuple(zip(images, masks, strict=True)))


def _split_folder(images: Path, split: str) -> Path:
    if not (images / split).is_dir():
        found = sorted(path.name for path in images.glob("*/"))
        if not found:
            raise ValueError(f"{images} holds no split such as {split}; check the folder in the address")
        raise ValueError(f"in {images} " + unknown_name("split", split, found))
    return images / split
