"""Training a detector: check -> build -> resume -> Detectron2's trainer -> results."""

from pathlib import Path
from typing import Any

import torch

from pretext.runtime.stop_signal import StopSignal
from transfer.backbone import AnyBackbone, open_backbone
from transfer.detection.annotated import mask_format
from transfer.detection.config import DetectConfig
from transfer.detection.data import AnyDetections, data_name, open_detection, proposals_of_splits
from transfer.detection.protocols import DETECTION_PROTOCOLS, described, resolve_protocol
from transfer.frameworks import module_version, require_framework
from transfer.partial_training import assert_unchanged, frozen_tensors
from transfer.rescaling import central_square, crops_to_rescale_on
from transfer.results import Record, make_records, package_versions, results_table
from transfer.runs import config_of, start_run
from transfer.stages import choose_stage
from transfer.training import FrameworkRun, every


def run(config: DetectConfig) -> list[Record]:
    """`detect` with what `config` names."""
    return _train(config, config.backbone, config.data.train, config.data.test)


def detect(
    backbone: AnyBackbone,
    train: AnyDetections,
    test: AnyDetections,
    *,
    out: str | Path | None = None,
    **keys: Any,
) -> list[Record]:
    """Train a detector on a backbone with Detectron2.

    Args:
        backbone: see `open_backbone`; it is left as it is.
        train, test: addresses as in `DetectionDataConfig`, or each a `DetectionDataset`, which is measured as COCO is.
        out: folder of the results, from whose last checkpoint the run resumes; None leaves nothing behind.
        keys: of `DetectConfig` and `DetectionDataConfig`, by their own names.

    Returns:
        For each metric a record of the last test, and one of that with the highest value, the first of equals; of
        several processes the first one has them.

    Raises:
        ValueError: Detectron2 is not installed, an argument or the data cannot be used as they are, the evaluator does
            not give 100 to the truth itself, or the folder holds another run.
        RunFailedError: the loss became NaN or infinite.
        OSError: a file could not be written, such as on a full disk.
        StoppedError: SIGINT or SIGTERM came; everything was saved.
    """
    config = config_of(DetectConfig, backbone, train, test, out, keys)
    return _train(config, backbone, train, test)


def _train(
    config: DetectConfig, backbone: AnyBackbone, train: AnyDetections, test: AnyDetections
) -> list[Record]:
    require_framework("detect")
    from detectron2.solver import build_lr_scheduler, build_optimizer

    from transfer.detection.adapter import build_detector, choose_detector, detectron_config
    from transfer.detection.evaluation import Evaluation, require_full_marks
    from transfer.detection.loading import MappedImages, detectron_records, training_loader
    from transfer.detection.trainer import detectron2_folder, train_detector

    recipe, published = resolve_protocol(config), DETECTION_PROTOCOLS[config.protocol]
    schedule = recipe.schedule
    with start_run(config) as run, StopSignal(run.world) as stop:
        # ------------------------------------------------------------------------------ check
        world = run.world
        splits, test_images = world.on_main(
            lambda: open_detection(train, test, config.data.classes, masks=config.masks)
        )
        eleven_points = config.average_precision == "11_point"
        require_full_marks(test_images, eleven_points=eleven_points, masks=config.masks, world=world)
        proposals = proposals_of_splits(
            config.data.train_proposals, config.data.test_proposals, [split.address for split in splits]
        )
        trained_on = [
            (image, record)
            for split, file in zip(splits, proposals, strict=True)
            for image, record in detectron_records(split, file)
            if any(not box.crowd for box in image.boxes)
        ]
        tested_on = detectron_records(test_images, config.data.test_proposals)

        # ------------------------------------------------------------------------------ build
        images = [image for split in splits for image in split.images]
        opened = open_backbone(
            backbone,
            config.seed,
            lambda: crops_to_rescale_on(
                (len(images),), lambda i: images[i].open(), central_square, config.seed
            ),
            colour_input=config.colour_input,
        )
        detector = choose_detector(opened.network, config.detector)
        stage = {"c4": "layer3", "fpn": "layer4"}.get(detector) or choose_stage(
            opened.network, config.stage, fully_connected=False
        )
        cfg = detectron_config(
            recipe,
            detector=detector,
            stage=stage,
            num_classes=len(test_images.classes),
            with_proposals=config.data.train_proposals is not None,
            device=str(world.device),
            mask_format=mask_format(splits) if config.masks else None,
        )
        torch.manual_seed(config.seed)
        network = build_detector(
            opened.network,
            cfg,
            detector=detector,
            train_from=config.train_from,
            trains_batch_norm=recipe.batch_norm == "train",
        )
        frozen = frozen_tensors(network.backbone)
        optimizer = build_optimizer(cfg, network)
        evaluation = Evaluation(
            test_images,
            tested_on,
            cfg,
            eleven_points=eleven_points,
            masks=config.masks,
            num_workers=config.data.num_workers,
        )

        # ----------------------------------------------------------------------------- resume
        run.take_folder()
        run.held.enter_context(detectron2_folder(run.folder.path / "detectron2", cfg, world))
        training = FrameworkRun(
            run,
            opened,
            len(trained_on),
            num_steps=schedule.steps,
            batch_size=schedule.batch_size,
            save_steps=every(config.save_every, schedule.steps),
            test_steps=every(config.evaluate_every, schedule.steps),
            stop=stop,
        )
        loader = training_loader(
            MappedImages(trained_on, cfg, training=True),
            cfg,
            seed=config.seed,
            start_step=training.first_step,
            world=world,
            num_workers=config.data.num_workers,
        )
        run.held.callback(loader.close)
        for images_of_split in (*splits, test_images):
            for line in (images_of_split.summary(), *images_of_split.notes()):
                training.progress.say(line)
        trained = sum(p.numel() for p in network.parameters() if p.requires_grad) / 1e6
        training.progress.say(
            f"{opened.name}, {detector} on {stage}, trained from {config.train_from} ({trained:.1f} M parameters), on "
            f"{world.device} x {world.size}: {schedule.described(published.schedule)}"
        )

        # ------------------------------------------------------------------------------ train
        train_detector(
            network,
            loader,
            optimizer,
            build_lr_scheduler(cfg, optimizer),
            training,
            evaluation,
            config.seed,
            world,
        )

        # -------------------------------------------------------------------------------- end
        assert_unchanged(network.backbone, frozen)
        if not world.is_main:
            return []
        details = {
            "train_images": sum(len(split.images) for split in splits),
            "train_boxes": sum(sum(split.boxes_by_class().values()) for split in splits),
            "test_images": len(test_images.images),
            "test_boxes": sum(test_images.boxes_by_class().values()),
            "notes": [note for split in (*splits, test_images) for note in split.notes()],
        }
        records = make_records(
            training.rows[-1],
            details,
            task="detect",
            data=data_name(config.data),
            protocol=described(config, f"{detector} {stage}"),
            backbone=opened.name,
            weights=opened.sha256,
            stage=config.train_from,
            seed=config.seed,
            settings=recipe.changes_from(published),
            versions=package_versions() | {"detectron2": module_version("detectron2")},
        )
        return run.finish(records, results_table(records), training.progress.say)
