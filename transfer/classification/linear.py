"""Linear classification on frozen features: build -> resume -> step -> log -> test -> save, from top to bottom."""

import time
from contextlib import ExitStack
from dataclasses import asdict
from itertools import chain

import torch
from torch import Tensor

from pretext.broken_files import BrokenFiles
from pretext.images.workers import LostWorkerError
from pretext.runtime.checkpoint import load_checkpoint, save_checkpoint
from pretext.runtime.command_line import StoppedError
from pretext.runtime.distributed import join_world
from pretext.runtime.metrics_log import MetricsLog
from pretext.runtime.progress import Progress
from pretext.runtime.run_dir import RunDir, free_keys
from pretext.runtime.stop_signal import StopSignal
from transfer.backbone import choose_stages, frozen, open_backbone
from transfer.classification.head_losses import HeadLosses
from transfer.classification.head_test_series import HeadTestSeries, choose_test_steps
from transfer.classification.heads import LinearHeads
from transfer.classification.linear_records import linear_records, results_table
from transfer.classification.protocols import resolve
from transfer.classification.training_crops import draw_training_crops
from transfer.config import LinearConfig
from transfer.data.batches import train_batches
from transfer.data.labelled import open_labelled
from transfer.results import write_records
from transfer.resume import refuse_another

LOG_EVERY = 50  # steps


