"""Weighted nearest neighbours in the features of every stage of a frozen backbone."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float32, Int64, Shaped
from torch import Tensor

from pretext.runtime.distributed import join_world
from transfer.backbone import OpenedBackbone
from transfer.classification.features import Features, extract_features, open_backbone_for_features
from transfer.classification.metrics import measure
from transfer.classification.nearest_neighbours import MIB, nearest_neighbours
from transfer.classification.protocols import resolve
from transfer.config import KnnConfig
from transfer.data.labelled import LabelledImages, open_labelled
from transfer.results import Record, begin_results, write_records

PUBLISHED_TEMPERATURE = 0.07  # of Wu et al. (2018), section 3.4


def knn(config: KnnConfig) -> None:
    """Extract features, classify the test images by their neighbours on each stage, and write the results.

    All processes extract; the first one looks for the neighbours.

    Raises:
        ValueError: the configuration cannot be run as it is, every k is larger than the number of training images, or
            the folder holds the results of another command.
        RunFailedError: too many images are unreadable.
        StoppedError: SIGINT or SIGTERM came while features were extracted.
    """
    _check(config)
    protocol = resolve(config.features.protocol, config.data)
    out = Path(config.out)
    with join_world(config.device) as world, ExitStack() as held:
        world.on_main(lambda: begin_results(out, asdict(config), held))
        train, test = open_labelled(config.data)
        backbone = open_backbone_for_features(config.backbone, config.seed, train, protocol)
        train_features, test_features = (
            extract_features(backbone, images, protocol, config.features, data=config.data, world=world)
            for images in (train, test)
        )
        if not world.is_main:
            return
        num_train = min(int(features.kept.sum()) for features in train_features.values())
        numbers_of_neighbours = _those_that_fit(config.k, num_train)
        records = []
        for stage, features in train_features.items():
            similarities, indices = nearest_neighbours(
                features, test_features[stage], max(numbers_of_neighbours), config.memory * MIB, world.device
            )
            for k in numbers_of_neighbours:
                votes = count_votes(
                    similarities[:, :k], indices[:, :k], train.labels, len(train.classes), config.temperature
                )
                metrics = measure(votes.numpy(), test.labels, test_features[stage].kept)
                records += _records(config, backbone, test, stage, k, metrics, features, test_features[stage])
    path = write_records(out, records)
    print(f"{_table(records)}\nresults     {path}")


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
    weights = (
        (similarities - similarities[:, :1]) / temperature
    ).exp()  # the nearest has 1: nothing overflows
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
        raise ValueError(f"k is {config.k}, expected numbers of neighbours of at least 1")
    for key, value in (("temperature", config.temperature), ("memory", config.memory)):
        if value <= 0:
            raise ValueError(f"{key} is {value}, expected more than 0")


def _those_that_fit(numbers_of_neighbours: Sequence[int], num_train: int) -> list[int]:
    """Those up to the number of training images, sorted; the others are named.

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


def _records(
    config: KnnConfig,
    backbone: OpenedBackbone,
    test: LabelledImages,
    stage: str,
    k: int,
    metrics: dict[str, float],
    train_features: Features,
    test_features: Features,
) -> list[Record]:
    changed = {} if config.temperature == PUBLISHED_TEMPERATURE else {"temperature": config.temperature}
    return [
        Record(
            task="knn",
            data=test.name,
            protocol=resolve(config.features.protocol, config.data).described(config.data),
            backbone=backbone.name,
            weights=backbone.sha256,
            stage=stage,
            metric=metric,
            value=value,
            seed=config.seed,
            settings={"k": k, **changed},
            details={
                "train_images": int(train_features.kept.sum()),
                "test_images": int(test_features.kept.sum()),
                "broken_train_images": int((~train_features.kept).sum()),
                "broken_test_images": int((~test_features.kept).sum()),
                "dimensions": train_features.open().shape[1],
                "precision": config.features.precision,
            },
        )
        for metric, value in metrics.items()
    ]


def _table(records: Sequence[Record]) -> str:
    """Aligned lines: a stage and k each, with their metrics."""
    metrics = list(dict.fromkeys(record.metric for record in records))
    width = max(len("stage"), *(len(record.stage) for record in records))
    lines = [f"{'stage':<{width}}{'k':>6}" + "".join(f"{metric:>14}" for metric in metrics)]
    rows: dict[tuple[str, int], dict[str, float]] = {}
    for record in records:
        rows.setdefault((record.stage, record.settings["k"]), {})[record.metric] = record.value
    for (stage, k), values in rows.items():
        lines.append(f"{stage:<{width}}{k:>6}" + "".join(f"{values[metric]:14.2f}" for metric in metrics))
    return "\n".join(lines)
