"""Labelled images: where they come from, the classes that training and test images share, and shares of them."""

import hashlib
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int8, Int64, Shaped
from torch import Tensor

from pretext.images.folder import FolderSource
from pretext.images.image_file import BrokenImageError
from pretext.images.image_source import ImageSource
from pretext.images.labels import Labels, labels_from_csv, labels_from_folders, labels_from_texts
from pretext.images.loader import RandomCut
from pretext.images.sample import SampleSource
from pretext.images.shards import ShardSource, is_url
from pretext.images.sources import SubsetSource, open_source
from pretext.images.torchvision_images import DatasetSource, TorchvisionSource
from pretext.spelling import first_few
from transfer.config import DataConfig
from transfer.data.voc import open_voc
from transfer.features.folder import ADDRESS, FeatureSource, read_index
from transfer.rescaling import crops_to_rescale_on

_VOC = "voc:"
_SPLITS = ("train", "training", "val", "valid", "validation", "test")


@dataclass(frozen=True, kw_only=True, eq=False)
class LabelledImages:
    """Images, and the class of each or whether it shows each class.

    Attributes:
        source: the images.
        classes: their names; an index there is a label.
        labels: the class of each image; or, where an image may show several, 1 (it does), -1 (it does not) or 0 (not
            to be counted: VOC's "difficult") for each class.
        name: of the data set, in the results table.
    """

    source: ImageSource
    classes: tuple[str, ...]
    labels: Int64[np.ndarray, " images"] | Int8[np.ndarray, "images classes"]
    name: str

    @property
    def features(self) -> FeatureSource | None:
        """Features in place of pictures, where the images are a folder of these."""
        return self.source if isinstance(self.source, FeatureSource) else None

    @property
    def multi_label(self) -> bool:
        """Whether an image may show several classes."""
        return self.labels.ndim == 2

    def labels_at(self, indices: Int64[np.ndarray, " batch"]) -> Shaped[Tensor, "batch *classes"]:
        """The labels of these images."""
        return torch.from_numpy(self.labels[indices])

    def fingerprint(self) -> str:
        """SHA-256 in hex of the classes and the images' names, labels and stamps or pictures: what caches go by."""
        digest = hashlib.sha256(repr((self.classes, self.labels.shape)).encode(errors="surrogateescape"))
        digest.update(self.labels.tobytes())
        for index in range(len(self.source)):
            line = f"{self.source.name(index)}\0{self.source.stamp(index) or _content(self.source, index)}\n"
            digest.update(line.encode(errors="surrogateescape"))
        return digest.hexdigest()

    def random_crops(self, cut: RandomCut, seed: int) -> Float[Tensor, "batch 3 size size"]:
        """What `open_backbone` draws; see `crops_to_rescale_on`."""
        return crops_to_rescale_on(self.source.group_sizes, self.source.open, cut, seed)

    def subset(self, indices: Int64[np.ndarray, " chosen"]) -> "LabelledImages":
        """The images of these indices, in ascending order; all classes remain."""
        return replace(self, source=SubsetSource(self.source, indices), labels=self.labels[np.sort(indices)])


