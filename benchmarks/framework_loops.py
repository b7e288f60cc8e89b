"""Whole trainings of `transfer detect` and `transfer segment` against the frameworks' own loops.

    python benchmarks/framework_loops.py [--device cuda] [--width 1] [--steps 60]

JPEGs of 500 x 375 through loader, augmentation, step and log: Faster R-CNN (dc5) and an FCN head on conv7 of eccv16,
four images a step, two processes that read. The peers are Detectron2's SimpleTrainer with its own loader and mapper,
and mmengine's Runner with its own loader and mmsegmentation's transforms, with the same augmentation and schedule, on a
backbone of the same layers written plainly for them. A rate is that of all steps after the tenth, the medians of two
trainings of each, one after the other.
"""

import argparse
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.data import DatasetMapper, build_detection_train_loader
from detectron2.engine import HookBase, SimpleTrainer
from detectron2.engine.hooks import LRScheduler
from detectron2.solver import build_lr_scheduler, build_optimizer
from detectron2.structures import BoxMode
from frameworks import plain_detector, plain_segmentor
from loader import write_photographs
from measure import Target, report, synchronizer
from mmengine.hooks import Hook
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmseg.datasets import BaseSegDataset
from PIL import Image
from torch.utils.data import Dataset

import transfer
from pretext.networks.eccv16 import Eccv16
from pretext.runtime.metrics_log import read_metrics
from transfer.config import BackboneConfig
from transfer.detection.adapter import detectron_config
from transfer.detection.config import DetectConfig, DetectionDataConfig
from transfer.detection.protocols import resolve_protocol

NUM_IMAGES, NUM_CLASSES, BATCH_SIZE, NUM_WORKERS = 40, 20, 4, 2
SIZE, CROP_SIZE = 240, 192
SCALE = (SIZE * 4 // 3, SIZE)
CLASSES = ("background", *(f"class {number}" for number in range(NUM_CLASSES)))
BOX, LABEL = (50, 40, 350, 300), 7  # the same in every photograph
FIRST = 10  # steps before the clock starts


class Photographs(Dataset):
    """The photographs with a box each, or with a mask, as torchvision's references have them."""

    def __init__(self, files: list[Path], *, with_masks: bool) -> None:
        self.files, self.with_masks = files, with_masks
        self.classes = CLASSES if with_masks else CLASSES[1:]

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Image.Image, Any]:
        picture = Image.open(self.files[index])
        if self.with_masks:
            return picture, Image.open(self.files[index].with_suffix(".png"))
        return picture, {"boxes": torch.tensor([BOX]), "labels": torch.tensor([LABEL + 1])}


class Clock:
    """Images per second between step FIRST and the last."""

    def __init__(self, device: str) -> None:
        self.times: list[float] = []
        self._synchronize = synchronizer(device)

    def tick(self) -> None:
        self._synchronize()
        self.times.append(time.perf_counter())

    @property
    def rate(self) -> float:
        return BATCH_SIZE * (len(self.times) - FIRST) / (self.times[-1] - self.times[FIRST - 1])


class DetectronClock(Clock, HookBase):
    def after_step(self) -> None:
        self.tick()


class MmengineClock(Clock, Hook):
    def after_train_iter(self, *_: Any, **__: Any) -> None:
        self.tick()


def detectron2_loop(files: list[Path], width: float, steps: int, device: str, _: Path) -> float:
    data = DetectionDataConfig(train="", test="", image_sizes=[SIZE], test_image_size=SIZE)
    backbone = BackboneConfig(model="eccv16")
    config = DetectConfig(backbone=backbone, data=data, out="", steps=steps, batch_size=BATCH_SIZE)
    cfg = detectron_config(
        resolve_protocol(config),
        detector="dc5",
        stage="conv7",
        num_classes=NUM_CLASSES,
        with_proposals=False,
        device=device,
    )
    box = {"bbox": list(BOX), "bbox_mode": BoxMode.XYXY_ABS, "category_id": LABEL, "iscrowd": 0}
    records = [
        {"file_name": str(file), "image_id": number, "height": 375, "width": 500, "annotations": [box]}
        for number, file in enumerate(files)
    ]
    loader = build_detection_train_loader(
        records,
        mapper=DatasetMapper(cfg, is_train=True),
        total_batch_size=BATCH_SIZE,
        num_workers=NUM_WORKERS,
    )
    model = plain_detector(cfg, width).to(device).train()
    clock = DetectronClock(device)
    optimizer = build_optimizer(cfg, model)
    trainer = SimpleTrainer(model, loader, optimizer)
    trainer.register_hooks([LRScheduler(optimizer, build_lr_scheduler(cfg, optimizer)), clock])
    trainer.train(0, steps)
    return clock.rate


