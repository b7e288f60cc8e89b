"""Validation over all processes' images, and the figure of a run's losses so far."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pretext.config import TrainConfig
from pretext.images.image_source import ImageSource
from pretext.images.loader import batches_in_order
from pretext.networks.backbone import Backbone
from pretext.probe import OpenedProbe
from pretext.runtime.distributed import World
from pretext.tasks import Task


@torch.inference_mode()
def validate(
    task: Task,
    network: Backbone,
    model: nn.Module,
    images: ImageSource,
    config: TrainConfig,
    world: World,
    autocast: torch.autocast,
    learned: Tensor,
) -> tuple[dict[str, float], list[tuple[str, str]]]:
    """Metrics by name over all `images`, and (name, reason) of this process's unreadable files.

    The losses are means over the images that count, and left out if there are none. Beside them stand those of the
    answer that is best for the training images whatever the input, left out while nothing is known of them: what a
    network must beat to have looked at its input. What else the task measures is a mean over all images.

    Args:
        network: inside `model`, which is put into evaluation mode.
        learned: this process's sum of the task's statistics over training images.
    """
    model.eval()
    batches = batches_in_order(
        images,
        task.cut_in_order(config.data.image_size),
        short_side=config.data.image_size,
        batch_size=config.batch_size // world.size,
        rank=world.rank,
        world_size=world.size,
        num_workers=config.data.num_workers,
    )
    losses_sum: defaultdict[str, Tensor] = defaultdict(lambda: learned.new_zeros((), dtype=torch.float64))
    measured_sum = losses_sum.copy()
    asked, num_counted, num_images = torch.zeros_like(learned), 0, 0
    errors = []
    for batch in batches:
        errors += batch.errors
        pictures = batch.rgb[~batch.broken].to(world.device)
        if not len(pictures):
            continue
        inputs, targets = task.split(pictures, network)
        with autocast:
            output = model(inputs)
        losses = task.losses(output, targets)
        asked += task.statistics(targets)
        for name in task.loss_names:
            losses_sum[name] += losses.by_name[name].sum().double()
        for name, values in task.measure(pictures, output, network).items():
            measured_sum[name] += values.sum().double()
        num_counted += int(losses.counted.sum())
        num_images += len(pictures)
    counted, images_in_all = sum(world.gather(num_counted)), sum(world.gather(num_images))
    all_learned, all_asked = world.sum(learned.clone()), world.sum(asked)
    row: dict[str, float] = {}
    if counted:
        row |= {name: value / counted for name, value in _sum_by_name(world, losses_sum).items()}
        if all_learned.any():
            row |= task.constant_answer(all_learned, all_asked)
    row |= {name: value / max(images_in_all, 1) for name, value in _sum_by_name(world, measured_sum).items()}
    if task.uncounted:
        row[task.uncounted] = float(images_in_all - counted)
    return {f"validation_{name}": value for name, value in row.items()}, errors


def _sum_by_name(world: World, sums: dict[str, Tensor]) -> dict[str, float]:
    """The sums over all processes, of which some may have seen no image and so know no name."""
    totals: defaultdict[str, float] = defaultdict(float)
    for of_process in world.gather({name: value.item() for name, value in sums.items()}):
        for name, value in of_process.items():
            totals[name] += value
    return totals


def first_images(
    sources: list[ImageSource], task: Task, image_size: int, number: int
) -> tuple[Tensor, list[str]]:
    """The first `number` images of each source as validation cuts them, and their names; broken ones are left out."""
    samples, names = [], []
    for source in sources:
        batch = next(
            batches_in_order(source, task.cut_in_order(image_size), short_side=image_size, batch_size=number)
        )
        samples.append(batch.rgb[~batch.broken])
        names += [source.name(int(index)) for index in batch.indices[~batch.broken]]
    return torch.cat(samples), names


def is_best_so_far(rows: Sequence[dict[str, Any]], name: str, step: int) -> bool:
    """Whether a number was logged at `step` and is better than at any step before; of losses the lowest is."""
    values = {row["step"]: row[name] for row in rows if name in row}
    sign = -1 if "loss" in name else 1
    return step in values and all(sign * values[step] > sign * values[of] for of in values if of < step)


def draw_curves(
    rows: Sequence[dict[str, Any]], path: Path, task: Task, probes: Sequence[OpenedProbe] = ()
) -> None:
    """Training and validation loss beside the constant answer, the task's panel, and what probes say, over the steps.

    Args:
        rows: of metrics.jsonl.
        path: the PNG file to write.
        probes: whose numbers are drawn, but for seconds and effective ranks.
    """
    # Half a second that the first step should not wait for.
    from matplotlib.figure import Figure

    from pretext.figure_style import COLOURS, NEUTRAL, WIDTH, house_style, look_of, save_figure

    validation: dict[str, Any] = {"color": COLOURS[0], "marker": "."}
    constant: dict[str, Any] = {"color": COLOURS[1], "linestyle": "--"}
    with house_style():
        figure = Figure(figsize=(WIDTH * max(1, (2 + len(probes)) / 2), 3.3), layout="constrained")
        losses, *others = figure.subplots(1, 1 + bool(task.panel) + len(probes), squeeze=False)[0]
        losses.plot(*_series(rows, "loss"), label="training", color=NEUTRAL, linewidth=1)
        losses.plot(*_series(rows, "validation_loss"), label="validation", **validation)
        answer = f"validation, {task.constant_answer_name}"
        losses.plot(*_series(rows, "validation_constant_answer"), label=answer, **constant)
        losses.set(xlabel="step", ylabel="loss (optimised)")
        if task.panel:
            beside = others[0]
            for number, (name, label) in enumerate(task.panel.metrics.items()):
                style: dict[str, Any] = {"linestyle": "--"} if number else {"marker": "."}
                color = COLOURS[number % len(COLOURS)]
                beside.plot(*_series(rows, name), label=label, color=color, **style)
            beside.set(xlabel="step", ylabel=task.panel.ylabel)
        for probe, axes in zip(reversed(probes), reversed(others), strict=False):
            shown = [
                key
                for key in dict.fromkeys(key for row in rows for key in row)
                if key.startswith(f"{probe.config.name}_")
                and not key.endswith(("_seconds", "_effective_rank"))
            ]
            for number, key in enumerate(shown):
                look = look_of(number)
                label = key.removeprefix(f"{probe.config.name}_")
                axes.plot(
                    *_series(rows, key), label=label, color=look.colour, linestyle=look.dashes, marker="."
                )
            axes.set(xlabel="step", ylabel=": ".join(filter(None, [probe.config.name, probe.probe.ylabel])))
        for axes in (losses, *others):
            axes.legend()
    save_figure(figure, path.with_suffix(""), pdf=False)


def _series(rows: Sequence[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    points = [(row["step"], row[name]) for row in rows if name in row]
    return np.array([step for step, _ in points]), np.array([value for _, value in points])
