"""Images and the class of each pixel, for training and for testing, checked before anything is trained on them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pretext.images.image_file import BrokenImageError
from pretext.images.masks import MASK_MODES, VOID, read_mask
from pretext.images.torchvision_images import DatasetSource
from transfer.data.checking import Purpose, Split, open_data_set, open_listed, open_splits, read_all
from transfer.segmentation.config import SegmentationDataConfig
from transfer.segmentation.layouts import BACKGROUND, Listing, list_split

LabelledPicture = tuple[Image.Image, UInt8[np.ndarray, "height width"]]
"""A picture in RGB, and the indices of its pixels' classes, VOID where they have none."""


@dataclass(frozen=True, kw_only=True)
class SegmentedImage:
    """An image and the class of each of its pixels.

    Attributes:
        name: its file, or whatever else identifies it.
        read: opens it.
        pixels: how many of them each class has.
    """

    name: str
    read: Callable[[], LabelledPicture]
    pixels: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class SegmentationImages(Split[SegmentedImage]):
    """One split of a data set; see `list_split`."""

    @property
    def num_background_only(self) -> int:
        """Images without any object; 0 in a data set without a background."""
        if self.classes[0] != BACKGROUND:
            return 0
        return sum(not any(image.pixels[1:]) for image in self.images)

    def pixels_by_class(self) -> dict[str, int]:
        """How many pixels of all masks have each class."""
        pixels = np.sum([image.pixels for image in self.images], axis=0)
        return dict(zip(self.classes, pixels.tolist(), strict=True))

    def images_by_class(self) -> dict[str, int]:
        """Class -> how many images show it."""
        shown = np.array([image.pixels for image in self.images]) > 0
        return dict(zip(self.classes, shown.sum(0).tolist(), strict=True))

    @property
    def shown_classes(self) -> tuple[str, ...]:
        """The classes that some mask shows, over which the mean is taken."""
        return tuple(name for name, count in self.pixels_by_class().items() if count)

    def notes(self) -> list[str]:
        """What is not used as it stands there, a line for each kind, and a background that no mask shows."""
        lines = super().notes()
        if BACKGROUND in self.classes and BACKGROUND not in self.shown_classes:
            lines.append(
                f"{self.address}: no mask shows the {BACKGROUND} (0): a mean over classes is of the "
                f"{len(self.shown_classes)} that are shown"
            )
        return lines

    def summary(self) -> str:
        """The images and the classes that they show, in one line."""
        pixels = self.pixels_by_class()
        labelled = max(1, sum(pixels.values()))
        by_class = ", ".join(
            f"{name} {pixels[name] / labelled:.1%} in {count}"
            for name, count in self.images_by_class().items()
        )
        line = f"{self.address}: {len(self.images)} images, with classes (share of pixels, images) {by_class}"
        if self.num_background_only:
            line += f"; {self.num_background_only} are only background"
        return line


