"""Training a segmentation network: check -> build -> resume -> mmengine's loop -> results."""

from contextlib import ExitStack
from dataclasses import asdict

import torch

from pretext.runtime.checkpoint import load_checkpoint
from pretext.runtime.command_line import StoppedError
from pretext.runtime.distributed import join_world
from pretext.runtime.metrics_log import MetricsLog
from pretext.runtime.progress import Progress
from pretext.runtime.run_dir import RunDir, free_keys
from pretext.runtime.stop_signal import StopSignal
from transfer.backbone import open_backbone
from transfer.config import SegmentConfig
from transfer.data.sample_crops import sample_crops
from transfer.frameworks import require_framework
from transfer.partial_training import assert_unchanged, frozen_tensors
from transfer.results import results_table, write_records
from transfer.resume import refuse_another
from transfer.segmentation.data import open_segmentation, overlap, summary
from transfer.segmentation.protocols import SEGMENTATION_PROTOCOLS, described, resolve_protocol
from transfer.stages import choose_stage


def segment(config: SegmentConfig) -> None:
    """Run `config` to its end, from its last checkpoint where there is one, and write the results.

    Raises:
        ValueError: mmsegmentation is not installed, the configuration or its data cannot be used as they are, or the
            folder holds another run.
        RunFailedError: the loss became NaN or infinite.
        OSError: a file could not be written, such as on a full disk.
        StoppedError: SIGINT or SIGTERM came; everything was saved.
    """
    require_framework("segment")
    from transfer.segmentation.adapter import build_segmentor
    from transfer.segmentation.evaluation import PeriodicEvaluation
    from transfer.segmentation.loading import test_loader, train_loader
    from transfer.segmentation.records import segmentation_records
    from transfer.segmentation.runner import TrainingHook, build_runner

    with join_world(config.device) as world, StopSignal(world) as stop, ExitStack() as opened:
        # ------------------------------------------------------------------------------ check
        protocol, schedule = resolve_protocol(config)
        train, test = world.on_main(lambda: open_segmentation(config.data))

        # ------------------------------------------------------------------------------ build
        paths = [image.path for images in train for image in images.images]
        backbone = open_backbone(
            config.backbone,
            config.seed,
            lambda: sample_crops(paths, config.seed),
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
        tests = PeriodicEvaluation(test, world)

        # ----------------------------------------------------------------------------- resume
        run_dir = RunDir(config.out)
        world.on_main(lambda: run_dir.prepare(asdict(config), opened, free=free_keys(config)))
        state = load_checkpoint(run_dir.last_checkpoint) if run_dir.last_checkpoint.exists() else None
        if state:
            refuse_another(state, config, backbone, len(paths))
            tests.rows = state["tests"]
        first_step = state["step"] if state else 0
        log = opened.enter_context(MetricsLog(run_dir, first_step)) if world.is_main else None
        progress = opened.enter_context(Progress(schedule.steps, initial=first_step, visible=world.is_main))
        for images in (*train, test):
            for line in (summary(images), *images.notes()):
                progress.say(line)
        if shared := overlap(train, test):
            progress.say(f"{shared} of the {len(test.images)} test images are trained on: results say little")
        trained = sum(p.numel() for p in network.parameters() if p.requires_grad) / 1e6
        published = SEGMENTATION_PROTOCOLS[config.protocol].schedule
        progress.say(
            f"{backbone.name}, {described(config, stage)}, trained from {config.train_from} ({trained:.1f} M "
            f"parameters), on {world.device} x {world.size}: {schedule.described(published)}"
        )
        if first_step:
            progress.say(f"going on after step {first_step} of {schedule.steps} in {run_dir.path}")

        # ------------------------------------------------------------------------------ train
        hook = TrainingHook(
            network=network,
            config=config,
            schedule=schedule,
            tests=tests,
            begun={"backbone": backbone.sha256, "num_images": len(paths)},
            state=state,
            run_dir=run_dir,
            world=world,
            stop=stop,
            log=log,
            progress=progress,
        )
        runner = build_runner(
            network,
            protocol,
            schedule,
            run_dir=run_dir,
            seed=config.seed,
            world=world,
            train_data=train_data,
            test_data=test_data,
            hook=hook,
        )
        runner.train()

        # -------------------------------------------------------------------------------- end
        assert_unchanged(network, frozen)
        if hook.stopped_by:
            raise StoppedError.after_step(
                runner.iter, schedule.steps, run_dir.last_checkpoint, hook.stopped_by
            )
        records = segmentation_records(config, backbone, stage, train, test, tests.rows)
        if world.is_main:
            path = write_records(run_dir.path, records)
            progress.say(f"{results_table(records)}\nresults     {path}")
