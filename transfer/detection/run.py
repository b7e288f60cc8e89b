"""Training a detector: check -> build -> resume -> Detectron2's trainer -> results."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from detectron2.engine import HookBase, SimpleTrainer, hooks
from detectron2.solver import build_lr_scheduler, build_optimizer
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pretext.networks.synchronised_batch_norm import synchronise_batch_norm
from pretext.runtime.command_line import RunFailedError
from pretext.runtime.distributed import World, join_world
from pretext.runtime.run_dir import RunDir, free_keys
from pretext.runtime.stop_signal import StopSignal
from pretext.runtime.whole_file import write_whole
from transfer.backbone import OpenedBackbone, open_backbone
from transfer.data.sample_crops import sample_crops
from transfer.data.step_order import seed_step
from transfer.detection.adapter import build_detector, choose_detector, detectron_config
from transfer.detection.annotated import DetectionImages
from transfer.detection.config import DetectConfig
from transfer.detection.data import data_name, open_detection, summary, train_proposals
from transfer.detection.evaluation import Evaluation, require_full_marks
from transfer.detection.loading import MappedImages, detectron_records, training_loader
from transfer.detection.protocols import DETECTION_PROTOCOLS, described, resolve_protocol
from transfer.framework_training import FrameworkRun
from transfer.frameworks import module_version
from transfer.partial_training import assert_unchanged, frozen_tensors
from transfer.results import Record, last_and_best, package_versions, results_table, write_records
from transfer.schedule import settings
from transfer.stages import choose_stage


def run(config: DetectConfig) -> list[Record]:
    """Run `config` to its end, from its last checkpoint where there is one; write and return the results.

    Of several processes the first one has them.

    Raises:
        ValueError: the configuration or its data cannot be used as they are, the evaluator does not give 100 to the
            truth itself, or the folder holds another run.
        RunFailedError: the loss became NaN or infinite.
        OSError: a file could not be written, such as on a full disk.
        StoppedError: SIGINT or SIGTERM came; everything was saved.
    """
    with join_world(config.device) as world, StopSignal(world) as stop, ExitStack() as opened:
        # ------------------------------------------------------------------------------ check
        protocol, schedule = resolve_protocol(config)
        train_images, test_images = world.on_main(lambda: open_detection(config.data))
        eleven_points = config.average_precision == "11_point"
        require_full_marks(test_images, eleven_points=eleven_points, world=world)
        train = [
            (image, record)
            for split, proposals in zip(train_images, train_proposals(config.data), strict=True)
            for image, record in detectron_records(split, proposals)
            if any(not box.crowd for box in image.boxes)
        ]
        test = detectron_records(test_images, config.data.test_proposals)

        # ------------------------------------------------------------------------------ build
        images = [image for split in train_images for image in split.images]
        backbone = open_backbone(
            config.backbone,
            config.seed,
            lambda: sample_crops(len(images), lambda place: images[place].open(), config.seed),
            colour_input=config.colour_input,
        )
        detector = choose_detector(backbone.network, config.detector)
        stage = {"c4": "layer3", "fpn": "layer4"}.get(detector) or choose_stage(
            backbone.network, config.stage, fully_connected=False
        )
        cfg = detectron_config(
            protocol,
            schedule,
            detector=detector,
            stage=stage,
            num_classes=len(test_images.classes),
            with_proposals=config.data.train_proposals is not None,
            device=str(world.device),
        )
        torch.manual_seed(config.seed)
        network = build_detector(
            backbone.network,
            cfg,
            detector=detector,
            train_from=config.train_from,
            trains_batch_norm=protocol.batch_norm == "train",
        )
        frozen = frozen_tensors(network.backbone)
        optimizer = build_optimizer(cfg, network)
        scheduler = build_lr_scheduler(cfg, optimizer)
        if world.size > 1:
            synchronise_batch_norm(network)
        model: nn.Module = network if world.size == 1 else DistributedDataParallel(network)
        evaluation = Evaluation(
            test_images, test, cfg, eleven_points=eleven_points, num_workers=config.data.num_workers
        )

        # ----------------------------------------------------------------------------- resume
        run_dir = RunDir(config.out)
        world.on_main(lambda: run_dir.prepare(asdict(config), opened, free=free_keys(config)))
        opened.enter_context(_detectron2_folder(run_dir.path / "detectron2", cfg.dump(), world))
        training = FrameworkRun(
            config,
            run_dir=run_dir,
            schedule=schedule,
            backbone=backbone,
            num_images=len(train),
            world=world,
            stop=stop,
            opened=opened,
        )
        loader = training_loader(
            MappedImages(train, cfg, training=True),
            cfg,
            seed=config.seed,
            start_step=training.first_step,
            world=world,
            num_workers=config.data.num_workers,
        )
        for split in (*train_images, test_images):
            for line in (summary(split), *split.notes()):
                training.progress.say(line)
        trained = sum(p.numel() for p in network.parameters() if p.requires_grad) / 1e6
        training.progress.say(
            f"{backbone.name}, {detector} on {stage}, trained from {config.train_from} ({trained:.1f} M parameters), "
            f"on {world.device} x {world.size}: {schedule.described(protocol.schedule)}"
        )

        # ------------------------------------------------------------------------------ train
        trainer = SimpleTrainer(model, loader, optimizer)
        trainer.register_hooks(
            [hooks.LRScheduler(optimizer, scheduler), _RunHook(training, config.seed, world)]
        )
        training.begin(
            {"model": network, "optimizer": optimizer, "scheduler": scheduler},
            losses=lambda num_steps: _mean_losses(trainer, num_steps),
            test=lambda: evaluation.run(network),
            gallery=lambda: evaluation.gallery(network),
        )
        try:
            trainer.train(training.first_step, schedule.steps)
        except FloatingPointError as error:
            raise RunFailedError(
                f"the loss of step {trainer.iter + 1} is NaN or infinite; the last checkpoint is from before it. Lower "
                "lr, in a new out folder"
            ) from error

        # -------------------------------------------------------------------------------- end
        assert_unchanged(network.backbone, frozen)
        if not world.is_main:
            return []
        records = _records(config, backbone, f"{detector} {stage}", train_images, test_images, training.rows)
        path = write_records(run_dir.path, records)
        training.progress.say(f"{results_table(records)}\nresults     {path}")
        return records


class _RunHook(HookBase):
    """Tells `run` of each step of Detectron2's loop."""

    def __init__(self, run: FrameworkRun, seed: int, world: World) -> None:
        self.run, self.seed, self.world = run, seed, world

    def before_step(self) -> None:
        """Every step draws its boxes from random numbers of its own, so that a resumed run draws the same."""
        seed_step(self.seed, self.trainer.iter, self.world)

    def after_step(self) -> None:
        """Log, test and save; end the loop when a signal came."""
        if self.run.after_step():
            self.run.raise_if_stopped()


