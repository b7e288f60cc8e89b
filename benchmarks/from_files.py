"""A whole `pretext train` from image files against its step alone.

    python benchmarks/from_files.py [--device cuda]

eccv16 in half width, not compiled, crops of 112 px from WebP files whose short side is 128: small images on a small
network, so that reading is what limits. It is trained with a process that reads images on each core but one, with and
without `data.cache: memory`, as the log says after the first epoch; the peer is the same step on a batch in memory.
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from loader import write_photographs
from measure import Target, interleaved_medians, report, synchronizer
from training_step import make, training_step

from pretext import train
from pretext.networks import build_network
from pretext.runtime.distributed import choose_precision
from pretext.runtime.metrics_log import read_metrics
from pretext.tasks.colorization import Colorization

WIDTH, IMAGE_SIZE, CROP_SIZE = 0.5, 128, 112


def images_per_second(folder: Path, run_dir: Path, *, steps: int, **keys: object) -> float:
    """The median over the second half of a training."""
    task = Colorization()
    network = build_network("eccv16", output=task.output, width=WIDTH)
    train(
        task,
        network,
        folder,
        run_dir=run_dir,
        steps=steps,
        image_size=IMAGE_SIZE,
        crop_size=CROP_SIZE,
        precision="auto",
        log_every=max(1, steps // 20),
        validate_every=10**9,
        save_every=10**9,
        validation_images=8,
        gallery_images=1,
        **keys,
    )
    rates = [row["images_per_second"] for row in read_metrics(run_dir / "metrics.jsonl") if "loss" in row]
    return statistics.median(rates[len(rates) // 2 :])


def step_rate(device: torch.device, batch_size: int) -> float:
    task = Colorization()
    low = choose_precision("auto", device) == "bfloat16"
    rgb = torch.randint(256, (batch_size, 3, CROP_SIZE, CROP_SIZE), dtype=torch.uint8, device=device)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=low)
    step = training_step(make(task, device, WIDTH), task.to(device), rgb, autocast, compiled=False)
    seconds = interleaved_medians({"step": step}, rounds=7, synchronize=synchronizer(device.type))
    return batch_size / seconds["step"]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch_size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--images", type=int, default=4000)
    options = parser.parse_args()
    workers = max(1, len(os.sched_getaffinity(0)) - 1)
    keys: Mapping[str, object] = {
        "device": options.device,
        "batch_size": options.batch_size,
        "num_workers": workers,
        "steps": options.steps,
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "photographs")
        folder.mkdir()
        write_photographs(folder, options.images, quality=80, size=(171, 128), suffix="webp")
        files = images_per_second(folder, Path(name, "files"), **keys)
        cached = images_per_second(folder, Path(name, "cached"), cache="memory", **keys)
    alone = step_rate(torch.device(options.device), options.batch_size)
    rates = {"from files": files, "from files, cache: memory": cached, "the step alone": alone}
    targets = [
        Target("cache: memory, images/s", cached, 14_000),
        Target("cache: memory, of the step's rate", cached / alone, 0.95),
        Target("from files, of the step's rate", files / alone, 0.95),
    ]
    report(
        "from_files",
        f"eccv16, width {WIDTH}, {options.batch_size} crops of {CROP_SIZE} px, {workers} processes read images: "
        + ", ".join(f"{name} {rate:.0f} images/s" for name, rate in rates.items()),
        {name: options.batch_size / rate for name, rate in rates.items()},
        targets[options.device == "cpu" :],  # images/s are the target of a GPU
        ("pillow",),
        options.device,
    )


if __name__ == "__main__":
    main()
