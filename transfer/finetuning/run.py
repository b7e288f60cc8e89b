"""Fine-tuning: build -> resume -> step -> log -> test -> save, from top to bottom."""

import time
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pretext.broken_files import BrokenFiles
from pretext.images.workers import LostWorkerError
from pretext.networks.synchronised_batch_norm import synchronise_batch_norm
from pretext.runtime.checkpoint import load_checkpoint, save_checkpoint
from pretext.runtime.command_line import StoppedError
from pretext.runtime.metrics_log import MetricsLog
from pretext.runtime.progress import Progress
from pretext.runtime.running_losses import RunningLosses
from pretext.runtime.stop_signal import StopSignal
from transfer.backbone import AnyBackbone, TransferBackbone, open_backbone
from transfer.classification import RepeatedTest, classification_losses, measure
from transfer.data.batches import LabelledBatch, train_batches
from transfer.data.labelled import (
    AnyImages,
    LabelledImages,
    images_by_class,
    label_images,
    open_labelled,
    take_label_share,
)
from transfer.finetuning.config import FinetuneConfig
from transfer.finetuning.protocols import resolve
from transfer.partial_training import assert_unchanged, frozen_tensors, set_mode, train_only_from
from transfer.rescaling import crops_to_rescale_on
from transfer.results import Record, last_and_best, results_table
from transfer.runs import config_of, refuse_another, start_run

LOG_EVERY = 10  # steps
HEAD_STD = 0.01  # of the new weights, as of a new layer in Krahenbuhl et al. (2016)


def run(config: FinetuneConfig) -> list[Record]:
    """`finetune` with what `config` names."""
    return _train_classifier(config, config.backbone, *open_labelled(config.data))


def finetune(
    backbone: AnyBackbone,
    train: AnyImages,
    test: AnyImages,
    *,
    out: str | Path | None = None,
    **keys: Any,
) -> list[Record]:
    """Train a backbone, or its last layers, with labels.

    Args:
        backbone: see `open_backbone`; a copy is trained.
        train, test: see `label_images`.
        out: folder of the results, from whose last checkpoint the run resumes; None leaves nothing behind.
        keys: of `FinetuneConfig` and `DataConfig`, by their own names.

    Returns:
        For each metric a record of the last test and one of the best.

    Raises:
        ValueError: an argument means nothing, or the folder holds another run.
        RunFailedError: the loss became NaN or infinite, or too many images are unreadable.
        OSError: a file could not be written, such as on a full disk.
        StoppedError: SIGINT or SIGTERM came; everything was saved.
    """
    config = config_of(FinetuneConfig, backbone, train, test, out, keys)
    return _train_classifier(config, backbone, *label_images(train, test, config.data))


