"""Linear classification on frozen features: build -> resume -> step -> log -> test -> save, from top to bottom."""

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pretext.broken_files import BrokenFiles
from pretext.images.loader import Batch, shuffled_batches
from pretext.runtime.aligned import aligned
from pretext.runtime.running_losses import RunningLosses
from pretext.runtime.stop_signal import StopSignal
from transfer.backbone import AnyBackbone, open_backbone
from transfer.classification import answers_to_all, class_ranks, measure, rank_metrics
from transfer.data.labelled import AnyImages, LabelledImages, label_images, open_labelled
from transfer.features.protocols import resolve
from transfer.linear_probes.config import LinearConfig
from transfer.linear_probes.heads import LinearHeads
from transfer.partial_training import frozen
from transfer.results import Record, last_and_best
from transfer.runs import config_of, start_run
from transfer.stages import choose_stages
from transfer.training import Training

LOG_EVERY = 50  # steps


def run(config: LinearConfig) -> list[Record]:
    """`linear` with what `config` names."""
    return _train_probes(config, config.backbone, *open_labelled(config.data))


def linear(
    backbone: AnyBackbone,
    train: AnyImages,
    test: AnyImages,
    *,
    out: str | Path | None = None,
    **keys: Any,
) -> list[Record]:
    """Train a linear classifier on each stage of a frozen backbone, all of them in one pass over the images.

    Args:
        backbone: see `open_backbone`; it is left as it is.
        train, test: see `label_images`.
        out: folder of the results, from whose last checkpoint the run resumes; None leaves nothing behind.
        keys: of `LinearConfig` and `DataConfig`, by their own names.

    Returns:
        For each stage, learning rate and metric a record of the last test and one of the best.

    Raises:
        ValueError: an argument means nothing, or the folder holds another run.
        RunFailedError: a loss became NaN or infinite, or too many images are unreadable.
        OSError: a file could not be written, such as on a full disk.
        StoppedError: SIGINT or SIGTERM came; everything was saved.
    """
    config = config_of(LinearConfig, backbone, train, test, out, keys)
    return _train_probes(config, backbone, *label_images(train, test, config.data))


