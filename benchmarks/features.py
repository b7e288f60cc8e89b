"""Extraction of features against the bare network: files to features on disk, and forward passes of ready tensors.

    python benchmarks/features.py [--model random:alexnet] [--images 960] [--workers 1] [--device cpu]

Both run in the same process, in turns, with the same number of threads. On a CPU the images are decoded by worker
processes on cores that the network does not use: the bare network gets these cores neither. Files: JPEGs of 500 x 375
as in loader.py, read from the page cache. Features of all stages go to a cache that is empty each time.
"""

import argparse
import os
import tempfile
from pathlib import Path

import torch
from loader import write_photographs
from measure import Target, interleaved_medians, report, synchronizer

from pretext.runtime.distributed import World, choose_device
from transfer.backbone import open_backbone
from transfer.config import BackboneConfig, DataConfig
from transfer.data.labelled import open_labelled
from transfer.features.extraction import FeatureExtractor
from transfer.features.protocols import resolve

QUALITY = 90  # of the JPEGs


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="random:alexnet")
    parser.add_argument("--images", type=int, default=960)
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    device = choose_device(options.device)
    if device.type == "cpu":
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) - options.workers))

    backbone = open_backbone(BackboneConfig(model=options.model), seed=0)
    network = backbone.network.to(device).to(memory_format=torch.channels_last)
    num_batches = -(-options.images // options.batch_size)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "photographs" / "all").mkdir(parents=True)
        write_photographs(folder / "photographs" / "all", options.images, QUALITY)
        photographs = str(folder / "photographs")
        data = DataConfig(train=photographs, test=photographs, num_workers=options.workers)
        images, protocol = open_labelled(data)[0], resolve("zhang16")
        ready = torch.rand(options.batch_size, 3, protocol.crop_size, protocol.crop_size, device=device)

        extractor = FeatureExtractor(
            backbone=backbone,
            protocol=protocol,
            stages=None,
            batch_size=options.batch_size,
            precision=options.precision,
            num_workers=options.workers,
            max_broken_share=0.01,
            world=World(rank=0, size=1, device=device),
        )

        def extract() -> None:
            with tempfile.TemporaryDirectory(dir=folder) as cache:
                extractor.extract(images, Path(cache), images.fingerprint())

        @torch.inference_mode()
        def forward() -> None:
            with torch.autocast(device.type, torch.bfloat16, enabled=options.precision == "bfloat16"):
                for _ in range(num_batches):
                    network.forward_stages(ready, network.stages)

        seconds = interleaved_medians(
            {"extraction": extract, "bare network": forward},
            rounds=options.rounds,
            synchronize=synchronizer(device.type),
        )
    report(
        "features",
        f"{options.model} in {options.precision}, all stages of {options.images} JPEGs of 500 x 375, batches of "
        f"{options.batch_size}; worker processes that decode: {options.workers}; "
        f"{options.images / seconds['extraction']:.1f} images/s",
        seconds,
        [Target("share of the bare network's rate", seconds["bare network"] / seconds["extraction"], 0.95)],
        ("pillow",),
        device=str(device),
    )


if __name__ == "__main__":
    main()
