"""Weighted nearest neighbours in the features of every stage of a frozen backbone."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Int64, Shaped
from torch import Tensor

from transfer.backbone import AnyBackbone
from transfer.classification import measure
from transfer.data.labelled import AnyImages, LabelledImages, label_images, open_labelled
from transfer.features.extraction import extract_all, open_tested
from transfer.features.files import Features
from transfer.features.protocols import resolve
from transfer.nearest_neighbours.config import KnnConfig
from transfer.nearest_neighbours.search import MIB, nearest_neighbours
from transfer.results import Record, make_records, stages_table
from transfer.runs import config_of, start_run
from transfer.selection import open_selection

PUBLISHED_TEMPERATURE = 0.07  # of Wu et al. (2018), section 3.4


def run(config: KnnConfig) -> list[Record]:
    """`knn` with what `config` names."""
    return _classify(config, config.backbone, *open_labelled(config.data), config.data.validation)


def knn(
    backbone: AnyBackbone | None,
    train: AnyImages,
    test: AnyImages,
    *,
    validation: float | AnyImages | None = None,
    out: str | Path | None = None,
    cache: str | Path | None = None,
    **keys: Any,
) -> list[Record]:
    """Classify each test image by its nearest training images in the features of each stage.

    All processes extract; the first one looks for the neighbours.

    Args:
        backbone: see `open_backbone`; it is left as it is. None where the data are `features:FOLDER`.
        train, test: see `label_images`.
        validation: on which one of several k is chosen; see `SelectionDataConfig`.
        out: folder of the results; None leaves nothing behind.
        cache: folder of the features; None keeps none.
        keys: of `KnnConfig` and `DataConfig`, by their own names.

    Returns:
        For each stage and metric a record; on other processes than the first none.

    Raises:
        ValueError: an argument means nothing, every k is larger than the number of training images, or the folder holds
            another run.
        RunFailedError: too many images are unreadable, or a feature is NaN or infinite.
        StoppedError: SIGINT or SIGTERM came while features were extracted.
    """
    config = config_of(
        KnnConfig, backbone, train, test, out, {"validation": validation, "cache": cache, **keys}
    )
    return _classify(config, backbone, *label_images(train, test, config.data), validation)


def _classify(
    config: KnnConfig,
    backbone: AnyBackbone | None,
    train: LabelledImages,
    test: LabelledImages,
    validation: float | AnyImages | None,
) -> list[Record]:
    _check(config)
    recipe = resolve(config.protocol, config.data.image_size, config.data.crop_size)
    selection = open_selection(
        validation, train, test, config.data, seed=config.seed, left_open=len(set(config.k)) > 1
    )
    with start_run(config) as run:
        sets = [train, test]
        if selection and selection.chosen_on == "validation" and selection.held_out is None:
            sets.append(selection.images)
        opened, protocol = open_tested(config, backbone, recipe, sets)
        if records := run.finished(opened, len(train.source)):
            return run.finish(records, stages_table(records, ["k"]))
        features = extract_all(config, run, opened, recipe, sets)
        if not run.world.is_main:
            return []
        everything = np.arange(len(test.labels))
        tests = {stage: (of_test, test.labels, everything) for stage, of_test in features[1].items()}
        choices = tests
        held_out = np.zeros(len(train.labels), bool)
        if selection and selection.held_out is not None:
            held_out[selection.held_out] = True
            choices = {stage: (of, train.labels, selection.held_out) for stage, of in features[0].items()}
        elif len(features) > 2:
            labels = sets[2].labels
            choices = {stage: (of, labels, np.arange(len(labels))) for stage, of in features[2].items()}
        num_train = min(int((of.kept & ~held_out).sum()) for of in features[0].values())
        numbers_of_neighbours = _those_that_fit(config.k, num_train)
        changed = {} if config.temperature == PUBLISHED_TEMPERATURE else {"temperature": config.temperature}
        measured = partial(_measure, config, train.labels, len(train.classes), run.world.device)
        records = []
        for stage, of_train in features[0].items():
            number, chosen = numbers_of_neighbours[0], {}
            if selection:
                neighbours = replace(of_train, kept=of_train.kept & ~held_out)
                by_number = measured(neighbours, *choices[stage], numbers_of_neighbours)
                number = max(
                    by_number, key=lambda k: next(iter(by_number[k].values()))
                )  # the least of equals
                chosen = selection.details({"k": number}, {"k": numbers_of_neighbours}, by_number[number])
            metrics = measured(of_train, *tests[stage], [number])[number]
            kept, test_kept = of_train.kept, features[1][stage].kept
            records += make_records(
                metrics,
                {
                    "train_images": int(kept.sum()),
                    "test_images": int(test_kept.sum()),
                    "broken_train_images": int((~kept).sum()),
                    "broken_test_images": int((~test_kept).sum()),
                    "dimensions": of_train.open().shape[1],
                    "precision": config.precision,
                    **chosen,
                },
                task="knn",
                data=test.name,
                protocol=protocol,
                backbone=opened.name,
                weights=opened.sha256,
                stage=stage,
                chosen_on=selection and selection.chosen_on,
                seed=config.seed,
                settings=changed if selection else {"k": number, **changed},
            )
        return run.finish(records, stages_table(records, ["k"]))


def _measure(
    config: KnnConfig,
    train_labels: Shaped[np.ndarray, "train *classes"],
    num_classes: int,
    device: torch.device,
    neighbours: Features,
    asked: Features,
    labels: Shaped[np.ndarray, "images *classes"],
    indices: Int64[np.ndarray, " asked"],
    numbers: Sequence[int],
) -> dict[int, dict[str, float]]:
    """Metrics by k of those images of a set, with these training images as neighbours."""
    similarities, nearest = nearest_neighbours(
        neighbours, asked, max(numbers), config.memory * MIB, device, indices
    )
    return {
        number: measure(
            count_votes(
                similarities[:, :number], nearest[:, :number], train_labels, num_classes, config.temperature
            ).numpy(),
            labels[indices],
            asked.kept[indices],
        )
        for number in numbers
    }


def count_votes(
    similarities: Float32[Tensor, "images k"],
    indices: Int64[Tensor, "images k"],
    labels: Shaped[np.ndarray, "train *classes"],
    num_classes: int,
    temperature: float,
) -> Float32[Tensor, "images classes"]:
    """The neighbours' votes, exp(s / T) each: by class, as a share of the votes of the nearest neighbour's weight.

    Where an image may show several classes, the share of the votes that are for a class; a neighbour for which the
    data set leaves the class open has none.
    """
    # The nearest has 1: nothing overflows.
    weights = ((similarities - similarities[:, :1]) / temperature).exp()
    if labels.ndim == 1:
        voted = torch.from_numpy(labels)[indices]
        return torch.zeros(len(weights), num_classes).scatter_add_(1, voted, weights)
    in_favour, cast = torch.zeros(2, len(weights), num_classes)
    for weight, voter in zip(weights.T, indices.T, strict=True):
        vote = torch.from_numpy(labels[voter.numpy()])
        in_favour += weight[:, None] * (vote == 1)
        cast += weight[:, None] * (vote != 0)
    return in_favour / cast.clamp_(min=torch.finfo(cast.dtype).tiny)


def _check(config: KnnConfig) -> None:
    """Raises ValueError for numbers that mean nothing."""
    if min(config.k, default=0) < 1:
        raise ValueError(f"k is {list(config.k)}, expected numbers of neighbours of at least 1")
    for key, value in (("temperature", config.temperature), ("memory", config.memory)):
        if value <= 0:
            raise ValueError(f"{key} is {value}, expected more than 0")


def _those_that_fit(numbers_of_neighbours: Sequence[int], num_train: int) -> list[int]:
    """The values of k up to the number of training images, sorted; the others are named.

    Raises:
        ValueError: there are none.
    """
    fitting = sorted({k for k in numbers_of_neighbours if k <= num_train})
    if not fitting:
        raise ValueError(
            f"k is {list(numbers_of_neighbours)}, but there are {num_train} training images; give --k less"
        )
    too_many = sorted(set(numbers_of_neighbours) - set(fitting))
    if too_many:
        print(f"left out: k = {', '.join(map(str, too_many))}, with {num_train} training images")
    return fitting