def mmengine_loop(files: list[Path], width: float, steps: int, device: str, out: Path) -> float:
    with DefaultScope.overwrite_default_scope("mmseg"):
        out.mkdir()
        names = out / "names.txt"
        names.write_text("\n".join(file.stem for file in files))
        dataset = BaseSegDataset(
            ann_file=str(names),
            img_suffix=".jpg",
            seg_map_suffix=".png",
            data_prefix={"img_path": str(files[0].parent), "seg_map_path": str(files[0].parent)},
            metainfo={"classes": CLASSES},
            pipeline=[
                {"type": "LoadImageFromFile"},
                {"type": "LoadAnnotations"},
                {"type": "RandomResize", "scale": SCALE, "ratio_range": (0.5, 2.0), "keep_ratio": True},
                {"type": "RandomCrop", "crop_size": (CROP_SIZE, CROP_SIZE), "cat_max_ratio": 0.75},
                {"type": "RandomFlip", "prob": 0.5},
                {"type": "PhotoMetricDistortion"},
                {"type": "PackSegInputs"},
            ],
        )
        clock = MmengineClock(device)
        runner = Runner(
            model=plain_segmentor(width, CROP_SIZE).to(device),
            work_dir=str(out),
            optim_wrapper={"optimizer": {"type": "SGD", "lr": 0.01, "momentum": 0.9}},
            train_cfg={"by_epoch": False, "max_iters": steps},
            train_dataloader={
                "dataset": dataset,
                "batch_size": BATCH_SIZE,
                "num_workers": NUM_WORKERS,
                "sampler": {"type": "InfiniteSampler", "shuffle": True},
            },
            default_hooks={"checkpoint": None},
            custom_hooks=[clock],
            log_level="WARNING",
            default_scope="mmseg",
            experiment_name=uuid.uuid4().hex,
        )
        runner.train()
    return clock.rate


def own_rate(folder: Path) -> float:
    """Images per second of a run in `folder`, after its first line of the log."""
    rates = [row["images_per_second"] for row in read_metrics(folder / "metrics.jsonl") if "loss" in row]
    return statistics.harmonic_mean(rates[1:])


def detect(files: list[Path], width: float, steps: int, device: str, out: Path) -> float:
    data = Photographs(files, with_masks=False), Photographs(files[:2], with_masks=False)
    keys: dict[str, Any] = {"image_sizes": [SIZE], "test_image_size": SIZE, "detector": "dc5"}
    return _own(transfer.detect, data, width, steps, device, out, **keys)


def segment(files: list[Path], width: float, steps: int, device: str, out: Path) -> float:
    data = Photographs(files, with_masks=True), Photographs(files[:2], with_masks=True)
    keys: dict[str, Any] = {"image_size": SCALE, "crop_size": CROP_SIZE}
    return _own(transfer.segment, data, width, steps, device, out, **keys)


def _own(
    function: Callable[..., Any],
    data: tuple[Photographs, Photographs],
    width: float,
    steps: int,
    device: str,
    out: Path,
    **keys: Any,
) -> float:
    keys |= {"steps": steps, "batch_size": BATCH_SIZE, "num_workers": NUM_WORKERS, "device": device}
    function(Eccv16(width=width), *data, out=out, stage="conv7", **keys)
    return own_rate(out)


LOOPS: dict[str, Callable[..., float]] = {
    "Detectron2's loop": detectron2_loop,
    "transfer detect": detect,
    "mmengine's loop": mmengine_loop,
    "transfer segment": segment,
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--width", type=float, help="of eccv16; default: 1 on a GPU, 0.125 on a CPU")
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    width = options.width or (1.0 if options.device == "cuda" else 0.125)
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name, "photographs")
        folder.mkdir()
        write_photographs(folder, NUM_IMAGES, quality=90)
        files = sorted(folder.iterdir())
        stripes = np.arange(500) * len(CLASSES) // 500
        mask = np.tile(stripes.astype(np.uint8), (375, 1))
        for file in files:
            Image.fromarray(mask).save(file.with_suffix(".png"))
        arguments = (files, width, options.steps, options.device)
        for number in range(2):
            for label, rate in LOOPS.items():
                rates.setdefault(label, []).append(rate(*arguments, Path(name, f"{label} {number}")))
    medians = {label: statistics.median(values) for label, values in rates.items()}
    report(
        "framework_loops",
        f"eccv16, width {width:g}, {BATCH_SIZE} images of a short side of {SIZE} px a step: "
        + ", ".join(f"{label} {rate:.1f} images/s" for label, rate in medians.items()),
        {label: BATCH_SIZE / rate for label, rate in medians.items()},
        [
            Target(f"{ours} over {theirs}", medians[ours] / medians[theirs], 0.95)
            for ours, theirs in (
                ("transfer detect", "Detectron2's loop"),
                ("transfer segment", "mmengine's loop"),
            )
        ],
        ("torchvision", "onedl-mmsegmentation"),
        options.device,
    )


if __name__ == "__main__":
    main()
