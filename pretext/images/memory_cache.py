"""Decoded images in memory, shared by all processes that read them, for sets that fit."""

import mmap
import multiprocessing
import os
from pathlib import Path
from typing import Any
from weakref import finalize

import numpy as np
from PIL import Image

from pretext.images.image_source import ImageSource, SameImages

MIB = 2**20


class CachedImages(SameImages):
    """A source whose images are decoded when they are first opened, and kept as they were opened.

    So every picture has the same bits with and without it. The memory is taken as images come; those that find no room
    are decoded each time. It passes to worker processes however they are started.

    Args:
        source: of the images.
        short_side: with which they are opened; opened with another one, they come from the source.
        max_bytes: for the pixels.

    Raises:
        OSError: the system does not allow that much.
    """

    def __init__(self, source: ImageSource, short_side: int | None, max_bytes: int) -> None:
        super().__init__(source)
        self._short_side = short_side
        # Not in /dev/shm, which containers keep small.
        self._file = os.memfd_create("pretext-images")
        os.truncate(self._file, self._table_bytes + max_bytes)
        self._lock = multiprocessing.Lock()
        self._map()

    @property
    def _table_bytes(self) -> int:
        return 8 * (2 + 3 * len(self._source))

    def _map(self) -> None:
        finalize(self, os.close, self._file)
        self._memory = mmap.mmap(self._file, 0)
        table = np.frombuffer(self._memory, np.int64, self._table_bytes // 8)
        # The first byte that is free, whether an image found no room, and for each image its first byte, width and
        # height (0 where it is not held).
        self._free, self._is_full, self._places = table[:1], table[1:2], table[2:].reshape(-1, 3)
        if not self._free[0]:
            self._free[0] = self._table_bytes

    def __getstate__(self) -> dict[str, Any]:
        from multiprocessing.reduction import DupFd  # not on Windows, where there is no cache

        shared = {
            "_file": DupFd(self._file),
            "_memory": None,
            "_free": None,
            "_is_full": None,
            "_places": None,
        }
        return self.__dict__ | shared

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state | {"_file": state["_file"].detach()}
        self._map()

    def open(self, index: int, short_side: int | None = None) -> Image.Image:
        """The image as the source opens it, from memory if it was opened before."""
        if short_side != self._short_side:
            return self._source.open(index, short_side)
        with self._lock:
            first, width, height = self._places[index].tolist()
        if width:
            pixels = memoryview(self._memory)[first : first + 3 * width * height]
            return Image.frombytes("RGB", (width, height), pixels)
        image = self._source.open(index, short_side)
        num_bytes = 3 * image.width * image.height
        with self._lock:
            first = int(self._free[0])
            if first + num_bytes > len(self._memory):
                self._is_full[0] = 1
                return image
            self._free[0] += num_bytes
        self._memory[first : first + num_bytes] = image.tobytes()
        with self._lock:  # last: what has a place is whole
            self._places[index] = first, image.width, image.height
        return image

    @property
    def summary(self) -> str:
        """How many images are held, in how much memory."""
        held = np.count_nonzero(self._places[:, 1])
        used, room = ((end - self._table_bytes) / MIB for end in (self._free[0], len(self._memory)))
        rest = "; no more fit, the others are decoded each time" if self._is_full[0] else ""
        return (
            f"{held} of {len(self)} decoded images are held in memory, {used:,.0f} of {room:,.0f} MiB{rest}"
        )


def memory_share() -> int:
    """Bytes for the cache of one training process: half of what is free, divided among those of this machine.

    A control group (a job, a container) may allow less than the machine has.

    Raises:
        ValueError: this is not Linux.
    """
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        raise ValueError("data.cache: memory is for Linux; set it to null")
    lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines())
    allowed = int(lines["MemAvailable"].split()[0]) * 1024
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        group = Path("/sys/fs/cgroup", controllers, path.lstrip("/"))
        for folder in (group, *group.parents):
            limit = folder / ("memory.limit_in_bytes" if controllers else "memory.max")
            if limit.exists() and limit.read_text().strip().isdigit():
                allowed = min(allowed, int(limit.read_text()))
    return allowed // 2 // int(os.environ.get("LOCAL_WORLD_SIZE", 1))
