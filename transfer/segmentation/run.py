"""Training a segmentation network: check -> build -> resume -> mmengine's loop -> results."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from pretext.runtime.stop_signal import StopSignal
from transfer.backbone import AnyBackbone, OpenedBackbone, open_backbone
from transfer.framework_training import FrameworkRun
from transfer.frameworks import module_version, require_framework
from transfer.partial_training import assert_unchanged, frozen_tensors
from transfer.rescaling import central_square, crops_to_rescale_on
from transfer.results import Record, last_and_best, package_versions, results_table
from transfer.runs import arguments_of, config_of, start_run
from transfer.schedule import settings
from transfer.segmentation.config import SegmentationProtocolName, SegmentConfig
from transfer.segmentation.data import (
    AnySegmentation,
    SegmentationImages,
    data_name,
    open_segmentation,
    overlap,
    summary,
)
from transfer.segmentation.protocols import SEGMENTATION_PROTOCOLS, described, resolve_protocol
from transfer.stages import choose_stage


def run(config: SegmentConfig) -> list[Record]:
    """`segment` with what `config` names."""
    data = config.data
    return segment(config.backbone, data.train, data.test, **arguments_of(config, segment), config=config)


def segment(
    backbone: AnyBackbone,
    train: AnySegmentation,
    test: AnySegmentation,
    *,
    out: str | Path | None = None,
    protocol: SegmentationProtocolName = "plain",
    stage: str | None = None,
    train_from: str = "all",
    batch_norm: Literal["train", "frozen"] | None = None,
    colour_input: bool = False,
    steps: int | None = None,
    batch_size: int | None = None,
    lr: float | None = None,
    classes: Sequence[str] | None = None,
    name: str | None = None,
    image_size: tuple[int, int] | None = None,
    crop_size: int | None = None,
    num_workers: int = 2,
    seed: int = 0,
    save_every: int = 1000,
    evaluate_every: int = 5000,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    config: SegmentConfig | None = None,
) -> list[Record]:
    """Train a segmentation network on a backbone with mmsegmentation.

    The other arguments are the keys of `SegmentConfig` and `SegmentationDataConfig`, which say what they are.

    Args:
        backbone: see `open_backbone`; it is left as it is.
        train, test: addresses as in `SegmentationDataConfig`, or each a `SegmentationDataset`.
        classes: of a `SegmentationDataset` the names of 0, 1, ... in its masks.
        out: folder of the results, from whose last checkpoint the run resumes; None leaves nothing behind.
        config: what `out` says of the run; None makes it of these arguments.

    Returns:
        For each metric a record of the last test, and one of that with the highest value, the first of equals.

    Raises:
        ValueError: mmsegmentation is not installed, an argument or the data cannot be used as they are, or the folder
            holds another run.
        RunFailedError: the loss became NaN or infinite.
        OSError: a file could not be written, such as on a full disk.
        StoppedError: SIGINT or SIGTERM came; everything was saved.
    """
    config = config or config_of(SegmentConfig, locals())
    require_framework("segment")
    from transfer.segmentation.adapter import build_segmentor
    from transfer.segmentation.evaluation import Evaluation
    from transfer.segmentation.loading import test_loader, train_loader
    from transfer.segmentation.runner import RunHook, build_runner

    recipe, schedule = resolve_protocol(config)
    with start_run(config, out) as run, StopSignal(run.world) as stop:
        # ------------------------------------------------------------------------------ check
        world = run.world
        splits, test_images = world.on_main(lambda: open_segmentation(train, test, classes))

        # ------------------------------------------------------------------------------ build
        images = [image for split in splits for image in split.images]
        opened = open_backbone(
            backbone,
            seed,
            lambda: crops_to_rescale_on((len(images),), lambda i: images[i].read()[0], central_square, seed),
            colour_input=colour_input,
        )
        stage = choose_stage(opened.network, stage, fully_connected=True)
        torch.manual_seed(seed)
        network = build_segmentor(
            opened.network,
            recipe,
            stage=stage,
            num_classes=len(test_images.classes),
            train_from=train_from,
        ).to(world.device)
        frozen = frozen_tensors(network)
        train_data = train_loader(
            splits,
            recipe,
            seed=seed,
            num_steps=schedule.steps,
            batch_size=schedule.batch_size,
            world=world,
            num_workers=num_workers,
        )
        test_data = test_loader(test_images, recipe, world=world, num_workers=num_workers)

        # ----------------------------------------------------------------------------- resume
        run_dir = run.take_folder()
        training = FrameworkRun(
            run,
            schedule,
            opened,
            len(images),
            save_every=save_every,
            evaluate_every=evaluate_every,
            stop=stop,
        )
        for split in (*splits, test_images):
            for line in (summary(split), *split.notes()):
                training.progress.say(line)
        if shared := overlap(splits, test_images):
            training.progress.say(
                f"{shared} of the {len(test_images.images)} test images are trained on: results say little"
            )
        trained = sum(p.numel() for p in network.parameters() if p.requires_grad) / 1e6
        training.progress.say(
            f"{opened.name}, {described(config, stage)}, trained from {train_from} ({trained:.1f} M parameters), on "
            f"{world.device} x {world.size}: {schedule.described(SEGMENTATION_PROTOCOLS[protocol].schedule)}"
        )

        # ------------------------------------------------------------------------------ train
        runner = build_runner(
            network,
            recipe,
            schedule,
            folder=run_dir.path / "mmengine",
            seed=seed,
            world=world,
            train_data=train_data,
            test_data=test_data,
            hook=RunHook(training, network, Evaluation(test_images, world), seed=seed, world=world),
        )
        runner.train()

        # -------------------------------------------------------------------------------- end
        assert_unchanged(network, frozen)
        training.raise_if_stopped()
        records = _records(config, opened, stage, splits, test_images, training.rows)
        return run.finish(records, results_table(records), training.progress.say)


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