def linear(config: LinearConfig) -> None:
    """Run `config` to its end, from its last checkpoint where there is one, and write the results.

    Raises:
        ValueError: the configuration cannot be run as it is, or the folder holds another run.
        RunFailedError: a loss became NaN or infinite, or too many images are unreadable.
        OSError: a file could not be written, such as on a full disk.
        StoppedError: SIGINT or SIGTERM came; everything was saved.
    """
    with join_world(config.device) as world, StopSignal(world) as stop, ExitStack() as opened:
        # ------------------------------------------------------------------------------ build
        device = world.device
        torch.backends.cudnn.benchmark = True  # all crops have one size
        protocol = resolve(config.protocol, config.data)
        train, test = open_labelled(config.data)
        num_images = len(train.source)
        epochs, batch_size = config.epochs or protocol.epochs, config.batch_size or protocol.batch_size
        test_steps = choose_test_steps(epochs, config.evaluate_every, num_images, batch_size)
        num_steps = max(test_steps)
        backbone = open_backbone(
            config.backbone,
            config.seed,
            lambda: draw_training_crops(train, protocol.train_cut(), config.seed),
        )
        network = backbone.network.to(device).to(memory_format=torch.channels_last)
        specs = {stage: network.stages[stage] for stage in choose_stages(network, config.stages)}
        heads = LinearHeads(
            {stage: (spec.channels, protocol.grid(stage, spec)) for stage, spec in specs.items()},
            len(train.classes),
            config.learning_rates or [protocol.lr],
            protocol,
            seed=config.seed,
            world=world,
        )
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")

        @torch.no_grad()
        def pooled_features(rgb: Tensor) -> dict[str, Tensor]:
            with autocast:
                maps = network.forward_stages(rgb.to(device, non_blocking=True) / 255, list(specs))
            return {stage: protocol.pool(stage, spec, maps[stage]) for stage, spec in specs.items()}

        tests = HeadTestSeries(
            test, protocol, pooled_features, batch_size=batch_size, data=config.data, world=world
        )

        # ----------------------------------------------------------------------------- resume
        run_dir = RunDir(config.out)
        world.on_main(lambda: run_dir.prepare(asdict(config), opened, free=free_keys(config)))
        first_step = 0
        broken = BrokenFiles({}, num_images=num_images, max_share=config.data.max_broken_share)
        if run_dir.last_checkpoint.exists():
            state = load_checkpoint(run_dir.last_checkpoint)
            refuse_another(state, config, backbone, num_images)
            heads.restore(state)
            first_step, tests.rows = state["step"], state["tests"]
            broken.reasons, tests.broken.reasons = state["broken_files"], state["broken_test_files"]
        batches = train_batches(
            train,
            protocol.train_cut(),
            seed=config.seed,
            num_steps=num_steps,
            batch_size=batch_size,
            start_step=first_step,
            world=world,
            num_workers=config.data.num_workers,
            short_side=None if protocol.random_resized else protocol.image_size,
            pin_memory=device.type == "cuda",
        )
        opened.enter_context(frozen(network))
        log = opened.enter_context(MetricsLog(run_dir, first_step)) if world.is_main else None
        progress = opened.enter_context(Progress(num_steps, initial=first_step, visible=world.is_main))
        progress.say(
            f"{backbone.name}, {protocol.described(config.data)}, {', '.join(specs)}, learning rates "
            f"{', '.join(f'{lr:g}' for lr in heads.learning_rates)}, {num_images} training and {len(test.source)} test "
            f"images of {len(train.classes)} classes, on {device} x {world.size}"
        )
        if first_step:
            progress.say(f"going on after step {first_step} of {num_steps} in {run_dir.path}")
        running_losses = HeadLosses(heads, world)
        errors: list[tuple[str, str]] = []
        logged_step, clock, stopped_by = first_step, time.perf_counter(), 0

        def save(done: int) -> None:
            state = {
                "step": done,
                **heads.checkpoint(),
                "tests": tests.rows,
                "backbone": backbone.sha256,
                "num_images": num_images,
                "broken_files": broken.reasons,
                "broken_test_files": tests.broken.reasons,
            }
            save_checkpoint(run_dir.last_checkpoint, state)

        # ------------------------------------------------------------------------------- step
        for step in range(first_step, num_steps):
            heads.train()
            lr_factor = protocol.lr_factor(step, num_steps)
            try:
                batch = next(batches)
            except LostWorkerError:
                if world.size == 1 and step > first_step:
                    broken.add(errors)
                    save(step)
                    progress.say(f"saved after step {step} in {run_dir.last_checkpoint}")
                raise
            errors += batch.errors
            readable = torch.from_numpy(~batch.broken).to(device)
            features = pooled_features(batch.rgb)
            loss_sums = heads.train_step(features, batch.labels.to(device), readable, lr_factor)
            running_losses.add(loss_sums, readable)
            progress.advance()
            done = step + 1
            stopped_by = stop.agreed()
            is_saved = done in test_steps or stopped_by

            # ---------------------------------------------------------------------------- log
            if done % LOG_EVERY == 0 or is_saved:  # so that a checkpoint knows every broken file
                losses = running_losses.take(done)
                seconds = (time.perf_counter() - clock) / (done - logged_step)
                for line in broken.add(chain.from_iterable(world.gather(errors))):
                    progress.say(line)
                errors = []
                broken.check(done * batch_size)
                speed = {"lr_factor": lr_factor, "images_per_second": batch_size / seconds}
                if log:
                    log.write(done, losses | speed | {"broken_files": len(broken.reasons)})
                shown = {"lowest loss": min(losses.values()), "highest loss": max(losses.values())}
                progress.show(done, shown | speed, seconds_left=(num_steps - done) * seconds)
                logged_step, clock = done, time.perf_counter()

            # --------------------------------------------------------------------------- test
            if done in test_steps:
                row = tests.run(heads, test_steps[done], progress)
                if log:
                    log.write(done, row)
                logged_step, clock = done, time.perf_counter()

            # --------------------------------------------------------------------------- save
            if is_saved and world.is_main:
                save(done)
            if stopped_by:
                break

        # -------------------------------------------------------------------------------- end
        for kind, files in (("training", broken), ("test", tests.broken)):
            if files.reasons:
                progress.say(f"{len(files.reasons)} broken {kind} files were skipped: {files.listing()}")
        if stopped_by:
            raise StoppedError.after_step(done, num_steps, run_dir.last_checkpoint, stopped_by)
        records = linear_records(config, protocol, backbone, heads, train, test, broken, tests)
        if world.is_main:
            path = write_records(run_dir.path, records)
            progress.say(f"{results_table(records)}\nresults     {path}")
