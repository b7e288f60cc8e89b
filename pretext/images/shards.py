"""Images in WebDataset shards: tar files of samples, each file of a sample named by the sample's key.

Shards are read at random, not as streams, so that the data order can be a function of (seed, epoch): each tar
is walked once, and where its images lie is kept in the cache folder. A remote shard is first fetched whole,
so the cache folder must have room for the data set.
"""

import contextlib
import glob
import hashlib
import io
import os
import re
import shutil
import sys
import tarfile
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Int64
from PIL import Image
from tqdm import tqdm

from pretext.images.image_file import file_stamp, image_extensions, open_rgb
from pretext.images.image_source import ImageSource
from pretext.images.packed_names import PackedNames
from pretext.runtime.whole_file import whole_file
from pretext.spelling import first_few

_FORMAT = 3  # an index that was cached in another one is made again
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]+:")


class ShardSource(ImageSource):
    """The images of WebDataset shards; of a sample with several images, the first in its tar.

    Args:
        address: a path, a glob, a brace range such as `train-{000..146}.tar`, or a URL (`http:`, `pipe:` and whatever
            else `webdataset` opens) with or without a brace range.
        cache_folder: of indices and fetched shards, $XDG_CACHE_HOME/colorization-benchmark by default.

    Raises:
        ValueError: no shard matches, one cannot be fetched or is not a plain tar, none holds an image, or the address
            needs the package `webdataset` (braces, URLs) and it is missing.
    """

    def __init__(self, address: str, cache_folder: Path | None = None) -> None:
        cache_folder = cache_folder or default_cache_folder()
        addresses = _expanded(address)
        self._paths = [
            _fetched(shard, cache_folder / "shards") if is_url(shard) else Path(shard)
            for shard in tqdm(addresses, desc="Fetching shards", disable=None, leave=False)
        ]
        indices = [
            _cached_index(path, cache_folder / "shard-indices")
            for path in tqdm(self._paths, desc="Indexing shards", disable=None, leave=False)
        ]
        self._group_sizes = tuple(len(index.keys) for index in indices)
        self._starts = np.array([0, *accumulate(self._group_sizes)])
        if not len(self):
            raise ValueError(
                f"{address} holds no images ({len(addresses)} tar files); expected members such as KEY.jpg, "
                "KEY.png or KEY.webp"
            )
        self._images = np.concatenate([index.images for index in indices])
        self._classes = np.concatenate([index.classes for index in indices])
        self._keys = PackedNames(key for index in indices for key in index.keys)
        self._stamps = [file_stamp(path) for path in self._paths]
        self._shard_names = [shard.rsplit("/", 1)[-1] for shard in addresses]

    def __len__(self) -> int:
        return int(self._starts[-1])

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """The number of images in each shard."""
        return self._group_sizes

    def name(self, index: int) -> str:
        """`shard:key`, such as `train-003.tar:n01440764_10026`."""
        return f"{self._shard_names[self._shard_of(index)]}:{self._keys[index]}"

    def open(self, index: int, short_side: int | None = None) -> Image.Image:
        """The picture in RGB; see `open_rgb`. Raises BrokenImageError."""
        with self._paths[self._shard_of(index)].open("rb") as tar:
            member = _read_member(tar, self._images[index])
        return open_rgb(io.BytesIO(member), short_side, name=self.name(index))

    def stamp(self, index: int) -> str:
        """The shard's size and time, and the image's place in it."""
        return f"{self._stamps[self._shard_of(index)]}+{self._images[index, 0]}"

    def class_texts(self) -> list[str]:
        """What the .cls member of each sample says.

        Raises ValueError naming samples that have none, or one that is not text.
        """
        without = [self.name(int(index)) for index in np.flatnonzero(self._classes[:, 0] == 0)]
        if without:
            raise ValueError(
                f"{first_few(without)} have no .cls member beside their image; write the class of each "
                "sample into its shard, or give a CSV file of image,class"
            )
        texts: list[str] = []
        for path, size in zip(self._paths, self._group_sizes, strict=True):
            with path.open("rb") as tar:
                for place in self._classes[len(texts) : len(texts) + size]:
                    try:
                        texts.append(_read_member(tar, place).decode().strip())
                    except UnicodeDecodeError as error:
                        raise ValueError(
                            f"the .cls member of {self.name(len(texts))} is not text in UTF-8 ({error})"
                        ) from error
        return texts

    def _shard_of(self, index: int) -> int:
        return int(np.searchsorted(self._starts, index, side="right")) - 1


def is_url(address: str) -> bool:
    """Whether an address begins with a URL scheme of two letters or more (one letter is a Windows drive)."""
    return _URL.match(address) is not None