def _train_probes(
    config: LinearConfig, backbone: AnyBackbone, train: LabelledImages, test: LabelledImages
) -> list[Record]:
    recipe = resolve(config.protocol, config.data.image_size, config.data.crop_size)
    with start_run(config) as run, StopSignal(run.world) as stop:
        # ------------------------------------------------------------------------------ build
        world = run.world
        torch.backends.cudnn.benchmark = True  # all crops have one size
        num_images = len(train.source)
        settings = {
            name: value
            for name, value in (("epochs", config.epochs), ("batch_size", config.batch_size))
            if value not in (None, getattr(recipe, name))
        }
        epochs, batch_size = config.epochs or recipe.epochs, config.batch_size or recipe.batch_size
        test_steps = choose_test_steps(epochs, config.evaluate_every, num_images, batch_size)
        num_steps = max(test_steps)
        opened = open_backbone(
            backbone, config.seed, lambda: train.random_crops(recipe.train_cut(), config.seed)
        )
        network = opened.network.to(world.device).to(memory_format=torch.channels_last)
        specs = {stage: network.stages[stage] for stage in choose_stages(network, config.stages)}
        heads = LinearHeads(
            {stage: (spec.channels, recipe.grid(stage, spec)) for stage, spec in specs.items()},
            len(train.classes),
            config.learning_rates or [recipe.lr],
            recipe,
            seed=config.seed,
            world=world,
        )
        autocast = torch.autocast(world.device.type, torch.bfloat16, enabled=config.precision == "bfloat16")

        @torch.no_grad()
        def pooled_features(rgb: Tensor) -> dict[str, Tensor]:
            with autocast:
                maps = network.forward_stages(rgb.to(world.device, non_blocking=True) / 255, list(specs))
            return {stage: recipe.pool(stage, spec, maps[stage]) for stage, spec in specs.items()}

        def answer(batch: Batch) -> Tensor:
            """Of several crops the mean: of probabilities, or of logits where an image may show several classes."""
            logits = heads(pooled_features(batch.rgb.flatten(0, -4)))
            scores = logits if test.multi_label else logits.softmax(-1)
            scores = scores.unflatten(0, (len(batch.rgb), -1)).mean(1)
            # Of one class an image's rank is enough: ImageNet's scores of all classifiers would fill the memory.
            return (
                scores
                if test.multi_label
                else class_ranks(scores, test.labels_at(batch.indices).to(world.device))
            )

        # ----------------------------------------------------------------------------- resume
        run.take_folder()
        broken_tests = BrokenFiles({}, num_images=len(test.source), max_share=config.data.max_broken_share)
        training = Training(
            run,
            opened,
            num_images,
            num_steps=num_steps,
            batch_size=batch_size,
            save_steps=test_steps,
            test_steps=test_steps,
            stop=stop,
            log_every=LOG_EVERY,
            max_broken_share=config.data.max_broken_share,
        )
        training.progress.say(
            f"{opened.name}, {recipe.described()}, {', '.join(specs)}, learning rates "
            f"{', '.join(f'{lr:g}' for lr in heads.learning_rates)}, {num_images} training and {len(test.source)} test "
            f"images of {len(train.classes)} classes, on {world.device} x {world.size}"
        )
        training.resume(
            {
                "heads": heads,
                "optimizer": heads.optimizer,
                "broken_files": training.broken,
                "broken_test_files": broken_tests,
            }
        )
        batches = shuffled_batches(
            train.source,
            recipe.train_cut(),
            short_side=None if recipe.random_resized else recipe.image_size,
            seed=config.seed,
            num_steps=num_steps,
            batch_size=batch_size,
            start_step=training.step,
            rank=world.rank,
            world_size=world.size,
            num_workers=config.data.num_workers,
            pin_memory=world.device.type == "cuda",
        )
        run.held.enter_context(frozen(network))
        running_losses = RunningLosses(
            [f"loss/{name}" for name in heads.names],
            world,
            way_out="Leave its learning rate or its stage out, in a new out folder",
        )

        # ------------------------------------------------------------------------------- step
        for step in range(training.step, num_steps):
            heads.train()
            lr_factor = recipe.lr_factor(step, num_steps)
            batch = training.next_batch(batches, running_losses)
            readable = torch.from_numpy(~batch.broken).to(world.device)
            features = pooled_features(batch.rgb)
            loss_sums = heads.train_step(
                features, train.labels_at(batch.indices).to(world.device), readable, lr_factor
            )
            running_losses.add(step, loss_sums.flatten(), readable)
            training.advance()

            # ---------------------------------------------------------------------------- log
            if training.is_logged:
                losses, factor = running_losses.take(), {"lr_factor": lr_factor}
                extremes = {"lowest loss": min(losses.values()), "highest loss": max(losses.values())}
                training.log(losses | factor, extremes | factor)

            # --------------------------------------------------------------------------- test
            if training.is_tested:
                heads.eval()
                answers, was_readable = answers_to_all(
                    test,
                    answer,
                    recipe.test_cut(),
                    short_side=recipe.image_size,
                    batch_size=batch_size // (10 if recipe.ten_crop else 1),
                    num_workers=config.data.num_workers,
                    world=world,
                    broken=broken_tests,
                    progress=training.progress,
                )
                metrics = {
                    stage: [
                        measure(answers[:, place, rate], test.labels, was_readable)
                        if test.multi_label
                        else rank_metrics(answers[was_readable, place, rate], len(test.classes))
                        for rate in range(len(heads.learning_rates))
                    ]
                    for place, stage in enumerate(specs)
                }
                epoch = test_steps[training.step]
                by_name = zip(heads.names, chain.from_iterable(metrics.values()), strict=True)
                training.add_test(
                    {"epoch": epoch, "metrics": metrics},
                    {f"{key}/{name}": value for name, row in by_name for key, value in row.items()},
                    f"after epoch {epoch}: {_highest(metrics)}",
                )

            # --------------------------------------------------------------------------- save
            if training.is_saved:
                training.save()
            if training.stopped_by:
                break

        # -------------------------------------------------------------------------------- end
        training.end(broken_tests)
        details = {
            "train_images": num_images,
            "test_images": len(test.source),
            "broken_train_images": len(training.broken.reasons),
            "broken_test_images": len(broken_tests.reasons),
        }
        records = []
        for stage in specs:
            for rate, lr in enumerate(heads.learning_rates):
                rows = [{"epoch": row["epoch"], **row["metrics"][stage][rate]} for row in training.rows]
                records += last_and_best(
                    rows,
                    details,
                    task="linear",
                    data=test.name,
                    protocol=recipe.described(),
                    backbone=opened.name,
                    weights=opened.sha256,
                    stage=stage,
                    seed=config.seed,
                    settings=settings | ({} if heads.learning_rates == [recipe.lr] else {"lr": lr}),
                )
        return run.finish(records, results_table(records), training.progress.say)


def choose_test_steps(epochs: int, every: int, num_images: int, batch_size: int) -> dict[int, int]:
    """Step after which is tested -> epoch: every so many epochs, and the last; an epoch may be less than a step.

    Raises:
        ValueError: there is no epoch, or no test.
    """
    if epochs < 1 or every < 1:
        raise ValueError(f"epochs ({epochs}) and evaluate_every ({every}) are at least 1")
    return {
        max(1, round(epoch * num_images / batch_size)): epoch
        for epoch in range(1, epochs + 1)
        if epoch % every == 0 or epoch == epochs
    }


def results_table(records: Sequence[Record]) -> str:
    """A line for each stage: the first metric after the last and the best epoch, of the best learning rate."""
    metric = records[0].metric
    rows = [("stage", f"{metric} last", "best", "epoch", *(["lr"] if "lr" in records[0].settings else []))]
    for stage in dict.fromkeys(record.stage for record in records):
        chosen = [
            max(
                (r for r in records if (r.stage, r.metric, r.selection) == (stage, metric, selection)),
                key=lambda record: record.value,
            )
            for selection in ("last", "best")
        ]
        values = [f"{record.value:.2f}" for record in chosen]
        epochs = ", ".join(str(record.details["epoch"]) for record in chosen)
        rates = [", ".join(f"{record.settings['lr']:g}" for record in chosen)] if len(rows[0]) > 4 else []
        rows.append((stage, *values, epochs, *rates))
    return aligned(rows)


def _highest(metrics: dict[str, list[dict[str, Any]]]) -> str:
    """Of the first metric the highest value of each stage."""
    first = next(iter(next(iter(metrics.values()))[0]))
    highest = {stage: max(row[first] for row in rows) for stage, rows in metrics.items()}
    return f"{first} " + ", ".join(f"{stage} {value:.2f}" for stage, value in highest.items())
