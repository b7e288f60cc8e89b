"""Training a segmentation network: check -> build -> resume -> mmengine's loop -> results."""

from pathlib import Path
from typing import Any

import torch

from pretext.runtime.stop_signal import StopSignal
from transfer.backbone import AnyBackbone, open_backbone
from transfer.frameworks import module_version, require_framework
from transfer.partial_training import assert_unchanged, frozen_tensors
from transfer.rescaling import central_square, crops_to_rescale_on
from transfer.results import Record, make_records, package_versions, results_table
from transfer.runs import config_of, start_run
from transfer.segmentation.config import SegmentConfig
from transfer.segmentation.data import (
    AnySegmentation,
    data_name,
    open_segmentation,
    overlap,
)
from transfer.segmentation.protocols import SEGMENTATION_PROTOCOLS, described, resolve_protocol
from transfer.stages import choose_stage
from transfer.training import FrameworkRun, every


def run(config: SegmentConfig) -> list[Record]:
    """`segment` with what `config` names."""
    return _train(config, config.backbone, config.data.train, config.data.test)


def segment(
    backbone: AnyBackbone,
    train: AnySegmentation,
    test: AnySegmentation,
    *,
    out: str | Path | None = None,
    **keys: Any,
) -> list[Record]:
    """Train a segmentation network on a backbone with mmsegmentation.

    Args:
        backbone: see `open_backbone`; it is left as it is.
        train, test: addresses as in `SegmentationDataConfig`, or each a `SegmentationDataset`; the key `classes` then
            names the values 0, 1, ... of its masks.
        out: folder of the results, from whose last checkpoint the run resumes; None leaves nothing behind.
        keys: of `SegmentConfig` and `SegmentationDataConfig`, by their own names.

    Returns:
        For each metric a record, of the test after the last step.

    Raises:
        ValueError: mmsegmentation is not installed, an argument or the data cannot be used as they are, or the folder
            holds another run.
        RunFailedError: the loss became NaN or infinite.
        OSError: a file could not be written, such as on a full disk.
        StoppedError: SIGINT or SIGTERM came; everything was saved.
    """
    config = config_of(SegmentConfig, backbone, train, test, out, keys)
    return _train(config, backbone, train, test)


def _train(
    config: SegmentConfig, backbone: AnyBackbone, train: AnySegmentation, test: AnySegmentation
) -> list[Record]:
    require_framework("segment")
    from transfer.segmentation.adapter import build_segmentor
    from transfer.segmentation.evaluation import Evaluation
    from transfer.segmentation.loading import test_loader, train_loader
    from transfer.segmentation.runner import RunHook, build_runner

    recipe, published = resolve_protocol(config), SEGMENTATION_PROTOCOLS[config.protocol]
    schedule = recipe.schedule
    with start_run(config) as run, StopSignal(run.world) as stop:
        # ------------------------------------------------------------------------------ check
        world = run.world
        splits, test_images = world.on_main(lambda: open_segmentation(train, test, config.data.classes))

        # ------------------------------------------------------------------------------ build
        images = [image for split in splits for image in split.images]
        opened = open_backbone(
            backbone,
            config.seed,
            lambda: crops_to_rescale_on(
                (len(images),), lambda i: images[i].read()[0], central_square, config.seed
            ),
            colour_input=config.colour_input,
        )
        stages = config.stages or [choose_stage(opened.network, config.stage, fully_connected=True)]
        torch.manual_seed(config.seed)
        network = build_segmentor(
            opened.network,
            recipe,
            stages=stages,
            num_classes=len(test_images.classes),
            train_from=config.train_from,
        ).to(world.device)
        frozen = frozen_tensors(network)
        train_data = train_loader(
            splits,
            recipe,
            seed=config.seed,
            world=world,
            num_workers=config.data.num_workers,
        )
        test_data = test_loader(test_images, recipe, world=world, num_workers=config.data.num_workers)
        run.held.callback(train_data.close)
        run.held.callback(test_data.close)

        # ----------------------------------------------------------------------------- resume
        run.take_folder()
        training = FrameworkRun(
            run,
            opened,
            len(images),
            num_steps=schedule.steps,
            batch_size=schedule.batch_size,
            save_steps=every(config.save_every, schedule.steps),
            test_steps=every(config.evaluate_every, schedule.steps),
            stop=stop,
        )
        for split in (*splits, test_images):
            for line in (split.summary(), *split.notes()):
                training.progress.say(line)
        if shared := overlap(splits, test_images):
            training.progress.say(
                f"{shared} of the {len(test_images.images)} test images are trained on: results say little"
            )
        trained = sum(p.numel() for p in network.parameters() if p.requires_grad) / 1e6
        training.progress.say(
            f"{opened.name}, {described(config, '+'.join(stages))}, trained from {config.train_from} ({trained:.1f} M "
            f"parameters), on {world.device} x {world.size}: {schedule.described(published.schedule)}"
        )

        # ------------------------------------------------------------------------------ train
        runner = build_runner(
            network,
            recipe,
            folder=run.folder.path / "mmengine",
            seed=config.seed,
            world=world,
            train_data=train_data,
            test_data=test_data,
            hook=RunHook(
                training,
                network,
                Evaluation(test_images, world),
                seed=config.seed,
                world=world,
                test_scales=recipe.test_scales,
            ),
        )
        runner.train()

        # -------------------------------------------------------------------------------- end
        assert_unchanged(network, frozen)
        training.end()
        details = {
            "train_images": sum(len(split.images) for split in splits),
            "test_images": len(test_images.images),
            "classes": len(test_images.shown_classes),
            "notes": [note for split in (*splits, test_images) for note in split.notes()],
        }
        records = make_records(
            training.rows[-1],
            details,
            task="segment",
            data=data_name(config.data),
            protocol=described(config, "+".join(stages)),
            backbone=opened.name,
            weights=opened.sha256,
            stage=config.train_from,
            seed=config.seed,
            settings=recipe.changes_from(published),
            versions=package_versions()
            | {name: module_version(name) for name in ("mmseg", "mmengine", "mmcv")},
        )
        return run.finish(records, results_table(records), training.progress.say)
