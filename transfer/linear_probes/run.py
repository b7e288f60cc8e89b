"""Linear classification on frozen features: build -> resume -> step -> log -> test -> save, from top to bottom."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pretext.broken_files import BrokenFiles
from pretext.images.loader import Batch, shuffled_batches
from pretext.runtime.running_losses import RunningLosses
from pretext.runtime.stop_signal import StopSignal
from transfer.backbone import AnyBackbone, open_backbone
from transfer.classification import (
    answers_to_all,
    class_accuracies,
    class_ranks,
    confusion_matrix,
    mean_over_crops,
    measure,
    rank_metrics,
)
from transfer.data.labelled import AnyImages, LabelledImages, label_images, open_labelled, require_pictures
from transfer.features.protocols import resolve
from transfer.linear_probes.config import LinearConfig
from transfer.linear_probes.heads import LinearHeads
from transfer.linear_probes.probes import ChosenProbes, ProbesCard, save_probes
from transfer.partial_training import frozen
from transfer.results import Record, make_records, stages_table
from transfer.runs import config_of, start_run
from transfer.selection import open_selection
from transfer.stages import choose_stages
from transfer.training import Training

LOG_EVERY = 50  # steps
MAX_CONFUSED = 100  # classes whose confusion matrix a record holds


def run(config: LinearConfig) -> list[Record]:
    """`linear` with what `config` names."""
    return _train_probes(config, config.backbone, *open_labelled(config.data), config.data.validation)


def linear(
    backbone: AnyBackbone,
    train: AnyImages,
    test: AnyImages,
    *,
    validation: float | AnyImages | None = None,
    out: str | Path | None = None,
    **keys: Any,
) -> list[Record]:
    """Train a linear classifier on each stage of a frozen backbone, all of them in one pass over the images.

    Args:
        backbone: see `open_backbone`; it is left as it is.
        train, test: see `label_images`.
        validation: on which one of several learning rates, or the epoch, is chosen; see `SelectionDataConfig`.
        out: folder of the results, from whose last checkpoint the run resumes; None leaves nothing behind.
        keys: of `LinearConfig` and `DataConfig`, by their own names.

    Returns:
        For each stage and metric a record.

    Raises:
        ValueError: an argument means nothing, or the folder holds another run.
        RunFailedError: a loss became NaN or infinite, or too many images are unreadable.
        OSError: a file could not be written, such as on a full disk.
        StoppedError: SIGINT or SIGTERM came; everything was saved.
    """
    config = config_of(LinearConfig, backbone, train, test, out, {"validation": validation, **keys})
    return _train_probes(config, backbone, *label_images(train, test, config.data), validation)


def _train_probes(
    config: LinearConfig,
    backbone: AnyBackbone,
    labelled: LabelledImages,
    test: LabelledImages,
    validation: float | AnyImages | None,
) -> list[Record]:
    require_pictures(labelled, test)
    recipe = resolve(config.protocol, config.data.image_size, config.data.crop_size)
    learning_rates = list(config.learning_rates or recipe.learning_rates or [recipe.lr])
    selection = open_selection(
        validation,
        labelled,
        test,
        config.data,
        seed=config.seed,
        left_open=len(learning_rates) > 1 or config.evaluate_every is not None,
    )
    train = selection.remaining(labelled) if selection else labelled
    with start_run(config) as run, StopSignal(run.world) as stop:
        # ------------------------------------------------------------------------------ build
        world = run.world
        torch.backends.cudnn.benchmark = True  # all crops have one size
        num_images = len(train.source)
        settings: dict[str, float] = {
            name: value
            for name, value in (("epochs", config.epochs), ("batch_size", config.batch_size))
            if value not in (None, getattr(recipe, name))
        }
        if len(learning_rates) == 1 and learning_rates != [recipe.lr]:
            settings["lr"] = learning_rates[0]
        epochs, batch_size = config.epochs or recipe.epochs, config.batch_size or recipe.batch_size
        ends = epoch_ends(epochs, num_images, batch_size)
        num_steps = max(ends)
        looks = epochs_to_look_after(epochs, config.evaluate_every) if selection else set()
        opened = open_backbone(
            backbone, config.seed, lambda: train.random_crops(recipe.train_cut(), config.seed)
        )
        network = opened.network.to(world.device).to(memory_format=torch.channels_last)
        stages = choose_stages(network, config.stages or recipe.stages)
        specs = {stage: network.specs[stage] for stage in stages}
        heads = LinearHeads(
            {stage: (spec.channels, recipe.grid(stage, spec)) for stage, spec in specs.items()},
            len(train.classes),
            learning_rates,
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

        def answers(
            images: LabelledImages, score: Callable[[dict[str, Tensor]], Tensor]
        ) -> tuple[np.ndarray, np.ndarray]:
            """What classifiers answer to all images, and which of these could be read.

            The rank of the right class and the class of the highest score, or all scores where an image may show
            several; of several crops by the mean: of probabilities, or of logits where an image may show several
            classes.
            """

            def answer(batch: Batch) -> Tensor:
                logits = score(pooled_features(batch.rgb.flatten(0, -4)))
                scores = mean_over_crops(logits, len(batch.rgb), multi_label=images.multi_label)
                if images.multi_label:
                    return scores
                # These are enough: ImageNet's scores of all classifiers would fill the memory.
                ranks = class_ranks(scores, images.labels_at(batch.indices).to(world.device))
                return torch.stack([ranks, scores.argmax(-1)], dim=-1)

            return answers_to_all(
                images,
                answer,
                recipe.test_cut(),
                short_side=recipe.image_size,
                batch_size=batch_size // (10 if recipe.ten_crop else 1),
                num_workers=config.data.num_workers,
                world=world,
                broken=broken_tests if images is test else broken_validation,
                progress=training.progress,
            )

        # ----------------------------------------------------------------------------- resume
        run.take_folder()
        max_broken_share = config.data.max_broken_share
        broken_tests = BrokenFiles({}, num_images=len(test.source), max_share=max_broken_share)
        num_validation = len(selection.images.source) if selection else 0
        broken_validation = BrokenFiles({}, num_images=num_validation, max_share=max_broken_share)
        probes = ChosenProbes()
        training = Training(
            run,
            opened,
            num_images,
            num_steps=num_steps,
            batch_size=batch_size,
            save_steps=ends,
            test_steps=[step for step, epoch in ends.items() if epoch in looks],
            stop=stop,
            log_every=LOG_EVERY,
            max_broken_share=max_broken_share,
        )
        training.progress.say(
            f"{opened.name}, {recipe.described()}, {', '.join(specs)}, learning rates "
            f"{', '.join(f'{lr:g}' for lr in heads.learning_rates)}, {num_images} training and {len(test.source)} test "
            f"images of {len(train.classes)} classes, on {world.device} x {world.size}"
            + (f"; chosen on {selection.described}" if selection else "")
        )
        training.resume(
            {
                "heads": heads,
                "optimizer": heads.optimizer,
                "chosen": probes,
                "broken_files": training.broken,
                "broken_validation_files": broken_validation,
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
            lr_factor = recipe.lr_factor(step, num_steps, batch_size)
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

            # ------------------------------------------------------------------------ validate
            if training.is_tested:
                assert selection is not None
                heads.eval()
                values, was_readable = answers(selection.images, heads)
                epoch = ends[training.step]
                measured = {
                    stage: [
                        _measured(values[:, place, rate], selection.images, was_readable)
                        for rate in range(len(learning_rates))
                    ]
                    for place, stage in enumerate(specs)
                }
                for stage, row in measured.items():
                    for lr, metrics in zip(learning_rates, row, strict=True):
                        probes.offer(
                            stage, metrics, {"lr": lr, "epoch": epoch}, partial(heads.probe, stage, lr)
                        )
                by_name = zip(heads.names, chain.from_iterable(measured.values()), strict=True)
                training.add_test(
                    {"epoch": epoch, "metrics": measured},
                    {
                        f"{selection.chosen_on}_{key}/{name}": value
                        for name, metrics in by_name
                        for key, value in metrics.items()
                    },
                    f"after epoch {epoch}, {selection.chosen_on} images: {_highest(measured)}",
                )

            # --------------------------------------------------------------------------- save
            if training.is_saved:
                training.save()
            if training.stopped_by:
                break

        # ------------------------------------------------------------------------------- test
        training.end()
        if selection is None:
            for stage in specs:
                probes.offer(stage, {}, {}, partial(heads.probe, stage, learning_rates[0]))
        probes.to(world.device)
        values, was_readable = answers(test, probes.scores)
        for kind, broken in (("validation", broken_validation), ("test", broken_tests)):
            training.say_broken(kind, broken)
        details = {
            "train_images": num_images,
            "test_images": len(test.source),
            "broken_train_images": len(training.broken.reasons),
            "broken_test_images": len(broken_tests.reasons),
        }
        among: dict[str, Any] = {"lr": learning_rates, "epoch": sorted(looks)}
        records = []
        for place, (stage, choice) in enumerate(probes.by_stage.items()):
            chosen = selection.details(choice.chosen, among, choice.values) if selection else {}
            records += make_records(
                _measured(values[:, place], test, was_readable),
                details | chosen | {"probe": choice.sha256},
                {} if test.multi_label else _by_class(values[:, place, 1], test, was_readable),
                task="linear",
                data=test.name,
                protocol=recipe.described(),
                backbone=opened.name,
                weights=opened.sha256,
                stage=stage,
                chosen_on=selection and selection.chosen_on,
                seed=config.seed,
                settings=settings,
            )
        if world.is_main:
            card = ProbesCard(
                backbone=opened.name,
                weights=opened.sha256,
                classes=list(test.classes),
                multi_label=test.multi_label,
                protocol=recipe.name,
                image_size=recipe.image_size,
                crop_size=recipe.crop_size,
                precision=config.precision,
                stage=probes.best_stage,
            )
            save_probes(run.folder.path, probes, card)
        return run.finish(records, stages_table(records), training.progress.say)


def epoch_ends(epochs: int, num_images: int, batch_size: int) -> dict[int, int]:
    """Number of steps after which an epoch ends -> the epoch, from 1; of epochs shorter than a step the last.

    Raises:
        ValueError: there is no epoch.
    """
    if epochs < 1:
        raise ValueError(f"epochs is {epochs}, expected at least 1")
    return {max(1, round(epoch * num_images / batch_size)): epoch for epoch in range(1, epochs + 1)}


def epochs_to_look_after(epochs: int, every: int | None) -> set[int]:
    """The epochs after which the validation images are looked at: every so many, and the last.

    Raises:
        ValueError: `every` is not positive.
    """
    if every is None:
        return {epochs}
    if every < 1:
        raise ValueError(f"evaluate_every is {every}, expected at least 1")
    return {*range(every, epochs, every), epochs}


def _measured(answers: np.ndarray, images: LabelledImages, readable: np.ndarray) -> dict[str, float]:
    """Metrics of one classifier's answers, ranks or scores."""
    if images.multi_label:
        return measure(answers, images.labels, readable)
    return rank_metrics(answers[readable, 0], len(images.classes))


def _by_class(predicted: np.ndarray, images: LabelledImages, readable: np.ndarray) -> dict[str, Any]:
    """What the top1 record says of each class; the whole confusion matrix of few classes."""
    confusion = confusion_matrix(images.labels[readable], predicted[readable], len(images.classes))
    details: dict[str, Any] = {"accuracy_by_class": class_accuracies(confusion, images.classes)}
    if len(images.classes) <= MAX_CONFUSED:
        details["confusion"] = confusion.tolist()
    return details


def _highest(measured: Mapping[str, list[dict[str, float]]]) -> str:
    """The highest value of the first metric for each stage."""
    first = next(iter(next(iter(measured.values()))[0]))
    highest = {stage: max(row[first] for row in rows) for stage, rows in measured.items()}
    return f"{first} " + ", ".join(f"{stage} {value:.2f}" for stage, value in highest.items())
