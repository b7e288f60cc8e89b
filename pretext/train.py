"""Training: build -> resume -> step -> validate -> save, from top to bottom."""

import dataclasses
import shlex
import signal
import sys
import time
from contextlib import nullcontext

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pretext.color.lab import rgb_to_lab
from pretext.colorizer import Colorizer
from pretext.config import DataConfig, TrainConfig
from pretext.data.loader import training_batches
from pretext.data.sources import ImageSource, SubsetSource, open_source, split_source
from pretext.figures import draw_curves
from pretext.networks import build_network
from pretext.objective import build_objective
from pretext.prior import load_bins
from pretext.runtime.checkpoint import load_checkpoint, save_checkpoint
from pretext.runtime.command_line import RunFailedError, StoppedError
from pretext.runtime.distributed import join_world
from pretext.runtime.metrics_log import MetricsLog, read_metrics
from pretext.runtime.progress import Progress
from pretext.runtime.run_dir import RunDir
from pretext.runtime.stop_signal import StopSignal
from pretext.running_losses import RunningLosses
from pretext.schedule import learning_rate
from pretext.validation import paint_gallery, validate

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def train(config: TrainConfig) -> None:
    """Run `config` to its end, from its last checkpoint where there is one.

    Raises:
        ValueError: the configuration cannot be run as it is, or the run directory holds another run.
        RunFailedError: the loss became NaN or infinite, too many images are unreadable, the disk is full.
        StoppedError: SIGINT or SIGTERM came; everything was saved.
    """
    with join_world(config.device) as world, StopSignal(world) as stop:
        # ------------------------------------------------------------------------------ build
        train_source, validation_source = open_data(config.data, config.seed)
        bins = None if config.objective.name == "regression" else load_bins(config.objective.bins)
        torch.manual_seed(config.seed)
        network = build_network(
            config.network.name, num_bins=None if bins is None else len(bins.centres), width=config.network.width
        ).to(world.device, memory_format=torch.channels_last)
        if bins is not None:
            network.set_bin_centres(bins.centres)
        objective = build_objective(config.objective, bins).to(world.device)
        optimizer = torch.optim.Adam(
            [p for p in network.parameters() if p.requires_grad],
            betas=config.optim.betas,
            weight_decay=config.optim.weight_decay,
        )
        colorizer = Colorizer(network, bins, size=config.data.image_size, temperature=config.objective.temperature)
        autocast = torch.autocast(
            world.device.type, PRECISIONS[config.precision], enabled=config.precision != "float32"
        )
        stride = network.output_stride

        # ----------------------------------------------------------------------------- resume
        run_dir = RunDir(config.run_dir)
        if world.is_main:
            run_dir.prepare(dataclasses.asdict(config))
        world.wait()
        first_step = 0
        broken: dict[str, str] = {}
        if run_dir.last_checkpoint.exists():
            state = load_checkpoint(run_dir.last_checkpoint)
            network.load_state_dict(state["network"])
            optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["random_state"])
            first_step, broken = state["step"], state["broken"]
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
            pin_memory=world.device.type == "cuda",
        )
        model: nn.Module = network
        if config.compile:
            network.compile()
        if world.size > 1:
            model = DistributedDataParallel(network)
        log = MetricsLog(run_dir, first_step) if world.is_main else None
        progress = Progress(config.steps, initial=first_step, visible=world.is_main)
        losses_since = RunningLosses(world)
        errors: list[tuple[str, str]] = []
        logged_step, logged_time = first_step, time.perf_counter()
        progress.say(...)

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
                batch = next(batches)
                errors += batch.errors
                lab = rgb_to_lab(batch.rgb.to(world.device, non_blocking=True) / 255)
                last_part = part == config.accumulation_steps - 1
                with nullcontext() if last_part or world.size == 1 else model.no_sync():
                    with autocast:
                        output = model(lab[:, :1])
                    losses = objective(output, lab[:, 1:, ::stride, ::stride])
                    # The mean over all positions, grey images' zeros included, as in the released layer: so
                    # the parts of a batch add up to its gradient, however it is shared.
                    (losses.loss.sum() / (len(batch.rgb) * config.accumulation_steps)).backward()
                losses_since.add(step, losses)
            if config.optim.clip_norm is not None:
                nn.utils.clip_grad_norm_(network.parameters(), config.optim.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            progress.advance()
            done = step + 1
            ...
