"""Where the members of a shard lie in its tar: found once, then kept in the cache folder."""

import contextlib
import hashlib
import os
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Int64

from pretext.images.image_file import image_extensions

_FORMAT = 2  # an index that was cached in another one is made again


class ShardIndex(NamedTuple):
    """Where a tar's images and their classes lie, one entry for each sample with an image, in the tar's order.

    A place is an offset and a size; a sample without .cls has its class at offset 0, which no member's data has.
    """

    keys: list[str]
    images: Int64[np.ndarray, "samples 2"]
    classes: Int64[np.ndarray, "samples 2"]


def cached_index(tar: Path, folder: Path) -> ShardIndex:
    """The index of a tar, read from the cache if it was made of the file as it is now."""
    status = tar.stat()
    stamp = np.array([status.st_size, status.st_mtime_ns, _FORMAT])
    path = folder / f"{digest(str(tar))}.npz"
    if path.exists():
        with np.load(path) as stored:
            if np.array_equal(stored["stamp"], stamp):
                keys = stored["keys"].tobytes().decode(errors="surrogateescape").split("\0")
                return ShardIndex(keys if len(stored["images"]) else [], stored["images"], stored["classes"])
    index = _index(tar)
    joined = np.frombuffer("\0".join(index.keys).encode(errors="surrogateescape"), np.uint8)
    with atomic_write(path) as file:
        np.savez(file, stamp=stamp, keys=joined, images=index.images, classes=index.classes)
    return index


def _index(tar: Path) -> ShardIndex:
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
    return ShardIndex(
        list(images),
        np.array(list(images.values()), np.int64).reshape(-1, 2),
        np.array([classes.get(key, (0, 0)) for key in images], np.int64).reshape(-1, 2),
    )


def read_member(tar: BinaryIO, place: Int64[np.ndarray, "2"]) -> bytes:
    """The content of the member at (offset, size)."""
    offset, size = place
    tar.seek(offset)
    return tar.read(size)


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Write a file that appears whole or not at all; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink()
        raise


def digest(text: str) -> str:
    """Sixteen hexadecimal digits for a file name."""
    return hashlib.sha256(os.fsencode(text)).hexdigest()[:16]
