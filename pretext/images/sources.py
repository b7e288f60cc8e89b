"""Where images come from: one protocol, and one line of text for each kind of source."""

import hashlib
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from pretext.images.folder import FolderSource
from pretext.images.sample import sample_source
from pretext.images.shards import ShardSource, is_url
from pretext.images.torchvision_images import TorchvisionSource


@runtime_checkable
class ImageSource(Protocol):
    """A fixed sequence of named images that can be opened in any order, in any process."""

    def __len__(self) -> int: ...

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """The sizes of the runs of indices that lie together (shards) and are best read together."""
        ...

    def name(self, index: int) -> str:
        """What the user knows the image by: a path below the folder, or `shard:key`."""
        ...

    def open(self, index: int, short_side: int | None = None) -> Image.Image:
        """The picture in RGB. `short_side` is a permission to decode it smaller, but not smaller than that.

        Raises BrokenImageError, whose message is the reason.
        """
        ...

    def stamp(self, index: int) -> str:
        """A word that is another one when the image of this name is another one."""
        ...


def open_source(
    address: str,
    *,
    split: Literal["train", "validation"],
    download: bool = False,
    torchvision_root: Path = Path("data"),
) -> ImageSource:
    """The images that an address stands for:

    - `sample`: the photographs inside scikit-image and scikit-learn (a folder of that name is `./sample`), and
      `sample:held-out`, two of them that are in neither split, and `sample:unseen`, these and the validation's;
    - `torchvision:NAME` or `torchvision:NAME:PART`: a data set of torchvision under `torchvision_root`, or in
      a sub-folder as the data set does it, downloaded on `download`;
    - WebDataset shards, if it has a URL scheme or `.tar` in it: `train-{000..146}.tar`, `shards/*.tar`,
      `https://host/train-{000..146}.tar`, `pipe:COMMAND`;
    - else a folder, flat or nested.

    `split` chooses the part of `sample` and of torchvision's data sets; folders and shards are taken whole.
    Raises ValueError if there is no such source or it is empty.
    """
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
    if is_url(address) or ".tar" in address:
        return ShardSource(address)
    return FolderSource(Path(address).expanduser())


def names_hash(source: ImageSource) -> str:
    """Identifies the images by their number and up to 1,000 of their names, evenly spread: quick for any number."""
    places = np.linspace(0, len(source) - 1, min(len(source), 1000)).round().astype(int)
    names = [source.name(int(place)) for place in places]
    return hashlib.sha256(repr((len(source), names)).encode()).hexdigest()


class SubsetSource:
    """Some images of a source, in ascending order of their indices there."""

    def __init__(self, source: ImageSource, indices: np.ndarray) -> None:
        self._source = source
        self._indices = np.sort(indices)
        starts = np.cumsum([0, *source.group_sizes])
        counts = np.diff(np.searchsorted(self._indices, starts))
        self._group_sizes = tuple(int(count) for count in counts)

    def __len__(self) -> int:
        return len(self._indices)

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """What is left of each group."""
        return self._group_sizes

    def name(self, index: int) -> str:
        """The name in the whole source."""
        return self._source.name(int(self._indices[index]))

    def open(self, index: int, short_side: int | None = None) -> Image.Image:
        """As the whole source opens it."""
        return self._source.open(int(self._indices[index]), short_side)

    def stamp(self, index: int) -> str:
        """As in the whole source."""
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
