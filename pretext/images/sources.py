"""Where images come from: a line of text for each kind of source, and the objects that a caller may give instead."""

import hashlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from PIL import Image

from pretext.config import DataConfig
from pretext.images.folder import FolderSource
from pretext.images.image_source import ImageSource
from pretext.images.memory_cache import CachedImages, memory_share
from pretext.images.sample import sample_source
from pretext.images.shards import ShardSource, is_url
from pretext.images.torchvision_images import DatasetSource, TorchvisionSource
from pretext.outside import import_outside, is_outside


def open_source(
    images: Any,
    *,
    split: Literal["train", "validation"],
    download: bool = False,
    torchvision_root: Path = Path("data"),
) -> ImageSource:
    """The images that a user means by an object or an address.

    An object is an `ImageSource`, or a data set as torchvision makes them, whose items are pictures or tuples that
    begin with one. An address is

    - `sample`: the photographs inside scikit-image and scikit-learn (a folder of that name is `./sample`);
      `sample:held-out`: two of them that are in neither split; `sample:unseen`: these and the validation's;
    - `torchvision:NAME` or `torchvision:NAME:PART`: a data set of torchvision under `torchvision_root`, or in
      a sub-folder as the data set does it, downloaded on `download`;
    - WebDataset shards, if it has a URL scheme or `.tar` in it: `train-{000..146}.tar`, `shards/*.tar`,
      `https://host/train-{000..146}.tar`, `pipe:COMMAND`;
    - `module:Name` or `module:Name:ARGUMENT`: an `ImageSource` of your own, constructed with the text ARGUMENT;
    - else a folder, flat or nested.

    `split` chooses the part of `sample` and of torchvision's data sets; all others are taken whole.
    Raises ValueError if there is no such source or it is empty.
    """
    if isinstance(images, (str, Path)):
        address = str(images)
    elif isinstance(images, ImageSource):
        if not len(images):
            raise ValueError(f"{type(images).__name__} holds no images")
        return images
    elif hasattr(images, "__len__") and hasattr(images, "__getitem__"):
        return DatasetSource(images, type(images).__name__)
    else:
        raise ValueError(
            f"{type(images).__name__} is not a source of images; derive it from pretext.ImageSource, which asks for "
            "__len__ and open"
        )
    if address == "sample":
        return sample_source(split)
    if address == "sample:held-out":
        return sample_source("held-out")
    if address == "sample:unseen":
        return sample_source("unseen")
    if address.startswith("torchvision:"):
        name, _, part = address.removeprefix("torchvision:").partition(":")
        return TorchvisionSource(
            name, root=torchvision_root, split=split, part=part or None, download=download
        )
    module, _, rest = address.partition(":")
    name, _, argument = rest.partition(":")
    if is_outside(f"{module}:{name}") and not Path(address).exists():
        source = import_outside(f"{module}:{name}", "data source")
        return open_source(source(argument) if argument else source(), split=split)
    if is_url(address) or ".tar" in address:
        return ShardSource(address)
    return FolderSource(Path(address).expanduser())


def name_of_source(images: Any) -> str:
    """What a configuration calls the images: their address, or the class of an object that was given instead."""
    if isinstance(images, (str, Path)):
        return str(images)
    return f"{type(images).__module__}:{type(images).__qualname__}"


class ImageSources(NamedTuple):
    """The images of a training: to learn from, to validate on, and the sources whose first ones a gallery shows.

    Attributes:
        cache: which holds those of `train` in memory, where it is wanted.
    """

    train: ImageSource
    validation: ImageSource
    gallery: list[ImageSource]
    cache: CachedImages | None

    def annotated(self, annotate: Callable[[ImageSource], ImageSource]) -> "ImageSources":
        """These sources, with what `annotate` adds to their images."""
        gallery = [annotate(source) for source in self.gallery]
        return ImageSources(annotate(self.train), annotate(self.validation), gallery, self.cache)

    @property
    def remarks(self) -> list[str]:
        """What the user should know of them."""
        return [remark for remark in dict.fromkeys(s.remark for s in (self.train, *self.gallery)) if remark]

    @property
    def cached(self) -> str:
        """What is held in memory of the training images, so far; empty where nothing is cached."""
        return self.cache.summary if self.cache else ""


