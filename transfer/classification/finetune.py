"""Fine-tuning: build -> resume -> step -> log -> test -> save, from top to bottom."""

import time
from contextlib import ExitStack
from dataclasses import asdict
from itertools import chain

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from pretext.broken_files import BrokenFiles
from pretext.images.workers import LostWorkerError
from pretext.networks.synchronised_batch_norm import synchronise_batch_norm
from pretext.runtime.command_line import StoppedError
from pretext.runtime.distributed import join_world
from pretext.runtime.metrics_log import MetricsLog
from pretext.runtime.progress import Progress
from pretext.runtime.run_dir import RunDir, free_keys
from pretext.runtime.stop_signal import StopSignal
from transfer.backbone import open_backbone
from transfer.classification.classifier import Classifier
from transfer.classification.finetune_protocols import resolve_protocol
from transfer.classification.finetune_records import finetune_records
from transfer.classification.finetune_state import FinetuneState
from transfer.classification.label_share import images_by_class, take_label_share
from transfer.classification.periodic_test import PeriodicTest
from transfer.classification.training_crops import draw_training_crops
from transfer.classification.training_loss import classification_losses
from transfer.config import FinetuneConfig
from transfer.data.batches import train_batches
from transfer.data.labelled import open_labelled
from transfer.partial_training import assert_unchanged, frozen_tensors
from transfer.results import results_table, write_records
from transfer.running_loss import RunningLoss

LOG_EVERY = 10  # steps


