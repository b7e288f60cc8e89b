"""Training a segmentation network: check -> build -> resume -> mmengine's loop -> results."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

import torch

from pretext.runtime.distributed import join_world
from pretext.runtime.run_dir import RunDir, free_keys
from pretext.runtime.stop_signal import StopSignal
from transfer.backbone import OpenedBackbone, open_backbone
from transfer.data.sample_crops import sample_crops
from transfer.framework_training import FrameworkRun
from transfer.frameworks import module_version, require_framework
from transfer.partial_training import assert_unchanged, frozen_tensors
from transfer.results import Record, last_and_best, package_versions, results_table, write_records
from transfer.schedule import settings
from transfer.segmentation.config import SegmentConfig
from transfer.segmentation.data import SegmentationImages, data_name, open_segmentation, overlap, summary
from transfer.segmentation.protocols import SEGMENTATION_PROTOCOLS, described, resolve_protocol
from transfer.stages import choose_stage


def run(config: SegmentConfig) -> list[Record]:
    """Run `config` to its end, from its last checkpoint where there is one; write and return the results.

    Raises:
        ValueError: mmsegmentation is not installed, the configuration or its data cannot be used as they are, or the
            folder holds another run.
        RunFailedError: the loss became NaN or infinite.
        OSError: a file could not be written, such as on a full disk.
        StoppedError: SIGINT or SIGTERM came; everything was saved.
    """
    require_framework("segment")
    from transfer.segmentation.adapter import build_segmentor
    from transfer.segmentation.evaluation import Evaluation
    from transfer.segmentation.loading import test_loader, train_loader
    from transfer.segmentation.runner import RunHook, build_runner

    with join_world(config.device) as world, StopSignal(world) as stop, ExitStack() as opened:
        # ------------------------------------------------------------------------------ check
        protocol, schedule = resolve_protocol(config)
        train, test = world.on_main(lambda: open_segmentation(config.data))

        # ------------------------------------------------------------------------------ build
        images = [image for split in train for image in split.images]
        backbone = open_backbone(
            config.backbone,
            config.seed,
            lambda: sample_crops(len(images), lambda place: images[place].read()[0], config.seed),
            colour_input=config.colour_input,
        )
        stage = choose_stage(backbone.network, config.stage, fully_connected=True)
        torch.manual_seed(config.seed)
        network = build_segmentor(
            backbone.network,
            protocol,
            stage=stage,
            num_classes=len(test.classes),
            train_from=config.train_from,
        ).to(world.device)
        frozen = frozen_tensors(network)
        train_data = train_loader(
            train,
            protocol,
            seed=config.seed,
            num_steps=schedule.steps,
            batch_size=schedule.batch_size,
            world=world,
            num_workers=config.data.num_workers,
        )
        test_data = test_loader(test, protocol, world=world, num_workers=config.data.num_workers)

        # ----------------------------------------------------------------------------- resume
        run_dir = RunDir(config.out)
        world.on_main(lambda: run_dir.prepare(asdict(config), opened, free=free_keys(config)))
        training = FrameworkRun(
            config,
            run_dir=run_dir,
            schedule=schedule,
            backbone=backbone,
            num_images=len(images),
            world=world,
            stop=stop,
            opened=opened,
        )
        for split in (*train, test):
            for line in (summary(split), *split.notes()):
                training.progress.say(line)
        if shared := overlap(train, test):
            training.progress.say(
                f"{shared} of the {len(test.images)} test images are trained on: results say little"
            )
        trained = sum(p.numel() for p in network.parameters() if p.requires_grad) / 1e6
        published = SEGMENTATION_PROTOCOLS[config.protocol].schedule
        training.progress.say(
            f"{backbone.name}, {described(config, stage)}, trained from {config.train_from} ({trained:.1f} M "
            f"parameters), on {world.device} x {world.size}: {schedule.described(published)}"
        )

        # ------------------------------------------------------------------------------ train
        runner = build_runner(
            network,
            protocol,
            schedule,
            folder=run_dir.path / "mmengine",
            seed=config.seed,
            world=world,
            train_data=train_data,
            test_data=test_data,
            hook=RunHook(training, network, Evaluation(test, world), seed=config.seed, world=world),
        )
        runner.train()

        # -------------------------------------------------------------------------------- end
        assert_unchanged(network, frozen)
        training.raise_if_stopped()
        records = _records(config, backbone, stage, train, test, training.rows)
        if world.is_main:
            path = write_records(run_dir.path, records)
            training.progress.say(f"{results_table(records)}\nresults     {path}")
    return records


def _records(
    config: SegmentConfig,
    backbone: OpenedBackbone,
    stage: str,
    train: Sequence[SegmentationImages],
    test: SegmentationImages,
    rows: Sequence[dict[str, Any]],
) -> list[Record]:
    """For each metric a record of the last test, and one of that with the highest value, the first of equals."""
    protocol, schedule = resolve_protocol(config)
    published = SEGMENTATION_PROTOCOLS[config.protocol]
    details = {
        "train_images": sum(len(images.images) for images in train),
        "test_images": len(test.images),
        "classes": len(test.shown_classes),
        "notes": [note for images in (*train, test) for note in images.notes()],
    }
    return last_and_best(
        rows,
        [name for name in rows[-1] if name not in ("step", "IoU")],
        details,
        task="segment",
        data=data_name(config.data),
        protocol=described(config, stage),
        backbone=backbone.name,
        weights=backbone.sha256,
        stage=config.train_from,
        seed=config.seed,
        settings=settings(schedule, protocol.batch_norm, published),
        versions=package_versions() | {name: module_version(name) for name in ("mmseg", "mmengine", "mmcv")},
    )