def open_images(images: Any, validation: Any, gallery: Any, config: DataConfig, seed: int) -> ImageSources:
    """The images of a training.

    Args:
        images: what `open_source` takes.
        validation: the same for validation, of which those used are evenly spread; None holds out a tenth of the
            training images at most.
        gallery: the same for more images to show, or None.
        config: the number of validation images, whether decoded ones are cached, and where torchvision's data sets are.
        seed: of the choice which images are held out.
    """
    open_from = partial(open_source, download=config.download, torchvision_root=Path(config.torchvision_root))
    train = open_from(images, split="train")
    held_out: ImageSource
    if validation is None:
        num_held_out = max(1, min(config.validation_images, len(train) // 10))
        train, held_out = split_source(train, num_validation=num_held_out, seed=seed)
    else:
        held_out = open_from(validation, split="validation")
        if len(held_out) > config.validation_images:
            spread = np.linspace(0, len(held_out) - 1, config.validation_images).round().astype(int)
            held_out = SubsetSource(held_out, spread)
    cache = CachedImages(train, config.image_size, memory_share()) if config.cache else None
    more = [] if gallery is None else [open_from(gallery, split="validation")]
    return ImageSources(cache or train, held_out, [held_out, *more], cache)


def names_hash(source: ImageSource) -> str:
    """Identifies the images by their number and up to 1,000 of their names, evenly spread: quick for any number."""
    places = np.linspace(0, len(source) - 1, min(len(source), 1000)).round().astype(int)
    names = [source.name(int(place)) for place in places]
    return hashlib.sha256(repr((len(source), names)).encode()).hexdigest()


class SubsetSource(ImageSource):
    """Some images of a source, in ascending order of their indices there."""

    def __init__(self, source: ImageSource, indices: np.ndarray) -> None:
        self._source = source
        self._indices = np.sort(indices)
        self.remark = source.remark

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """What is left of each group."""
        starts = np.cumsum([0, *self._source.group_sizes])
        return tuple(np.diff(np.searchsorted(self._indices, starts)).tolist())

    def name(self, index: int) -> str:
        """The name in the whole source."""
        return self._source.name(int(self._indices[index]))

    def open(self, index: int, short_side: int | None = None) -> Image.Image:
        """The image as the whole source opens it."""
        return self._source.open(int(self._indices[index]), short_side)

    def stamp(self, index: int) -> str:
        """The stamp that the image has in the whole source."""
        return self._source.stamp(int(self._indices[index]))


def split_source(source: ImageSource, *, num_validation: int, seed: int) -> tuple[SubsetSource, SubsetSource]:
    """A source cut into (training, validation) images, for users who have one folder only.

    Held out are the `num_validation` images whose names have the lowest hash: a photograph added later can
    take a place in validation, but none that was held out comes back into training except by that.
    Raises ValueError if that would leave nothing to train on.
    """
    if not 0 < num_validation < len(source):
        raise ValueError(
            f"{num_validation} images cannot be held out for validation of {len(source)}; "
            "hold out at least one, leave at least one, or give validation data of their own"
        )
    hashes = np.array([_hash(source.name(index), seed) for index in range(len(source))], np.uint64)
    by_hash = np.argsort(hashes, kind="stable")
    return SubsetSource(source, by_hash[num_validation:]), SubsetSource(source, by_hash[:num_validation])


def _hash(name: str, seed: int) -> int:
    key = seed.to_bytes(8, "little")
    digest = hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8, key=key).digest()
    return int.from_bytes(digest, "little")
