"""Training: build -> resume -> step -> log -> validate -> save, from top to bottom."""

import dataclasses
import time
from contextlib import ExitStack, nullcontext
from itertools import chain
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pretext.broken_files import BrokenFiles
from pretext.build import build_objective, choose_bins, open_sources, refuse_grey, start_from
from pretext.color.bins import AbBins
from pretext.color.lab import rgb_to_lab
from pretext.colorizer import Colorizer
from pretext.config import TrainConfig
from pretext.figures import draw_curves
from pretext.gallery import Gallery
from pretext.images.loader import training_batches, validation_batches
from pretext.images.sources import ImageSource, names_hash
from pretext.images.workers import LostWorkerError
from pretext.networks import build_network
from pretext.networks.synchronised_batch_norm import synchronise_batch_norm
from pretext.running_losses import RunningLosses
from pretext.runtime.checkpoint import load_checkpoint, save_checkpoint
from pretext.runtime.command_line import StoppedError, flatten
from pretext.runtime.distributed import choose_precision, join_world
from pretext.runtime.metrics_log import MetricsLog, read_metrics
from pretext.runtime.progress import Progress
from pretext.runtime.run_dir import RunDir, free_keys
from pretext.runtime.stop_signal import StopSignal
from pretext.runtime.whole_file import whole_file
from pretext.schedule import learning_rate
from pretext.validation import validate

COSINE_STEPS = {"steps": "the cosine schedule's learning rates depend on it"}
COLOURS_EVERY = 10  # steps between two looks at the training images' colours, which only validation reports