@runtime_checkable
class LabelledDataset(Protocol):
    """A data set in the manner of torchvision: items of a PIL image, or an RGB tensor in [0, 1], and a class index.

    Where it has `classes`, these are their names.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


AnyImages = str | LabelledImages | LabelledDataset
"""Images with their classes, as a function takes them: a string is an address as `DataConfig.train`."""


def open_labelled(config: DataConfig) -> tuple[LabelledImages, LabelledImages]:
    """The training and the test images of a configuration, with the same classes in the same order.

    The class of an image is its first folder (numbered as torchvision's ImageFolder does it), its line in the CSV
    file, its .cls member in a shard, torchvision's label, or its photograph's name in `sample`; `voc:FOLDER:SPLIT`
    gives several.

    Raises ValueError where images cannot be found or have no class, and for a class that only training or only the test
    images show.
    """
    name = config.name or default_name(config.test)
    train = _open(config, config.train, config.train_labels, "train", name)
    test = _open(config, config.test, config.test_labels, "validation", name)
    return _with_same_classes(train, test, config.train, config.test)


def label_images(
    train: AnyImages, test: AnyImages, config: DataConfig | None = None
) -> tuple[LabelledImages, LabelledImages]:
    """The training and the test images that a function was given, with the same classes in the same order.

    Args:
        test: of the same kind as `train`.
        config: how addresses are opened; of data sets its `name` counts.

    Raises ValueError as `open_labelled` does.
    """
    if isinstance(train, str) and isinstance(test, str):
        return open_labelled(config or DataConfig(train=train, test=test))
    if isinstance(train, LabelledImages) and isinstance(test, LabelledImages):
        return _with_same_classes(train, test)
    if isinstance(train, str | LabelledImages) or isinstance(test, str | LabelledImages):
        raise ValueError("train and test should both be addresses, or both data sets; give both as data sets")
    name = (config and config.name) or type(test).__name__
    sources = (DatasetSource(images, type(images).__name__) for images in (train, test))
    first, second = (_labelled(source, source.labels(), name) for source in sources)
    return _with_same_classes(first, second)


def open_any(config: DataConfig, split: Literal["train", "validation"]) -> LabelledImages:
    """The training images of a configuration, which may also have no classes: a flat folder's have none."""
    name = config.name or default_name(config.train)
    opened = _open_own_labels(config.train, config.train_labels, name)
    if opened is not None:
        return opened
    source = _open_source(config, config.train, split)
    names = [source.name(index) for index in range(len(source))]
    if (
        config.train_labels is None
        and isinstance(source, FolderSource)
        and not all("/" in of for of in names)
    ):
        return LabelledImages(source=source, classes=(), labels=np.zeros(len(source), np.int64), name=name)
    return _label(source, names, config.train_labels, name)


def label_more_images(
    images: AnyImages, train: LabelledImages, config: DataConfig, csv: str | None = None
) -> LabelledImages:
    """Images for a third purpose, with the classes of `train`; opened and named as test images are.

    Args:
        config: how an address is opened.
        csv: a CSV file of image,class for an address.

    Raises ValueError as `open_labelled` does.
    """
    if isinstance(images, LabelledImages):
        opened = images
    elif isinstance(images, str):
        opened = _open(config, images, csv, "validation", default_name(images))
    else:
        name = type(images).__name__
        source = DatasetSource(images, name)
        opened = _labelled(source, source.labels(), name)
    return _with_same_classes(train, opened, "train", opened.name)[1]


def _with_same_classes(
    train: LabelledImages, test: LabelledImages, here: str = "train", there: str = "test"
) -> tuple[LabelledImages, LabelledImages]:
    """Both, with classes in the order of training; `here` and `there` are what messages call them."""
    if train.multi_label != test.multi_label:
        raise ValueError(
            f"{here} and {there}: voc: gives an image several classes and other data one; train and test on the same "
            "kind"
        )
    sides = ((here, train.classes), (there, test.classes))
    for (one, classes), (other, others) in (sides, sides[::-1]):
        if only := sorted(set(classes) - set(others)):
            raise ValueError(
                f"all images must have the same classes, but only {one} and not {other} has images of "
                f"{first_few(only)}"
            )
    if test.classes == train.classes:
        return train, test
    if test.multi_label:
        labels = test.labels[:, [test.classes.index(name) for name in train.classes]]
    else:
        labels = np.array([train.classes.index(name) for name in test.classes])[test.labels]
    return train, replace(test, classes=train.classes, labels=labels)


def require_pictures(*sets: LabelledImages) -> None:
    """Raises ValueError where one of the sets is a folder of features."""
    for images in sets:
        if images.features:
            raise ValueError(
                f"{images.features.folder} holds features and no pictures, which only knn and svm take; give images"
            )


def default_name(address: str) -> str:
    """What the results table calls the data at an address: VOC2007 test, imagenet val, CIFAR10, ..."""
    if address.startswith(_VOC):
        folder, split = _voc_parts(address)
        return f"{folder.absolute().name} {split}"
    if address.startswith("torchvision:"):
        return address.removeprefix("torchvision:").replace(":", " ")
    address = address.removeprefix(ADDRESS)
    if address == "sample" or is_url(address) or ".tar" in address:
        parts = address.split("/")
        parts[-1] = re.sub(r"[-_.]?(\{.*\}|\*+)?\.tar$", "", parts[-1])
    else:
        parts = list(Path(address).expanduser().absolute().parts)
    return " ".join(parts[-2:]).strip() if parts[-1] in ("", *_SPLITS) else parts[-1]


def take_label_share(images: LabelledImages, share: float, seed: int) -> LabelledImages:
    """The share of each class's images that `seed` draws, at least one of each class.

    What a smaller share takes is part of what a larger one takes. Multi-label images are drawn from all together,
    since an image counts for several classes.

    Args:
        share: in (0, 1]; the number of images is rounded.

    Raises:
        ValueError: `share` is outside its range, or leaves a class of multi-label images without a positive.
    """
    if not 0 < share <= 1:
        raise ValueError(f"label_share is {share:g}, expected more than 0 and at most 1 (0.01 for 1 %)")
    if share == 1:
        return images
    chosen = images.subset(draw_share(images, share, seed))
    lost = (images_by_class(images) > 0) & (images_by_class(chosen) == 0)
    if lost.any():
        names = ", ".join(np.array(images.classes)[lost])
        raise ValueError(
            f"label_share {share:g} with seed {seed} takes {len(chosen.labels)} of {len(images.labels)} images and "
            f"leaves no positive one of {names}; take a larger share, or another seed"
        )
    return chosen


def draw_share(images: LabelledImages, share: float, seed: int) -> Int64[np.ndarray, " drawn"]:
    """The indices that `take_label_share` draws."""
    if images.multi_label:
        return _draw(np.arange(len(images.labels)), share, (seed,))
    classes = [np.flatnonzero(images.labels == label) for label in range(len(images.classes))]
    return np.concatenate([_draw(members, share, (seed, label)) for label, members in enumerate(classes)])


def images_by_class(images: LabelledImages) -> Int64[np.ndarray, " classes"]:
    """How many images, or positive ones, each class has."""
    if images.multi_label:
        return (images.labels == 1).sum(0)
    return np.bincount(images.labels, minlength=len(images.classes))


def _content(source: ImageSource, index: int) -> str:
    """Identifies an image of a source that has no stamps."""
    try:
        return hashlib.sha256(source.open(index).tobytes()).hexdigest()
    except BrokenImageError as error:
        return str(error)


def _voc_parts(address: str) -> tuple[Path, str]:
    folder, _, split = address.removeprefix(_VOC).rpartition(":")
    if not folder:
        raise ValueError(f"{address} should be voc:FOLDER:SPLIT, such as voc:VOCdevkit/VOC2007:trainval")
    return Path(folder).expanduser(), split


def _open(
    config: DataConfig, address: str, csv: str | None, split: Literal["train", "validation"], name: str
) -> LabelledImages:
    opened = _open_own_labels(address, csv, name)
    if opened is not None:
        return opened
    source = _open_source(config, address, split)
    return _label(source, [source.name(index) for index in range(len(source))], csv, name)


def _open_own_labels(address: str, csv: str | None, name: str) -> LabelledImages | None:
    """The images of an address in a layout of this package's own; None for an address that `open_source` takes."""
    if address.startswith(_VOC):
        if csv is not None:
            raise ValueError(f"{address} has labels of its own; leave out the CSV file {csv}")
        voc, classes, signs = open_voc(*_voc_parts(address))
        return LabelledImages(source=voc, classes=classes, labels=signs, name=name)
    if address.startswith(ADDRESS):
        return _open_features(Path(address.removeprefix(ADDRESS)).expanduser(), csv, name)
    return None


def _open_source(config: DataConfig, address: str, split: Literal["train", "validation"]) -> ImageSource:
    return open_source(
        address, split=split, download=config.download, torchvision_root=Path(config.torchvision_root)
    )


def _label(source: ImageSource, names: list[str], csv: str | None, name: str) -> LabelledImages:
    if csv is not None:
        labels = labels_from_csv(Path(csv), names)
    elif isinstance(source, TorchvisionSource):
        labels = source.labels()
    elif isinstance(source, ShardSource):
        labels = labels_from_texts(source.class_texts())
    elif isinstance(source, SampleSource):
        labels = labels_from_texts([name.partition(" (")[0] for name in names])
    else:
        labels = labels_from_folders(names)
    return _labelled(source, labels, name)


def _open_features(folder: Path, csv: str | None, name: str) -> LabelledImages:
    names, classes, labels = read_index(folder)
    features = FeatureSource(folder, names)
    if isinstance(labels, np.ndarray):
        return LabelledImages(source=features, classes=tuple(classes), labels=labels, name=name)
    if csv is None and not all(labels):
        raise ValueError(
            f"{folder} has features of images without classes; give a CSV file of image,class, as data.train_labels or "
            "data.test_labels"
        )
    return _labelled(features, labels_from_csv(Path(csv), names) if csv else labels_from_texts(labels), name)


def _labelled(source: ImageSource, labels: Labels, name: str) -> LabelledImages:
    """The images with the classes that one of them shows, in order of their indices."""
    shown, numbers = np.unique(labels.indices, return_inverse=True)
    classes = tuple(labels.class_names[index] for index in shown.tolist())
    return LabelledImages(source=source, classes=classes, labels=numbers.astype(np.int64), name=name)


def _draw(indices: np.ndarray, share: float, seed: tuple[int, ...]) -> np.ndarray:
    """The first of a random order, so that shares of one seed lie in each other."""
    return np.random.default_rng(seed).permutation(indices)[: max(1, round(share * len(indices)))]
