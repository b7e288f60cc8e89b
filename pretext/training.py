"""Training: build -> resume -> step -> log -> validate -> save, from top to bottom."""

import dataclasses
import random
import time
from collections.abc import Mapping
from contextlib import ExitStack, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pretext.broken_files import BrokenFiles
from pretext.config import DataConfig, OptimConfig, TrainConfig
from pretext.images.image_source import ImageSource
from pretext.images.loader import shuffled_batches
from pretext.images.sources import ImageSources, name_of_source, names_hash, open_images
from pretext.images.workers import LostWorkerError
from pretext.networks import Backbone, build_network
from pretext.networks.synchronised_batch_norm import synchronise_batch_norm
from pretext.outside import arguments_of, name_of
from pretext.pretrained import Pretrained, describe_network, load_pretrained, start_from
from pretext.probe import OpenedProbe, open_probes
from pretext.runtime.checkpoint import load_checkpoint, save_checkpoint
from pretext.runtime.command_line import StoppedError, flatten
from pretext.runtime.distributed import World, choose_precision, join_world
from pretext.runtime.metrics_log import MetricsLog, read_metrics
from pretext.runtime.progress import Progress
from pretext.runtime.run_dir import RunDir, default_values, free_keys
from pretext.runtime.running_losses import RunningLosses
from pretext.runtime.stop_signal import StopSignal
from pretext.runtime.trackers import require_trackers
from pretext.runtime.whole_file import whole_file
from pretext.schedule import learning_rate
from pretext.spelling import unknown_name
from pretext.tasks import TASKS, Task, build_task
from pretext.validation import draw_curves, first_images, is_best_so_far, validate

STATISTICS_EVERY = 10  # steps between two looks at the training images' statistics, for validation to report


def run(config: TrainConfig) -> Pretrained:
    """`train` with the task, the network and the images that `config` names."""
    task = build_task(config.task, config.task_args)
    torch.manual_seed(config.seed)
    chosen, data = config.network, config.data
    network = build_network(chosen.name, output=task.output, width=chosen.width, args=chosen.args)
    return _run(task, network, data.train, data.validation, data.gallery, config)


def check(config: TrainConfig) -> None:
    """Raise ValueError if `run` could not begin, whatever the images: an unknown task, network or probe, an argument
    that one does not take, a crop without room, a network that does not see what the task shows, a missing package.
    """
    task, data = build_task(config.task, config.task_args), config.data
    chosen = config.network
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        network = build_network(chosen.name, output=task.output, width=chosen.width, args=chosen.args)
    cut = task.cut(data.image_size, data.crop_size)
    sample = cut(Image.new("RGB", (data.image_size, data.image_size)), random.Random(0))
    task.split(sample[None], network)
    open_probes(config.probes)
    require_trackers(config.trackers)


def train(
    task: Task,
    network: Backbone,
    images: Any,
    *,
    run_dir: str | Path,
    steps: int,
    validation: Any = None,
    gallery: Any = None,
    **keys: Any,
) -> Pretrained:
    """Train `network` on `images` without labels; resumes from the last checkpoint in `run_dir` where there is one.

    Args:
        task: what is learned.
        network: made for the `output` of the task; it is trained in place.
        images: an address as for data.train, an `ImageSource`, or a data set as torchvision makes them.
        run_dir: folder of the run.
        steps: optimiser steps in all.
        validation: the same as `images` for the validation images; None holds out some of the training images.
        gallery: the same for more images to show in the gallery.
        keys: every other key of a configuration, by its own name: batch_size, image_size, lr, ...

    Returns:
        The trained network as `load_pretrained` opens it.

    Raises:
        ValueError: the run cannot be made as it is, or the run directory holds another run.
        RunFailedError: the loss became NaN or infinite, too many images are unreadable, or a process that reads them
            was killed (everything was saved where this is the only training process).
        OSError: a file could not be written; the last checkpoint is whole.
        StoppedError: SIGINT or SIGTERM came; everything was saved.
    """
    sources = {"train": images, "validation": validation, "gallery": gallery}
    groups: dict[str, Any] = {"data": DataConfig, "optim": OptimConfig, "": TrainConfig}
    given = {*groups, *sources, "network", "task", "task_args"}
    names = {
        field.name: group
        for group, cls in groups.items()
        for field in dataclasses.fields(cls)
        if field.name not in given
    }
    for key in keys:
        if key not in names:
            raise ValueError(unknown_name("key of a training", key, names))
    values = {group: {key: value for key, value in keys.items() if names[key] == group} for group in groups}
    addresses: dict[str, Any] = {
        key: None if source is None else name_of_source(source) for key, source in sources.items()
    }
    config = TrainConfig(
        data=DataConfig(**addresses, **values["data"]),
        optim=OptimConfig(**values["optim"]),
        run_dir=str(run_dir),
        steps=steps,
        **values[""],
    )
    return _run(task, network, images, validation, gallery, config)