@runtime_checkable
class SegmentationDataset(Protocol):
    """A data set in the manner of torchvision's: items of a picture and its mask.

    The picture is a PIL image or an RGB tensor in [0, 1], the mask a PIL image or an integer tensor (height, width) of
    classes from 0 on, with 255 where no class counts. An item is the same whenever it is read: augmentation is the
    protocol's. Where the data set has `classes`, these are the names of 0, 1, ...; if the first is `background`, it
    stands for what is no object.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


AnySegmentation = str | list[str] | SegmentationDataset
"""Images with a class for each pixel, as a function takes them: strings are addresses; see `SegmentationDataConfig`."""


def open_segmentation(
    train: AnySegmentation, test: AnySegmentation, class_names: Sequence[str] | None = None
) -> tuple[list[SegmentationImages], SegmentationImages]:
    """The training splits and the test split, every image and every mask of them read and checked.

    Args:
        class_names: None takes those of the data; see `SegmentationDataConfig.classes` and `SegmentationDataset`.

    Raises:
        ValueError: not a valid address, a file that is missing or cannot be read, a mask that does not fit its image or
            has a label without a class, a training image without a labelled pixel, a split of background alone, splits
            of different classes, or a class other than the background that the test images do not show. It names the
            first such place, and how many more there are.
    """
    splits, tested = open_splits(train, test, partial(_open, class_names))
    for images_of in (splits, [tested]):
        if all(set(split.shown_classes) <= {BACKGROUND} for split in images_of):
            first = images_of[0]
            raise ValueError(
                f"{first.address}: the masks, such as that of {first.images[0].name}, show none of "
                f"{', '.join(first.classes[1:])}, nothing but 0, the background, or {VOID}, which is void and no "
                f"class; write the classes as 1 to {len(first.classes) - 1}"
            )
    absent = [name for name in tested.classes if name not in tested.shown_classes and name != BACKGROUND]
    if absent:
        raise ValueError(
            f"{tested.address} has no pixel of {', '.join(absent)}, so a mean over classes means nothing; test on a "
            f"split that shows every class, or give data.classes ({VOID} in a mask is void and no class)"
        )
    return splits, tested


def overlap(train: Iterable[SegmentationImages], test: SegmentationImages) -> int:
    """How many test images are trained on."""
    trained = {image.name for images in train for image in images.images}
    return sum(image.name in trained for image in test.images)


def data_name(config: SegmentationDataConfig) -> str:
    """What the results table calls the data: as given, or VOC2012 val, cityscapes val, ..."""
    if config.name or ":" not in config.test:
        return config.name or config.test
    _, folder, split, *_ = config.test.split(":")
    return f"{Path(folder).expanduser().absolute().name} {split}"


def _open(class_names: Sequence[str] | None, split: Any, purpose: Purpose) -> SegmentationImages:
    if isinstance(split, str):
        listing = list_split(split, class_names)
        images = read_all(partial(_open_files, listing, purpose), listing.files)
        return SegmentationImages(
            address=split, classes=listing.classes, images=images, remarks=listing.remarks
        )
    address, names, source = open_data_set(split, class_names, purpose, first_label=0)
    items = []
    for index in range(len(source)):
        image = f"image {index} of the {address}"
        read = partial(_read_item, source, index, image)
        pixels = _pixels(read, image, f"the mask of {image}", len(names), 0, purpose)
        items.append(SegmentedImage(name=image, read=read, pixels=pixels))
    return SegmentationImages(address=address, classes=names, images=tuple(items))


def _open_files(listing: Listing, purpose: Purpose, files: tuple[Path, Path]) -> SegmentedImage:
    path, mask = files
    read = partial(_read_files, path, mask, listing.first_label)
    pixels = _pixels(read, path.name, str(mask), len(listing.classes), listing.first_label, purpose)
    return SegmentedImage(name=str(path.resolve()), read=read, pixels=pixels)


def _read_files(path: Path, mask: Path, first_label: int) -> LabelledPicture:
    picture, labels = open_listed(path), read_mask(mask)
    is_void = (labels < first_label) | (labels == VOID)
    return picture, np.where(is_void, VOID, labels - np.uint8(first_label)).astype(np.uint8)


def _read_item(source: DatasetSource, index: int, name: str) -> LabelledPicture:
    try:
        picture, mask = source.open_item(index)
    except BrokenImageError as error:
        raise ValueError(f"{name} cannot be read as an image ({error})") from error
    if isinstance(mask, Image.Image) and mask.mode not in MASK_MODES:
        raise ValueError(
            f"the mask of {name} has the mode {mask.mode}, expected one of {', '.join(MASK_MODES)}"
        )
    labels = np.asarray(mask)
    if labels.ndim == 3 and len(labels) == 1:
        labels = labels[0]
    is_label = labels.ndim == 2 and labels.dtype.kind in "biu" and labels.min() >= 0 and labels.max() <= VOID
    if not is_label:
        raise ValueError(
            f"{name} has no mask of whole numbers from 0 to {VOID}, one for each pixel, but a {type(mask).__name__} of "
            f"shape {labels.shape} and type {labels.dtype}"
        )
    return picture, labels.astype(np.uint8)


def _pixels(
    read: Callable[[], LabelledPicture],
    image: str,
    mask: str,
    num_classes: int,
    first_label: int,
    purpose: Purpose,
) -> tuple[int, ...]:
    """How many pixels each class has in an image, which is read and checked.

    Args:
        image, mask: what they are called in messages.
        first_label: of the first class in the user's mask, whose labels messages name.
    """
    picture, labels = read()
    height, width = labels.shape
    if (width, height) != picture.size:
        raise ValueError(
            f"{mask} has {width} x {height} px, but {image} has {picture.width} x {picture.height}"
        )
    counts = np.bincount(labels.ravel(), minlength=VOID + 1)
    unknown = np.flatnonzero(counts[num_classes:VOID]) + num_classes + first_label
    if len(unknown):
        raise ValueError(
            f"{mask} has the label {unknown[0]}, but {num_classes} classes have the labels {first_label} to "
            f"{first_label + num_classes - 1} ({VOID} is void); correct it, or name all classes in data.classes or "
            "classes.txt"
        )
    pixels = tuple(counts[:num_classes].tolist())
    if purpose == "training" and not any(pixels):
        raise ValueError(
            f"{mask} labels no pixel, all are void ({VOID}); leave the image out of the training split"
        )
    return pixels