def default_cache_folder() -> Path:
    """Where indices and fetched shards are kept: the XDG cache folder of the user."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "colorization-benchmark"


class _ShardIndex(NamedTuple):
    """Where a tar's images and their classes lie, one entry for each sample with an image, in the tar's order.

    A place is an offset and a size; a sample without .cls has its class at offset 0, which no member's data has.
    """

    keys: list[str]
    images: Int64[np.ndarray, "samples 2"]
    classes: Int64[np.ndarray, "samples 2"]


def _cached_index(tar: Path, folder: Path) -> _ShardIndex:
    """The index of a tar, read from the cache if it was made of the file as it is now."""
    status = tar.stat()
    stamp = np.array([status.st_size, status.st_mtime_ns, _FORMAT])
    path = folder / f"{_digest(str(tar))}.npz"
    with _locked(path):
        if path.exists():
            with np.load(path) as stored:
                if np.array_equal(stored["stamp"], stamp):
                    return _ShardIndex(stored["keys"].tolist(), stored["images"], stored["classes"])
        index = _index(tar)
        with whole_file(path) as temporary, temporary.open("wb") as file:
            np.savez(file, stamp=stamp, **index._asdict())
    return index


def _index(tar: Path) -> _ShardIndex:
    extensions = image_extensions()
    images: dict[str, tuple[int, int]] = {}
    classes: dict[str, tuple[int, int]] = {}
    try:
        with tarfile.open(tar, "r:") as members:
            for member in members:
                folder, _, file_name = member.name.rpartition("/")
                # WebDataset's rule: the key ends at the first dot.
                stem, dot, extension = file_name.partition(".")
                if not (member.isfile() and stem):
                    continue
                key = f"{folder}/{stem}" if folder else stem
                if dot + extension.lower() in extensions:
                    images.setdefault(key, (member.offset_data, member.size))
                elif extension == "cls":
                    classes[key] = (member.offset_data, member.size)
    except tarfile.TarError as error:
        raise ValueError(
            f"{tar} is not a whole, uncompressed tar file ({error}); WebDataset shards must be plain .tar"
        ) from error
    return _ShardIndex(
        list(images),
        np.array(list(images.values()), np.int64).reshape(-1, 2),
        np.array([classes.get(key, (0, 0)) for key in images], np.int64).reshape(-1, 2),
    )


def _read_member(tar: BinaryIO, place: Int64[np.ndarray, "2"]) -> bytes:
    """The content of the member at (offset, size)."""
    offset, size = place
    tar.seek(offset)
    return tar.read(size)


def _expanded(address: str) -> list[str]:
    """The shards that an address stands for, local files as absolute paths. All local ones exist."""
    expanded = (
        _webdataset().shardlists.expand_urls(address) if "{" in address or is_url(address) else [address]
    )
    shards: list[str] = []
    for shard in expanded:
        if is_url(shard) and not shard.startswith("file:"):
            shards.append(shard)
            continue
        path = re.sub("^file:(//)?", "", shard)
        # An existing name is not a pattern, whatever brackets it holds.
        matches = [path] if Path(path).is_file() else sorted(glob.glob(path, recursive=True))  # noqa: PTH207
        if not matches:
            part_of = "" if shard == address else f" (of {address})"
            raise ValueError(
                f"no shard matches {shard}{part_of}; check the path, the glob or the brace range"
            )
        shards += [str(Path(match).resolve()) for match in matches]
    return shards


def _fetched(url: str, folder: Path) -> Path:
    """The local copy of a remote shard. It appears whole or not at all, whoever else fetches it meanwhile."""
    # pipe:curl ... URL ends in the name too, so the last path component is readable for all schemes.
    readable = re.sub(r"[^\w.-]", "_", url.rsplit("/", 1)[-1])
    path = folder / f"{_digest(url)}-{readable}"
    with _locked(path):
        if not path.exists():
            with whole_file(path) as temporary:
                try:
                    # The remote end closes first: only then is its exit status known, and the copy kept.
                    with temporary.open("wb") as local, _webdataset().gopen(url) as remote:
                        shutil.copyfileobj(remote, local, 1 << 20)
                except (OSError, ValueError) as error:
                    reason = str(error).rpartition(": ")[2].removesuffix(" (read) {}")
                    raise ValueError(
                        f"the shard {url} cannot be fetched ({reason}); check the address and the access to it"
                    ) from error
    return path


def _webdataset() -> ModuleType:
    try:
        import webdataset
    except ModuleNotFoundError as error:
        raise ValueError(
            "shards by URL or brace range need webdataset: pip install 'colorization-benchmark[shards]'"
        ) from error
    return webdataset


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Only one process at a time makes a file in the cache; the others wait and find it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if sys.platform == "win32":  # where training has one process
        yield
        return
    import fcntl

    with Path(f"{path}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _digest(text: str) -> str:
    """Sixteen hexadecimal digits for a file name."""
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]
