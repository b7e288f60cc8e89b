"""The loader against the bare work: images through batches, workers and data order, and without them.

    python benchmarks/loader.py [--processes 2] [--quality 90] [--restarts 9]

The peer is a loop in each of as many processes: open a file, cut a random crop, mirror it, with the same
functions; no batches, no order, no transfer. Beside them stands the loader with `data.cache: memory`, after its first
epoch. Files: JPEGs of 500 x 375, the usual size in ImageNet, cut from the
sample's photographs, read from the page cache.
"""

import argparse
import multiprocessing
import random
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from multiprocessing.synchronize import Barrier
from pathlib import Path

import numpy as np
import torch
from measure import Target, interleaved_medians, report

from pretext.images.crops import random_crop_and_mirror
from pretext.images.folder import FolderSource
from pretext.images.image_file import open_rgb
from pretext.images.image_source import ImageSource
from pretext.images.loader import shuffled_batches
from pretext.images.memory_cache import CachedImages, memory_share
from pretext.images.sample import sample_source

NUM_FILES, NUM_IMAGES = 600, 1200
BATCH_SIZE = 40  # the published training's
IMAGE_SIZE, CROP_SIZE = 256, 176


def write_photographs(
    folder: Path, count: int, quality: int, size: tuple[int, int] = (500, 375), suffix: str = "jpg"
) -> None:
    """Files of random pieces of the sample's photographs, 4:3, resized to `size`."""
    rng = np.random.default_rng(0)
    sources = [sample_source("train"), sample_source("validation")]
    photographs = [source.open(i) for source in sources for i in range(len(source))]
    for number in range(count):
        photograph = photographs[number % len(photographs)]
        width = min(photograph.width, photograph.height * 4 / 3) * rng.uniform(0.7, 1)
        left = rng.uniform(0, photograph.width - width)
        top = rng.uniform(0, photograph.height - width * 3 / 4)
        box = (left, top, left + width, top + width * 3 / 4)
        photograph.resize(size, box=box).save(folder / f"{number:04}.{suffix}", quality=quality)


def loader(source: ImageSource, processes: int) -> Callable[[], None]:
    """A call that takes `NUM_IMAGES` images out of one running loader."""
    batches = shuffled_batches(
        source,
        partial(random_crop_and_mirror, image_size=IMAGE_SIZE, crop_size=CROP_SIZE),
        short_side=IMAGE_SIZE,
        seed=0,
        num_steps=10**6,
        batch_size=BATCH_SIZE,
        num_workers=processes,
    )

    def take() -> None:
        for _ in range(NUM_IMAGES // BATCH_SIZE):
            next(batches)

    return take


def bare_loop(folder: Path, processes: int) -> Callable[[], None]:
    """A call that lets `processes` waiting processes open and crop `NUM_IMAGES` images, keeping nothing."""
    start, end = multiprocessing.Barrier(processes + 1), multiprocessing.Barrier(processes + 1)
    files = sorted(folder.iterdir())
    for i in range(processes):
        share = files[i::processes] * (NUM_IMAGES // NUM_FILES)
        multiprocessing.Process(target=_open_and_crop, args=(share, start, end), daemon=True).start()

    def work() -> None:
        start.wait()
        end.wait()

    return work


def _open_and_crop(files: list[Path], start: Barrier, end: Barrier) -> None:
    torch.set_num_threads(1)
    rng = random.Random(0)
    while True:
        start.wait()
        for file in files:
            random_crop_and_mirror(open_rgb(file, IMAGE_SIZE), rng, IMAGE_SIZE, CROP_SIZE)
        end.wait()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--quality", type=int, default=90, help="of the JPEGs; a higher one is slower to decode"
    )
    parser.add_argument("--restarts", type=int, default=9, help="of all processes; medians are taken")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_photographs(folder, NUM_FILES, options.quality)
        kilobytes = statistics.mean(file.stat().st_size for file in folder.iterdir()) / 1000
        cached = CachedImages(FolderSource(folder), IMAGE_SIZE, memory_share())
        # Which core a process lands on lasts as long as the process: so new ones for each measurement.
        # The untimed call before each timed one empties the queues that filled while the peer ran.
        measurements = [
            interleaved_medians(
                {
                    "loader": loader(FolderSource(folder), options.processes),
                    "bare loop": bare_loop(folder, options.processes),
                    "loader, cache: memory": loader(cached, options.processes),
                },
                rounds=5,
            )
            for _ in range(options.restarts)
        ]
    seconds = {name: statistics.median(m[name] for m in measurements) for name in measurements[0]}
    shares = sorted(m["bare loop"] / m["loader"] for m in measurements)
    report(
        "loader",
        f"{NUM_IMAGES} images from JPEGs of 500 x 375, {kilobytes:.0f} kB, with {options.processes} processes; "
        f"started {options.restarts} times, shares from {shares[0]:.2f} to {shares[-1]:.2f}",
        seconds,
        [
            Target("share of the bare loop's rate", statistics.median(shares), 0.9),
            Target(
                "cache: memory, times the loader's rate",
                seconds["loader"] / seconds["loader, cache: memory"],
                2,
            ),
        ],
        ("pillow",),
    )


if __name__ == "__main__":
    main()