def _run(
    task: Task, network: Backbone, images: Any, validation: Any, gallery: Any, config: TrainConfig
) -> Pretrained:
    """`train` for a configuration whose task, network and images are those given, whatever it calls them."""
    if network.output != task.output:
        raise ValueError(
            f"the network's output is {network.output!r}, but the task asks for {task.output!r}; construct the network "
            "with output=task.output"
        )
    config = dataclasses.replace(
        config,
        task=name_of(type(task), TASKS),
        task_args=arguments_of(task),
        network=describe_network(network),
    )
    probes = open_probes(config.probes)
    require_trackers(config.trackers)
    with ExitStack() as opened:
        world = opened.enter_context(join_world(config.device))
        stop = opened.enter_context(StopSignal(world))
        sources = open_images(images, validation, gallery, config.data, config.seed)
        _train(task, network, sources, probes, config, world, stop, opened)
    return load_pretrained(RunDir(config.run_dir).last_checkpoint)


def _train(
    task: Task,
    network: Backbone,
    sources: ImageSources,
    probes: list[OpenedProbe],
    config: TrainConfig,
    world: World,
    stop: StopSignal,
    opened: ExitStack,
) -> None:
    # ------------------------------------------------------------------------------------- build
    device, data, folder = world.device, config.data, RunDir(config.run_dir)
    is_new, origin = not folder.last_checkpoint.exists(), ""
    if is_new:
        task.prepare(
            sources.train,
            name=data.train,
            image_size=data.image_size,
            num_workers=data.num_workers,
            visible=world.is_main,
        )
        if config.init:
            origin = start_from(network, config.init, task)
    sources = sources.annotated(task.annotate)
    torch.manual_seed(config.seed)
    head = task.head(network.deepest)
    whole = network if head is None else task.join(network, head)

    # ----------------------------------------------------------------------------- resume
    # With the step schedule the steps so far were the same for any number of them.
    free = free_keys(config) | ({"steps"} if config.optim.schedule == "step" else set())
    because = {"steps": "the cosine schedule depends on it"}
    world.on_main(
        lambda: folder.prepare(
            dataclasses.asdict(config),
            opened,
            free=free,
            fixed_because=because,
            defaults=default_values(config),
        )
    )
    if world.is_main:
        folder.samples.mkdir(exist_ok=True)
    broken_validation = BrokenFiles({}, num_images=len(sources.validation), max_share=1.0)
    broken = BrokenFiles({}, num_images=len(sources.train), max_share=data.max_broken_share)
    state = None if is_new else load_checkpoint(folder.last_checkpoint)
    first_step = 0
    if state:
        _refuse_another(state, config, sources.train)
        task.load_state(state["task"])
        network.load_state_dict(state["network"])
        if head is not None:
            head.load_state_dict(state["head"])
        first_step, broken.reasons = state["step"], state["broken_files"]
    # Worker processes read the first batches while the rest is made, and are forked before there is a GPU to share.
    batches = shuffled_batches(
        sources.train,
        task.cut(data.image_size, data.crop_size),
        short_side=data.image_size,
        seed=config.seed,
        start_step=first_step,
        num_steps=config.steps,
        batch_size=config.batch_size,
        rank=world.rank,
        world_size=world.size,
        micro_batches=config.accumulation_steps,
        num_workers=data.num_workers,
        pin_memory=device.type == "cuda",
    )
    torch.backends.cudnn.benchmark = True  # all crops have one size
    whole.to(device).to(memory_format=torch.channels_last)
    learned = [p for p in whole.parameters() if p.requires_grad]
    optim: dict[str, Any] = {"lr": config.optim.lr, "weight_decay": config.optim.weight_decay, "fused": True}
    optimizer: torch.optim.Optimizer = (
        torch.optim.Adam(learned, betas=config.optim.betas, **optim)
        if config.optim.optimizer == "adam"
        else torch.optim.SGD(learned, momentum=config.optim.momentum, **optim)
    )
    precision = choose_precision(config.precision, device)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16")
    statistics = torch.zeros((), dtype=torch.float64, device=device)
    if state:
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["random_state"])
        statistics = state["statistics"].to(device) * world.is_main  # the sum over all processes is stored
    del state  # as large as the weights and both moments of Adam
    task.prepare_network(network)
    task.to(device)
    if world.size > 1:
        synchronise_batch_norm(whole)  # so that a step is the same however many processes share it
    split = task.split
    if config.compile:
        network.compile()
        split = torch.compile(split)
    model: nn.Module = (
        whole if world.size == 1 else DistributedDataParallel(whole, gradient_as_bucket_view=True)
    )
    log = (
        opened.enter_context(MetricsLog(folder, first_step, config.trackers, dataclasses.asdict(config)))
        if world.is_main
        else None
    )
    shown = first_images(sources.gallery, task, data.image_size, config.gallery_images)
    progress = opened.enter_context(Progress(config.steps, initial=first_step, visible=world.is_main))
    progress.say(
        f"{config.network.name} (width {config.network.width:g}, "
        f"{sum(p.numel() for p in whole.parameters()) / 1e6:.1f} M parameters), {config.task}, "
        f"{len(sources.train)} training and {len(sources.validation)} validation images, "
        f"on {device} x {world.size}, {precision}"
    )
    if first_step:
        origin = f"resumes after step {first_step} of {config.steps} in {folder.path}"
    for remark in (*sources.remarks, origin):
        if remark:
            progress.say(remark)
    running = RunningLosses(
        task.loss_names, world, way_out="Lower optim.lr or set optim.clip_norm, in a new run_dir"
    )
    errors: list[tuple[str, str]] = []
    logged_step, clock = first_step, time.perf_counter()
    done, stopped_by = first_step, 0

    def save(*paths: Path) -> None:
        """The state after step `done`; every process calls it."""
        all_statistics = world.sum(statistics.clone())
        if not world.is_main:
            return
        state = {
            "step": done,
            "network": network.state_dict(),
            "output": network.output,
            "head": None if head is None else head.state_dict(),
            "task": task.state(),
            "optimizer": optimizer.state_dict(),
            "random_state": torch.get_rng_state(),
            "statistics": all_statistics,
            "images": names_hash(sources.train),
            "broken_files": broken.reasons,
            "config": dataclasses.asdict(config),
        }
        for path in paths:
            save_checkpoint(path, state)

    # ------------------------------------------------------------------------------- step
    for step in range(first_step, config.steps):
        model.train()
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
                    running.check_finite()
                    broken.add(errors)
                    save(folder.last_checkpoint)
                    progress.say(f"saved after step {done} in {folder.last_checkpoint}")
                raise
            errors += batch.errors
            inputs, targets = split(batch.rgb.to(device, non_blocking=True), network)
            # Processes exchange gradients once per step, with its last part.
            is_last_part = part == config.accumulation_steps - 1
            with nullcontext() if is_last_part or world.size == 1 else model.no_sync():  # type: ignore[operator]
                with autocast:
                    output = model(inputs)
                losses = task.losses(output, targets)
                if batch.broken.any():
                    losses = losses.without(torch.from_numpy(batch.broken).to(device))
                # Over all images of the batch, the zeros of those that do not count included, as in the released
                # layer: so the gradient is the same however a batch is shared among processes and parts.
                (losses.optimised.sum() / (len(batch.rgb) * config.accumulation_steps)).backward()
            sums = torch.stack([losses.by_name[name].sum() for name in task.loss_names])
            running.add(step, sums, losses.counted)
        if step % STATISTICS_EVERY == 0:
            statistics = statistics + task.statistics(targets)
        if config.optim.clip_norm is not None:
            nn.utils.clip_grad_norm_(whole.parameters(), config.optim.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        progress.advance()
        done = step + 1
        is_last = done == config.steps
        stopped_by = stop.agreed()

        # ---------------------------------------------------------------------------- log
        if done % config.log_every == 0 or is_last or stopped_by:
            means = running.take()
            seconds = (time.perf_counter() - clock) / (done - logged_step)
            for line in broken.add(chain.from_iterable(world.gather(errors))):
                progress.say(line)
            errors = []
            broken.check(done * config.batch_size)
            speed = {"lr": lr, "images_per_second": config.batch_size / seconds}
            row = means = means if running.num_counted else {}
            if task.uncounted:
                row = row | {task.uncounted: running.num_images - running.num_counted}
            if log:
                log.write(done, row | {"broken_files": len(broken.reasons)} | speed)
            progress.show(done, means | speed, seconds_left=(config.steps - done) * seconds)
            logged_step, clock = done, time.perf_counter()

        # ----------------------------------------------------------------------- validate
        is_validated = done % config.validate_every == 0 or is_last
        if is_validated:
            running.check_finite()
            # Validation and gallery have sizes of their own: each would compile for as long as the first step.
            with torch.compiler.set_stance("force_eager"):
                row, unreadable = validate(
                    task, network, whole, sources.validation, config, world, autocast, statistics
                )
            for line in broken_validation.add(chain.from_iterable(world.gather(unreadable))):
                progress.say(line)
            progress.say(f"validation at step {done}: {task.describe(row)}")
            if sources.cached:
                progress.say(sources.cached)
            if log:
                log.write(done, row)
                with torch.inference_mode(), torch.compiler.set_stance("force_eager"):
                    picture = task.draw(*shown, f"step {done}", network, head)
                if picture is not None:
                    with whole_file(folder.gallery(done)) as file:
                        picture.save(file, format="png")
                    log.write_image(done, "gallery", np.asarray(picture))
                draw_curves(read_metrics(folder.metrics), folder.curves, task, probes)
            logged_step, clock = done, time.perf_counter()

        # -------------------------------------------------------------------------- probe
        for probe in probes:
            if probe.is_due(done, config.steps) and log:
                running.check_finite()
                try:
                    row = probe.measure(network, device)
                except StoppedError as stopped:  # whose signal the next step learns of
                    stop.remember(stopped.signal_number)
                    continue
                progress.say(f"{probe.config.name} at step {done}: {probe.describe(row)}")
                log.write(done, row)
                draw_curves(read_metrics(folder.metrics), folder.curves, task, probes)
                logged_step, clock = done, time.perf_counter()

        # --------------------------------------------------------------------------- save
        is_best = False
        if config.keep_best and (is_validated or any(probe.is_due(done, config.steps) for probe in probes)):
            mine = bool(log) and is_best_so_far(read_metrics(folder.metrics), config.keep_best, done)
            is_best = world.gather(mine)[0]
        kept = config.keep_every is not None and done % config.keep_every == 0
        if done % config.save_every == 0 or kept or is_best or is_last or stopped_by:
            running.check_finite()
            also = ([folder.step_checkpoint(done)] if kept else []) + (
                [folder.best_checkpoint] if is_best else []
            )
            save(folder.last_checkpoint, *also)
        if stopped_by:
            break

    # -------------------------------------------------------------------------------- end
    for name, files in (("training", broken), ("validation", broken_validation)):
        if files.reasons:
            progress.say(f"{len(files.reasons)} broken {name} files were skipped: {files.listing()}")
    if stopped_by:
        raise StoppedError.after_step(done, config.steps, folder.last_checkpoint, stopped_by)
    if config.keep_best and world.is_main and not folder.best_checkpoint.exists():
        progress.say(
            f"no best checkpoint was kept: there is no number {config.keep_best} in {folder.metrics}"
        )
    made = {
        "gallery": folder.gallery(config.steps),
        "curves": folder.curves,
        "checkpoint": folder.last_checkpoint,
        "the best": folder.best_checkpoint,
    }
    # The others wait here until the last checkpoint, which they open next, is written.
    world.on_main(
        lambda: progress.say("\n".join(f"{kind:<11} {path}" for kind, path in made.items() if path.exists()))
    )


def _refuse_another(state: Mapping[str, Any], config: TrainConfig, images: ImageSource) -> None:
    """Raises ValueError if a checkpoint is of another network, task or data, or too late."""
    stored = flatten(state["config"])
    for key, value in flatten(dataclasses.asdict(config)).items():
        if key.startswith(("network.", "task")) and stored.get(key) != value:
            raise ValueError(
                f"the checkpoint in {config.run_dir} was trained with {key} {stored.get(key)!r}, not {value!r}; "
                "start a new run_dir"
            )
    if state["images"] != names_hash(images):
        raise ValueError(
            f"{config.data.train} no longer holds the images, by number and names, with which {config.run_dir} was "
            "started; restore them, or start a new run_dir"
        )
    if state["step"] > config.steps:
        raise ValueError(
            f"{config.run_dir} is already at step {state['step']}, beyond the {config.steps} steps asked for; give "
            "more steps, or start a new run_dir"
        )