def train(config: TrainConfig) -> None:
    """Run `config` to its end, from its last checkpoint where there is one.

    Raises:
        ValueError: the configuration cannot be run as it is, or the run directory holds another run.
        RunFailedError: the loss became NaN or infinite, too many images are unreadable, or a process that reads them
            was killed (everything was saved where this is the only training process).
        OSError: a file could not be written; the last checkpoint is whole.
        StoppedError: SIGINT or SIGTERM came; everything was saved.
    """
    with join_world(config.device) as world, StopSignal(world) as stop, ExitStack() as opened:
        # ------------------------------------------------------------------------------ build
        device = world.device
        torch.backends.cudnn.benchmark = True  # all crops have one size
        train_source, validation_source, gallery_sources, remarks = open_sources(config.data, config.seed)
        world.on_main(lambda: refuse_grey(train_source, config.data.train))
        bins = choose_bins(config, train_source, visible=world.is_main)
        torch.manual_seed(config.seed)
        network = build_network(
            config.network.name,
            num_bins=None if bins is None else len(bins.centres),
            width=config.network.width,
        )
        run_dir = RunDir(config.run_dir)
        started = None
        if config.init and not run_dir.last_checkpoint.exists():
            started = start_from(network, config.init, config.network, bins)
        network.to(device).to(memory_format=torch.channels_last)
        if bins is not None:
            network.set_bin_centres(bins.centres)
        objective = build_objective(config.objective, bins).to(device)
        optimizer = torch.optim.Adam(
            [p for p in network.parameters() if p.requires_grad],
            betas=config.optim.betas,
            weight_decay=config.optim.weight_decay,
        )
        colorizer = Colorizer(
            network, bins, size=config.data.image_size, temperature=config.objective.temperature
        )
        precision = choose_precision(config.precision, device)
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
        stride = network.output_stride

        # ----------------------------------------------------------------------------- resume
        steps_are_free = (
            config.optim.schedule == "step"
        )  # then the steps so far were the same with any number
        world.on_main(
            lambda: run_dir.prepare(
                dataclasses.asdict(config),
                opened,
                free=free_keys(config) | ({"steps"} if steps_are_free else set()),
                fixed_because={"steps": "the cosine schedule depends on it"},
            )
        )
        if world.is_main:
            run_dir.samples.mkdir(exist_ok=True)
        first_step = 0
        broken_validation = BrokenFiles({}, num_images=len(validation_source), max_share=1.0)
        training_colours = objective.colour_statistics(torch.zeros(1, 2, 1, 1, device=device))
        broken = BrokenFiles({}, num_images=len(train_source), max_share=config.data.max_broken_share)
        if run_dir.last_checkpoint.exists():
            state = load_checkpoint(run_dir.last_checkpoint)
            refuse_another(state, config, bins, train_source)
            network.load_state_dict(state["network"])
            optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["random_state"])
            first_step, broken.reasons = state["step"], state["broken_files"]
            if world.is_main:
                training_colours = state["training_colours"].to(device)
        batches = training_batches(
            train_source,
            seed=config.seed,
            start_step=first_step,
            num_steps=config.steps,
            batch_size=config.batch_size,
            rank=world.rank,
            world_size=world.size,
            micro_batches=config.accumulation_steps,
            image_size=config.data.image_size,
            crop_size=config.data.crop_size,
            num_workers=config.data.num_workers,
            pin_memory=device.type == "cuda",
        )
        if world.size > 1:
            synchronise_batch_norm(network)  # so that a step is the same however many processes share it
        if config.compile:
            network.compile()
        model: nn.Module = network if world.size == 1 else DistributedDataParallel(network)
        log = opened.enter_context(MetricsLog(run_dir, first_step)) if world.is_main else None
        gallery = Gallery(gallery_sources, config.data.image_size, config.gallery_images)
        progress = opened.enter_context(Progress(config.steps, initial=first_step, visible=world.is_main))
        progress.say(
            f"{config.network.name} (width {config.network.width:g}, "
            f"{sum(p.numel() for p in network.parameters()) / 1e6:.1f} M parameters), {config.objective.name}, "
            f"{len(train_source)} training and {len(validation_source)} validation images, "
            f"on {device} x {world.size}, {precision}"
        )
        for line in remarks:
            progress.say(line)
        if first_step:
            progress.say(f"going on after step {first_step} of {config.steps} in {run_dir.path}")
        elif started:
            progress.say(started)
        losses_since_log = RunningLosses(world)
        errors: list[tuple[str, str]] = []
        logged_step, clock = first_step, time.perf_counter()
        done, stopped_by = first_step, 0

        def save(*paths: Path) -> None:
            """The state after step `done`; every process calls it."""
            all_training_colours = world.sum(training_colours.clone())
            if not world.is_main:
                return
            state = {
                "step": done,
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "random_state": torch.get_rng_state(),
                "bins": None if bins is None else {"centres": bins.centres, "prior": bins.prior},
                "training_colours": all_training_colours,
                "images": names_hash(train_source),
                "broken_files": broken.reasons,
                "config": dataclasses.asdict(config),
            }
            for path in paths:
                save_checkpoint(path, state)

        # ------------------------------------------------------------------------------- step
        for step in range(first_step, config.steps):
            network.train()
            lr = learning_rate(
                step,
                base=config.optim.lr,
                schedule=config.optim.schedule,
                num_steps=config.steps,
                warmup_steps=config.optim.warmup_steps,
                lr_steps=config.optim.lr_steps,
            )
            for group in optimizer.param_groups:
                group["lr"] = lr
            for part in range(config.accumulation_steps):
                try:
                    batch = next(batches)
                except LostWorkerError:
                    if world.size == 1 and done > first_step:
                        losses_since_log.check_finite()
                        broken.add(errors)
                        save(run_dir.last_checkpoint)
                        progress.say(f"saved after step {done} in {run_dir.last_checkpoint}")
                    raise
                errors += batch.errors
                lab = rgb_to_lab(batch.rgb.to(device, non_blocking=True) / 255)
                # Processes exchange gradients once a step, with its last part.
                is_last_part = part == config.accumulation_steps - 1
                with nullcontext() if is_last_part or world.size == 1 else model.no_sync():  # type: ignore[operator]
                    with autocast:
                        output = model(lab[:, :1])
                    targets = lab[:, 1:, ::stride, ::stride]
                    losses = objective(output, targets)
                    # Over all images of the batch, the grey ones' zeros included, as in the released layer:
                    # so the gradient is the same however a batch is shared among processes and parts.
                    (losses.loss.sum() / (len(batch.rgb) * config.accumulation_steps)).backward()
                losses_since_log.add(step, losses)
            if step % COLOURS_EVERY == 0:
                training_colours += objective.colour_statistics(targets)
            if config.optim.clip_norm is not None:
                nn.utils.clip_grad_norm_(network.parameters(), config.optim.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            progress.advance()
            done = step + 1
            is_last = done == config.steps
            stopped_by = stop.agreed()

            # ---------------------------------------------------------------------------- log
            if done % config.log_every == 0 or is_last or stopped_by:
                losses_since_log.check_finite()
                seconds = (time.perf_counter() - clock) / (done - logged_step)
                for line in broken.add(chain.from_iterable(world.gather(errors))):
                    progress.say(line)
                errors = []
                broken.check(done * config.batch_size)
                row = losses_since_log.take() | {
                    "broken_files": len(broken.reasons),
                    "lr": lr,
                    "images_per_second": config.batch_size / seconds,
                }
                if log:
                    log.write(done, row)
                names = ("loss", "loss_unweighted", "lr", "images_per_second")
                shown = {name: row[name] for name in names if name in row}
                progress.show(done, shown, seconds_left=(config.steps - done) * seconds)
                logged_step, clock = done, time.perf_counter()

            # ----------------------------------------------------------------------- validate
            if done % config.validate_every == 0 or is_last:
                losses_since_log.check_finite()
                validation_data = validation_batches(
                    validation_source,
                    size=config.data.image_size,
                    batch_size=config.batch_size // world.size,
                    rank=world.rank,
                    world_size=world.size,
                    num_workers=config.data.num_workers,
                )
                row, unreadable = validate(
                    colorizer, objective, validation_data, world, autocast, training_colours
                )
                for line in broken_validation.add(chain.from_iterable(world.gather(unreadable))):
                    progress.say(line)
                progress.say(
                    f"validation at step {done}: loss {row.get('validation_loss', nan):.3f} (answering the training "
                    f"prior: {row.get('validation_constant_answer', nan):.3f}), PSNR {row['validation_psnr']:.2f} dB "
                    f"(left grey: {row['validation_psnr_grey']:.2f})"
                )
                if log:
                    log.write(done, row)
                    picture = gallery.paint(colorizer, f"step {done}")
                    with whole_file(run_dir.gallery(done)) as file:
                        picture.save(file, format="png")
                    log.write_image(done, "gallery", np.asarray(picture))
                    draw_curves(read_metrics(run_dir.metrics), run_dir.curves)
                logged_step, clock = done, time.perf_counter()

            # --------------------------------------------------------------------------- save
            kept = config.keep_every is not None and done % config.keep_every == 0
            if done % config.save_every == 0 or kept or is_last or stopped_by:
                losses_since_log.check_finite()
                save(run_dir.last_checkpoint, *([run_dir.step_checkpoint(done)] if kept else []))
            if stopped_by:
                break

        # -------------------------------------------------------------------------------- end
        for name, files in (("training", broken), ("validation", broken_validation)):
            if files.reasons:
                progress.say(f"{len(files.reasons)} broken {name} files were skipped: {files.listing()}")
        if stopped_by:
            raise StoppedError.after_step(done, config.steps, run_dir.last_checkpoint, stopped_by)
        progress.say(
            f"gallery     {run_dir.gallery(config.steps)}\n"
            f"curves      {run_dir.curves}\n"
            f"checkpoint  {run_dir.last_checkpoint}"
        )


def refuse_another(
    state: dict[str, Any], config: TrainConfig, bins: AbBins | None, images: ImageSource
) -> None:
    """Raises ValueError if a checkpoint is of another network or objective, with other bins or data, or too late."""
    stored = flatten(state["config"])
    for key, value in flatten(dataclasses.asdict(config)).items():
        if key.startswith(("network.", "objective.")) and stored.get(key) != value:
            raise ValueError(
                f"the checkpoint in {config.run_dir} was trained with {key} {stored.get(key)!r}, not {value!r}; "
                "begin a new run_dir"
            )
    if bins is not None and not torch.equal(state["bins"]["centres"], bins.centres):
        raise ValueError(
            f"the checkpoint in {config.run_dir} has other bins than {config.objective.bins} has now; restore that "
            "file, or begin a new run_dir"
        )
    if state["images"] != names_hash(images):
        raise ValueError(
            f"{config.data.train} no longer holds the images, by number and names, with which {config.run_dir} was "
            "begun; restore them, or begin a new run_dir"
        )
    if state["step"] > config.steps:
        raise ValueError(
            f"{config.run_dir} is already at step {state['step']}, beyond the {config.steps} steps asked for; give "
            "more steps, or begin a new run_dir"
        )
