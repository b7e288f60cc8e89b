"""Data sets in the manner of torchvision as sources of images, torchvision's own by name; with their labels."""

import inspect
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from pretext.images.image_file import BrokenImageError, to_rgb
from pretext.images.image_source import ImageSource
from pretext.images.labels import Labels
from pretext.spelling import did_you_mean

_SPLIT_NAMES = {"train": ("train", "trainval", "train-standard"), "validation": ("val", "valid", "test")}


class DatasetSource(ImageSource):
    """Any data set whose items are pictures, or begin with one: a PIL image, or a tensor (3, height, width).

    Args:
        name: what the images are called, with their number.

    Raises ValueError for a data set whose items are not images.
    """

    def __init__(self, dataset: Any, name: str) -> None:
        self._dataset, self._name = dataset, name
        if not isinstance(_first(dataset[0]), Image.Image | Tensor):
            raise ValueError(f"{name} does not hold images; choose an image data set")

    def __len__(self) -> int:
        return len(self._dataset)

    def name(self, index: int) -> str:
        """The data set's name and the index, such as `CIFAR10:00042`."""
        return f"{self._name}:{index:05}"

    def open(self, index: int, short_side: int | None = None) -> Image.Image:
        """The picture in RGB, in full size whatever `short_side` is. Raises BrokenImageError."""
        return self.open_item(index)[0]

    def open_item(self, index: int) -> tuple[Image.Image, Any]:
        """The picture in RGB, and what follows it in the item: a class, boxes, a mask. Raises BrokenImageError."""
        try:
            item = self._dataset[index]
            picture = _first(item)
            if isinstance(picture, Tensor):
                picture = _picture_of(picture)
            target = item[1] if isinstance(item, tuple) and len(item) > 1 else None
            return to_rgb(picture, self.name(index)), target
        except Exception as error:  # data sets decode, unpickle and seek in ways of their own
            raise BrokenImageError(f"{type(error).__name__}: {error}") from error

    def labels(self) -> Labels:
        """The class of every image, numbered and named as the data set does it; without names by its number.

        Raises ValueError for a data set whose images have no class, or more than a class.
        """
        indices = self._class_indices()
        names = [
            ", ".join([name] if isinstance(name, str) else name)
            for name in getattr(self._dataset, "classes", ())
        ]
        class_names = {}
        for index in sorted(set(indices)):
            name = names[index] if index < len(names) else str(index)
            # ImageNet has two classes called crane.
            class_names[index] = name if names.count(name) <= 1 else f"{name} ({index})"
        return Labels(tuple(indices), class_names, given=True)

    def _class_indices(self) -> list[int]:
        if getattr(self._dataset, "target_transform", None) is None:
            for attribute in ("targets", "labels", "_labels"):
                indices = _as_indices(getattr(self._dataset, attribute, None))
                if indices is not None:
                    return indices
        indices = _as_indices([self._read_class(index) for index in range(len(self))])
        if indices is None:
            raise ValueError(
                f"{self._name} does not give each image one class (a whole number from 0); choose a "
                "classification data set, or give a CSV file of image,class"
            )
        return indices

    def _read_class(self, index: int) -> Any:
        try:
            return self._dataset[index][1]
        except Exception as error:  # as in `open`
            raise ValueError(
                f"the class of {self.name(index)} cannot be read ({type(error).__name__}: {error}); repair the "
                "image, or leave it out"
            ) from error


class TorchvisionSource(DatasetSource):
    """A data set of `torchvision.datasets`, such as CIFAR10, Flowers102, ImageNet or ImageFolder.

    `split` chooses the part by whatever argument the data set has for it: `train=True`, or the first of the
    usual names of `split=` that it knows (train, trainval; val, valid, test). `part` names it instead, as the
    data set calls it (`unlabeled` of STL10, `extra` of SVHN). A data set of one part is taken whole.

    Raises ValueError for an unknown name or part, a data set that is not under `root` and not downloaded, and
    one whose items are not images.
    """

    def __init__(
        self,
        name: str,
        *,
        root: Path,
        split: Literal["train", "validation"],
        part: str | None = None,
        download: bool = False,
    ) -> None:
        dataset, self._arguments = _dataset(name, root=root, split=split, part=part, download=download)
        super().__init__(dataset, name)

    def stamp(self, index: int) -> str:
        """Where the data set lies and which of its parts this is."""
        return str(self._arguments)


def _picture_of(tensor: Tensor) -> Image.Image:
    """Raises ValueError for values outside the range of colours, such as those of a data set that normalises."""
    low, high = (0, 255) if tensor.dtype == torch.uint8 else (0, 1)
    if tensor.min() < low or tensor.max() > high:
        raise ValueError(
            f"a picture has values of {tensor.min():g} to {tensor.max():g}, expected RGB in [0, 1]; leave the "
            "normalisation to the backbone"
        )
    from torchvision.transforms.functional import to_pil_image

    return to_pil_image(tensor)


def _as_indices(values: Any) -> list[int] | None:
    try:
        array = np.asarray(values)
    except ValueError:  # annotations of different lengths
        return None
    return array.tolist() if array.ndim == 1 and array.dtype.kind in "iu" and array.min() >= 0 else None


def _first(item: Any) -> Any:
    return item[0] if isinstance(item, tuple) else item


def _dataset(
    name: str, *, root: Path, split: str, part: str | None, download: bool
) -> tuple[Any, dict[str, Any]]:
    """The data set, and the arguments that say where it lies and which part it is."""
    from torchvision import datasets

    if name not in datasets.__all__:
        suggestion = did_you_mean(name, datasets.__all__)
        raise ValueError(
            f"torchvision has no data set {name!r}{suggestion}; names are those of torchvision.datasets"
        )
    constructor = getattr(datasets, name)
    parameters = inspect.signature(constructor).parameters
    common: dict[str, Any] = {"root": root} if "root" in parameters else {}
    if download and "download" in parameters:
        common["download"] = True
    choices = _choices_of_part(name, set(parameters), split, part)
    for choice in choices:
        try:
            return constructor(**common, **choice), {"root": str(root)} | choice
        except Exception as error:  # each data set has its own exceptions for missing files and bad arguments
            # torchvision's wording for a split that this data set does not have: try the next usual name.
            if "Unknown value" in str(error) and choice is not choices[-1]:
                continue
            way_out = "" if download else " (download: true fetches it, where torchvision can)"
            raise ValueError(f"torchvision:{name} cannot be opened in {root}{way_out}: {error}") from error
    raise AssertionError("choices of a part are never empty")


def _choices_of_part(name: str, parameters: set[str], split: str, part: str | None) -> list[dict[str, Any]]:
    """The arguments to try, in order, that choose the part of the data set."""
    for argument in ("split", "image_set"):
        if argument in parameters:
            return [{argument: part}] if part else [{argument: known} for known in _SPLIT_NAMES[split]]
    if "train" in parameters:
        if part not in (None, "train", "test"):
            raise ValueError(f"torchvision:{name} has the parts train and test, not {part}")
        return [{"train": part == "train" if part else split == "train"}]
    if part:
        raise ValueError(f"torchvision:{name} has no parts; write torchvision:{name} without :{part}")
    return [{}]