def _train_classifier(
    config: FinetuneConfig, backbone: AnyBackbone, labelled: LabelledImages, test: LabelledImages
) -> list[Record]:
    for key, value in (("save_every", config.save_every), ("evaluate_every", config.evaluate_every)):
        if value < 1:
            raise ValueError(f"{key} is {value}, expected at least 1")
    recipe = resolve(
        config.protocol,
        steps=config.steps,
        batch_size=config.batch_size,
        lr=config.lr,
        head_lr_factor=config.head_lr_factor,
        image_size=config.data.image_size,
        crop_size=config.data.crop_size,
    )
    train = take_label_share(labelled, config.label_share, config.seed)
    with start_run(config) as run, StopSignal(run.world) as stop:
        # ------------------------------------------------------------------------------ build
        world = run.world
        torch.backends.cudnn.benchmark = True  # all crops have one size
        num_images = len(train.source)
        num_steps = recipe.num_steps(num_images)
        opened = open_backbone(
            backbone,
            config.seed,
            lambda: crops_to_rescale_on(
                train.source.group_sizes, train.source.open, recipe.train_cut(), config.seed
            ),
            colour_input=config.colour_input,
        )
        torch.manual_seed(config.seed)
        network = Classifier(opened.network, len(train.classes), config.train_from)
        network.to(world.device).to(memory_format=torch.channels_last)
        frozen = frozen_tensors(network)
        head = list(network.head.parameters())
        trained = [p for p in network.backbone.parameters() if p.requires_grad]
        lr_factors = (1.0, recipe.head_lr_factor)
        optimizer = torch.optim.SGD(
            [{"params": trained}, {"params": head}],
            lr=recipe.lr,
            momentum=recipe.momentum,
            weight_decay=recipe.weight_decay,
        )
        autocast = torch.autocast(world.device.type, torch.bfloat16, enabled=config.precision == "bfloat16")

        def answer(batch: LabelledBatch) -> Tensor:
            """Logits, of several crops the mean."""
            rgb = batch.rgb.to(world.device, non_blocking=True) / 255
            with autocast:
                logits = network(rgb.flatten(0, -4))
            return logits.float().unflatten(0, (len(rgb), -1)).mean(1)

        tests = RepeatedTest(
            test,
            recipe.test_cut(),
            short_side=recipe.image_size,
            batch_size=recipe.batch_size,
            world=world,
            num_workers=config.data.num_workers,
            max_broken_share=config.data.max_broken_share,
        )

        # ----------------------------------------------------------------------------- resume
        run.take_folder()
        run_dir = run.folder
        first_step = 0
        broken = BrokenFiles({}, num_images=num_images, max_share=config.data.max_broken_share)
        if run_dir.last_checkpoint.exists():
            state = load_checkpoint(run_dir.last_checkpoint)
            refuse_another(state, opened, num_images, run_dir.path)
            network.load_state_dict(state["network"])
            optimizer.load_state_dict(state["optimizer"])
            first_step, tests.rows = state["step"], state["tests"]
            broken.reasons, tests.broken.reasons = state["broken_files"], state["broken_test_files"]
        batches = train_batches(
            train,
            recipe.train_cut(),
            seed=config.seed,
            num_steps=num_steps,
            batch_size=recipe.batch_size,
            start_step=first_step,
            world=world,
            num_workers=config.data.num_workers,
            pin_memory=world.device.type == "cuda",
        )
        if world.size > 1:
            synchronise_batch_norm(network)  # so that a step is the same however many processes share it
        model: nn.Module = network if world.size == 1 else DistributedDataParallel(network)
        log = run.held.enter_context(MetricsLog(run_dir, first_step)) if world.is_main else None
        progress = run.held.enter_context(Progress(num_steps, initial=first_step, visible=world.is_main))
        by_class = images_by_class(train)
        progress.say(
            f"{opened.name}, trained from {config.train_from} ({sum(p.numel() for p in trained + head) / 1e6:.1f} M "
            f"parameters), {num_images} of {len(labelled.source)} training images ({by_class.min()} to "
            f"{by_class.max()} of a class) and {len(test.source)} test images, on {world.device} x {world.size}"
        )
        if first_step:
            progress.say(f"resuming after step {first_step} of {num_steps} in {run_dir.path}")
        running_losses = RunningLosses(["loss"], world, way_out="Lower lr, in a new out folder")
        errors: list[tuple[str, str]] = []
        logged_step, clock, stopped_by = first_step, time.perf_counter(), 0

        def save(done: int) -> None:
            state = {
                "step": done,
                "network": network.state_dict(),
                "optimizer": optimizer.state_dict(),
                "tests": tests.rows,
                "backbone": opened.sha256,
                "num_images": num_images,
                "broken_files": broken.reasons,
                "broken_test_files": tests.broken.reasons,
            }
            save_checkpoint(run_dir.last_checkpoint, state)

        # ------------------------------------------------------------------------------- step
        for step in range(first_step, num_steps):
            network.train()
            step_lr = recipe.lr_at(step, num_steps)
            for group, factor in zip(optimizer.param_groups, lr_factors, strict=True):
                group["lr"] = step_lr * factor
            try:
                batch = next(batches)
            except LostWorkerError:
                if world.size == 1 and step > first_step:
                    running_losses.check_finite()
                    broken.add(errors)
                    save(step)
                    progress.say(f"saved after step {step} in {run_dir.last_checkpoint}")
                raise
            errors += batch.errors
            with autocast:
                logits = model(batch.rgb.to(world.device, non_blocking=True) / 255)
            readable = torch.from_numpy(~batch.broken).to(world.device)
            losses = classification_losses(logits.float(), batch.labels.to(world.device)) * readable
            # Over all images, the broken ones' zeros included: the same gradient however processes share the batch.
            losses.mean().backward()
            if recipe.clip_norm is not None:
                nn.utils.clip_grad_norm_(trained + head, recipe.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            running_losses.add(step, losses.sum()[None], readable)
            progress.advance()
            done = step + 1
            stopped_by = stop.agreed()
            is_last = done == num_steps
            is_saved = done % config.save_every == 0 or is_last or stopped_by

            # ---------------------------------------------------------------------------- log
            if done % LOG_EVERY == 0 or is_saved:  # so that a checkpoint knows every broken file
                loss = running_losses.take()
                seconds = (time.perf_counter() - clock) / (done - logged_step)
                for line in broken.add(chain.from_iterable(world.gather(errors))):
                    progress.say(line)
                errors = []
                broken.check(done * recipe.batch_size)
                row = loss | {"lr": step_lr, "images_per_second": recipe.batch_size / seconds}
                if log:
                    log.write(done, row | {"broken_files": len(broken.reasons)})
                progress.show(done, row, seconds_left=(num_steps - done) * seconds)
                logged_step, clock = done, time.perf_counter()

            # --------------------------------------------------------------------------- test
            if done % config.evaluate_every == 0 or is_last:
                running_losses.check_finite()
                network.eval()
                metrics = measure(*tests.run(answer, progress))
                tests.rows.append({"step": done, **metrics})
                shown = ", ".join(f"{name} {value:.2f}" for name, value in metrics.items())
                progress.say(f"test at step {done}: {shown}")
                if log:
                    log.write(done, metrics)
                logged_step, clock = done, time.perf_counter()

            # --------------------------------------------------------------------------- save
            if is_saved and world.is_main:
                save(done)
            if stopped_by:
                break

        # -------------------------------------------------------------------------------- end
        assert_unchanged(network, frozen)
        for kind, files in (("training", broken), ("test", tests.broken)):
            if files.reasons:
                progress.say(f"{len(files.reasons)} broken {kind} files were skipped: {files.listing()}")
        if stopped_by:
            raise StoppedError.after_step(done, num_steps, run_dir.last_checkpoint, stopped_by)
        records = last_and_best(
            tests.rows,
            [name for name in tests.rows[-1] if name != "step"],
            {
                "train_images": num_images,
                "train_images_by_class": [int(by_class.min()), int(by_class.max())],
                "test_images": len(test.source),
                "broken_train_images": len(broken.reasons),
                "broken_test_images": len(tests.broken.reasons),
            },
            task="finetune",
            data=test.name,
            protocol=recipe.described(config.label_share),
            backbone=opened.name,
            weights=opened.sha256,
            stage=config.train_from,
            seed=config.seed,
            settings=recipe.overrides(),
        )
        return run.finish(records, results_table(records), progress.say)


class Classifier(nn.Module):
    """The deepest stage, averaged over all positions, and a linear layer: one score for each class.

    For a fully convolutional AlexNet this is fc8 at each position and the mean of its answers. Everything before
    `train_from` is frozen, and stays in evaluation mode even in training.

    Args:
        train_from: `head`, the first stage that is trained, or `all`.

    Raises:
        ValueError: there is no such stage.
    """

    def __init__(self, backbone: TransferBackbone, num_classes: int, train_from: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.stage, spec = list(backbone.stages.items())[-1]
        train_only_from(backbone, train_from, self.stage)
        self.head = nn.Linear(spec.channels, num_classes)
        nn.init.normal_(self.head.weight, std=HEAD_STD)
        nn.init.zeros_(self.head.bias)

    def forward(self, rgb: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch classes"]:
        """Scores (logits) of RGB in [0, 1]."""
        return self.head(self.backbone.forward_stages(rgb, [self.stage])[self.stage].mean((2, 3)))

    def train(self, mode: bool = True) -> "Classifier":
        """Training mode where something is trained."""
        set_mode(self, mode)
        return self