def finetune(config: FinetuneConfig) -> None:
    """Run `config` to its end, from its last checkpoint where there is one, and write the results.

    Raises:
        ValueError: the configuration cannot be run as it is, or the folder holds another run.
        RunFailedError: the loss became NaN or infinite, or too many images are unreadable.
        OSError: a file could not be written, such as on a full disk.
        StoppedError: SIGINT or SIGTERM came; everything was saved.
    """
    with join_world(config.device) as world, StopSignal(world) as stop, ExitStack() as opened:
        # ------------------------------------------------------------------------------ build
        device = world.device
        torch.backends.cudnn.benchmark = True  # all crops have one size
        protocol = resolve_protocol(config)
        labelled, test = open_labelled(config.data)
        train = take_label_share(labelled, config.label_share, config.seed)
        num_images = len(train.source)
        num_steps = protocol.num_steps(num_images)
        backbone = open_backbone(
            config.backbone,
            config.seed,
            lambda: draw_training_crops(train, protocol.train_cut(), config.seed),
            colour_input=config.colour_input,
        )
        torch.manual_seed(config.seed)
        network = Classifier(backbone.network, len(train.classes), config.train_from)
        network.to(device).to(memory_format=torch.channels_last)
        frozen = frozen_tensors(network)
        head = list(network.head.parameters())
        trained = [p for p in network.backbone.parameters() if p.requires_grad]
        lr_factors = (1.0, protocol.head_lr_factor)
        optimizer = torch.optim.SGD(
            [{"params": trained}, {"params": head}],
            lr=protocol.lr,
            momentum=protocol.momentum,
            weight_decay=protocol.weight_decay,
        )
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
        tests = PeriodicTest(test, protocol, data=config.data, world=world, autocast=autocast)

        # ----------------------------------------------------------------------------- resume
        run_dir = RunDir(config.out)
        world.on_main(lambda: run_dir.prepare(asdict(config), opened, free=free_keys(config)))
        broken = BrokenFiles({}, num_images=num_images, max_share=config.data.max_broken_share)
        state = FinetuneState(
            network=network,
            optimizer=optimizer,
            tests=tests,
            broken=broken,
            backbone=backbone,
            num_images=num_images,
        )
        begun = run_dir.last_checkpoint.exists()
        first_step = state.restore(run_dir.last_checkpoint, config) if begun else 0
        batches = train_batches(
            train,
            protocol.train_cut(),
            seed=config.seed,
            num_steps=num_steps,
            batch_size=protocol.batch_size,
            start_step=first_step,
            world=world,
            num_workers=config.data.num_workers,
            pin_memory=device.type == "cuda",
        )
        if world.size > 1:
            synchronise_batch_norm(network)  # so that a step is the same however many processes share it
        model: nn.Module = network if world.size == 1 else DistributedDataParallel(network)
        log = opened.enter_context(MetricsLog(run_dir, first_step)) if world.is_main else None
        progress = opened.enter_context(Progress(num_steps, initial=first_step, visible=world.is_main))
        by_class = images_by_class(train)
        progress.say(
            f"{backbone.name}, trained from {config.train_from} ({sum(p.numel() for p in trained + head) / 1e6:.1f} M "
            f"parameters), {num_images} of {len(labelled.source)} training images ({by_class.min()} to "
            f"{by_class.max()} of a class) and {len(test.source)} test images, on {device} x {world.size}"
        )
        if first_step:
            progress.say(f"going on after step {first_step} of {num_steps} in {run_dir.path}")
        running_loss = RunningLoss(world)
        errors: list[tuple[str, str]] = []
        logged_step, clock, stopped_by = first_step, time.perf_counter(), 0

        # ------------------------------------------------------------------------------- step
        for step in range(first_step, num_steps):
            network.train()
            lr = protocol.lr_at(step, num_steps)
            for group, factor in zip(optimizer.param_groups, lr_factors, strict=True):
                group["lr"] = lr * factor
            try:
                batch = next(batches)
            except LostWorkerError:
                if world.size == 1 and step > first_step:
                    running_loss.check_finite()
                    broken.add(errors)
                    state.save(run_dir.last_checkpoint, step)
                    progress.say(f"saved after step {step} in {run_dir.last_checkpoint}")
                raise
            errors += batch.errors
            with autocast:
                logits = model(batch.rgb.to(device, non_blocking=True) / 255)
            readable = torch.from_numpy(~batch.broken).to(device)
            losses = classification_losses(logits.float(), batch.labels.to(device)) * readable
            # Over all images, the broken ones' zeros included: the same gradient however processes share the batch.
            losses.mean().backward()
            if protocol.clip_norm is not None:
                nn.utils.clip_grad_norm_(trained + head, protocol.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            running_loss.add(step, losses, readable)
            progress.advance()
            done = step + 1
            stopped_by = stop.agreed()
            is_last = done == num_steps
            is_saved = done % config.save_every == 0 or is_last or stopped_by

            # ---------------------------------------------------------------------------- log
            if done % LOG_EVERY == 0 or is_saved:  # so that a checkpoint knows every broken file
                loss = running_loss.take()
                seconds = (time.perf_counter() - clock) / (done - logged_step)
                for line in broken.add(chain.from_iterable(world.gather(errors))):
                    progress.say(line)
                errors = []
                broken.check(done * protocol.batch_size)
                row = {"loss": loss, "lr": lr, "images_per_second": protocol.batch_size / seconds}
                if log:
                    log.write(done, row | {"broken_files": len(broken.reasons)})
                progress.show(done, row, seconds_left=(num_steps - done) * seconds)
                logged_step, clock = done, time.perf_counter()

            # --------------------------------------------------------------------------- test
            if done % config.evaluate_every == 0 or is_last:
                running_loss.check_finite()
                metrics = tests.run(network, done, progress)
                if log:
                    log.write(done, metrics)
                logged_step, clock = done, time.perf_counter()

            # --------------------------------------------------------------------------- save
            if is_saved and world.is_main:
                state.save(run_dir.last_checkpoint, done)
            if stopped_by:
                break

        # -------------------------------------------------------------------------------- end
        assert_unchanged(network, frozen)
        for name, files in (("training", broken), ("test", tests.broken)):
            if files.reasons:
                progress.say(f"{len(files.reasons)} broken {name} files were skipped: {files.listing()}")
        if stopped_by:
            raise StoppedError.after_step(done, num_steps, run_dir.last_checkpoint, stopped_by)
        records = finetune_records(config, protocol, backbone, train, test, broken, tests)
        if world.is_main:
            path = write_records(run_dir.path, records)
            progress.say(f"{results_table(records)}\nresults     {path}")