def _mean_losses(trainer: SimpleTrainer, num_steps: int) -> dict[str, float]:
    """The losses of the last steps and the learning rate; on the first process."""
    histories = trainer.storage.histories()
    losses = {name: history.avg(num_steps) for name, history in histories.items() if "loss" in name}
    if not losses:
        return {}
    return {"loss": losses.pop("total_loss"), **losses, "lr": histories["lr"].latest()}


@contextmanager
def _detectron2_folder(folder: Path, configuration: str, world: World) -> Iterator[None]:
    """A folder with Detectron2's configuration, and what it says, so that the terminal shows this run's numbers."""
    if world.is_main:
        folder.mkdir(exist_ok=True)
        write_whole(folder / "config.yaml", configuration)
    world.wait()
    handler = logging.FileHandler(folder / f"log{world.rank or ''}.txt")
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s"))
    loggers = [logging.getLogger(name) for name in ("detectron2", "fvcore", "d2")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.level, logger.propagate = level, propagate
        handler.close()


def _records(
    config: DetectConfig,
    backbone: OpenedBackbone,
    detector: str,
    train: Sequence[DetectionImages],
    test: DetectionImages,
    rows: Sequence[dict[str, Any]],
) -> list[Record]:
    """For each metric a record of the last test, and one of that with the highest value, the first of equals."""
    protocol, schedule = resolve_protocol(config)
    details = {
        "train_images": sum(len(images.images) for images in train),
        "train_boxes": sum(sum(images.boxes_by_class().values()) for images in train),
        "test_images": len(test.images),
        "test_boxes": sum(test.boxes_by_class().values()),
        "notes": [note for images in (*train, test) for note in images.notes()],
    }
    return last_and_best(
        rows,
        [name for name in rows[-1] if name != "step"],
        details,
        task="detect",
        data=data_name(config.data),
        protocol=described(config, detector),
        backbone=backbone.name,
        weights=backbone.sha256,
        stage=config.train_from,
        seed=config.seed,
        settings=settings(schedule, protocol.batch_norm, DETECTION_PROTOCOLS[config.protocol]),
        versions=package_versions() | {"detectron2": module_version("detectron2")},
    )
