"""Features on disk: for each stage STAGE.npy, and STAGE.json, which says of what they are and how many are done."""

import fcntl
import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from jaxtyping import Bool, Float

from pretext.runtime.command_line import RunFailedError
from pretext.runtime.distributed import World
from pretext.runtime.stop_signal import StopSignal
from pretext.runtime.whole_file import write_whole

GB = 10**9
LOCK = "extraction.lock"
Unreadable = tuple[int, str, str]
"""Index, name and reason of an image that could not be read."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Features:
    """One stage's features of all images.

    Attributes:
        path: a .npy file of float32 or float16, (images, dimensions).
        kept: False for images that could not be read; their rows mean nothing.
    """

    path: Path
    kept: Bool[np.ndarray, " images"]

    def open(self) -> Float[np.ndarray, "images dimensions"]:
        """The features as a memory map; what is written to it does not reach the file."""
        return np.load(self.path, mmap_mode="c")


class FeatureFile:
    """One stage's features, whole or in part.

    Args:
        shape: (images, dimensions).
        dtype: float32 or float16.
        identity: all else that the features depend on; features with another one are not used.
    """

    def __init__(
        self, folder: Path, stage: str, shape: tuple[int, int], dtype: str, identity: Mapping[str, Any]
    ) -> None:
        self.path, self._description = folder / f"{stage}.npy", folder / f"{stage}.json"
        self.num_bytes = np.dtype(dtype).itemsize * shape[0] * shape[1]
        self._shape, self._dtype = shape, dtype
        self._identity = {"stage": stage, "shape": list(shape), "dtype": dtype, **identity}

    @property
    def is_there(self) -> bool:
        """Whether any part of it is on disk, usable or not."""
        return self.path.exists() or self._description.exists()

    @property
    def rows_done(self) -> int:
        """How many of the first rows are on disk; 0 of a file with a flaw."""
        return 0 if self.flaw() else int(json.loads(self._description.read_text())["rows"])

    def flaw(self) -> str | None:
        """Why the features on disk cannot be used, in a few words; None if they can, as far as they go."""
        if not self._description.exists():
            return "nothing says what they are"
        stored = json.loads(self._description.read_text())
        others = stored["identity"]
        differences = [
            f"{key} {others.get(key)!r} there, {self._identity.get(key)!r} now"
            for key in sorted(others.keys() | self._identity.keys())
            if others.get(key) != self._identity.get(key)
        ]
        if differences:
            return f"they are of another extraction: {'; '.join(differences)}"
        num_bytes = self.path.stat().st_size if self.path.exists() else 0
        if num_bytes != stored["bytes"]:
            return f"the file has {num_bytes} bytes instead of {stored['bytes']}"
        return None

    def create(self) -> None:
        """An empty file of the right size. Whoever still reads an old one keeps it: it is not overwritten."""
        for path in (self._description, self.path):
            path.unlink(missing_ok=True)
        np.lib.format.open_memmap(self.path, mode="w+", dtype=self._dtype, shape=self._shape)
        self.mark(0, [])

    def open_rows(self) -> np.memmap:
        """The created file, to write any of its rows."""
        return np.lib.format.open_memmap(self.path, mode="r+")

    def mark(self, rows: int, unreadable: Iterable[Unreadable]) -> None:
        """Say that so many of the first rows are written, and which of them are of unreadable images."""
        stored = {
            "identity": self._identity,
            "rows": rows,
            "bytes": self.path.stat().st_size,
            "unreadable": sorted(unreadable),
        }
        write_whole(self._description, json.dumps(stored, indent=1))

    def unreadable(self) -> list[Unreadable]:
        """The images that could not be read."""
        return [
            (i, name, reason) for i, name, reason in json.loads(self._description.read_text())["unreadable"]
        ]

    def features(self) -> Features:
        """The extracted features, without those of unreadable images."""
        kept = np.ones(self._shape[0], bool)
        kept[[index for index, _, _ in self.unreadable()]] = False
        return Features(path=self.path, kept=kept)


def read_features(path: Path) -> tuple[dict[str, Any], Features]:
    """What a whole file of features is of, and these.

    Raises:
        ValueError: it is not whole, or nothing says what it is.
    """
    description = path.with_suffix(".json")
    if not description.exists():
        raise ValueError(
            f"{description} is missing, which says what {path.name} is; extract the features again"
        )
    stored = json.loads(description.read_text())
    rows, num_images = stored["rows"], stored["identity"]["shape"][0]
    if rows < num_images or path.stat().st_size != stored["bytes"]:
        raise ValueError(
            f"{path} has {rows} of {num_images} images; let the same `transfer features` command finish it"
        )
    kept = np.ones(num_images, bool)
    kept[[index for index, _, _ in stored["unreadable"]]] = False
    return stored["identity"], Features(path=path, kept=kept)


def check_space(files: Iterable[FeatureFile], folder: Path) -> None:
    """Raises RunFailedError where the disk cannot take the files; a full disk kills the process without a message."""
    needed, free = sum(file.num_bytes for file in files), shutil.disk_usage(folder).free
    if needed > free:
        raise RunFailedError(
            f"the features take {needed / GB:.1f} GB, but {folder} has {free / GB:.1f} GB left; give fewer "
            "--stages, or another --cache"
        )


@contextmanager
def claimed(folder: Path, world: World, stop: StopSignal) -> Iterator[bool]:
    """Inside, no other command extracts into `folder`; False where a signal came while waiting for one that does."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        has_waited = False
        while not world.gather(world.is_main and _take(lock))[0]:
            if stop.agreed():
                yield False
                return
            if world.is_main and not has_waited:
                print(f"waits for another command that extracts features into {folder}", flush=True)
            has_waited = True
            time.sleep(1)
        yield True


def _take(lock: TextIO) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True  # a file system without locks
    return True
