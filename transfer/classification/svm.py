"""Linear SVMs on the features of every stage of a frozen backbone, on all training images or on a few."""

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int8
from sklearn.preprocessing import normalize

from pretext.runtime.distributed import join_world
from pretext.runtime.progress import Progress
from transfer.backbone import OpenedBackbone
from transfer.classification.features import Features, extract_features, open_backbone_for_features
from transfer.classification.linear_svm import COSTS, ClassSvm, train_and_score
from transfer.classification.low_shot import check_images_of_classes, low_shot_sets
from transfer.classification.metrics import measure
from transfer.classification.protocols import resolve
from transfer.classification.svm_records import details_by_class, notes, results_table, svm_records
from transfer.config import SvmConfig
from transfer.data.labelled import LabelledImages, open_labelled
from transfer.results import Record, begin_results, write_records


def svm(config: SvmConfig) -> None:
    """Extract features, train and test SVMs on each stage, and write the results.

    All processes extract; the first one trains, `num_jobs` classes at one time.

    Raises:
        ValueError: the configuration cannot be run as it is, a class has too few images, or the folder holds
            the results of another command.
        RunFailedError: too many images are unreadable.
        StoppedError: SIGINT or SIGTERM came while features were extracted.
    """
    _check(config)
    protocol = resolve(config.features.protocol, config.data)
    out = Path(config.out)
    with join_world(config.device) as world, ExitStack() as held:
        world.on_main(lambda: begin_results(out, asdict(config), held))
        train, test = open_labelled(config.data)
        check_images_of_classes(one_vs_rest(train), train.classes, max(config.shots or [1]))
        backbone = open_backbone_for_features(config.backbone, config.seed, train, protocol)
        train_features, test_features = (
            extract_features(backbone, images, protocol, config.features, data=config.data, world=world)
            for images in (train, test)
        )
        if not world.is_main:
            return
        records: list[Record] = []
        num_sets = len(config.shots) * config.samples if config.shots else 1
        with Progress(len(train_features) * num_sets * len(train.classes), unit="class") as progress:
            for stage, features in train_features.items():
                found = _train_and_test(
                    config, backbone, stage, train, features, test, test_features[stage], progress
                )
                for line in notes(found):
                    progress.say(line)
                records += found
        path = write_records(out, records)
        print(f"{results_table(records)}\nresults     {path}")


def one_vs_rest(images: LabelledImages) -> Int8[np.ndarray, "images classes"]:
    """For each class 1 where an image shows it and -1 where it does not, or 0 where the data set leaves it open."""
    if images.multi_label:
        return images.labels
    return np.where(images.labels[:, None] == np.arange(len(images.classes)), 1, -1).astype(np.int8)


def _check(config: SvmConfig) -> None:
    """Raises ValueError for numbers that mean nothing."""
    for key, values, lowest in (
        ("folds", [config.folds], 2),
        ("num_jobs", [config.num_jobs], 1),
        ("samples", [config.samples], 1),
        ("shots", [1] if config.shots is None else config.shots, 1),
    ):
        if min(values, default=0) < lowest:
            raise ValueError(f"{key} is {getattr(config, key)}, expected {lowest} or more")
    if config.costs is not None and min(config.costs, default=0) <= 0:
        raise ValueError(f"costs is {config.costs}, expected numbers above 0, or null for those of the paper")


def _train_and_test(
    config: SvmConfig,
    backbone: OpenedBackbone,
    stage: str,
    train: LabelledImages,
    train_features: Features,
    test: LabelledImages,
    test_features: Features,
    progress: Progress,
) -> list[Record]:
    """The results of one stage, on the images that could be read."""
    labels, test_labels = one_vs_rest(train)[train_features.kept], one_vs_rest(test)[test_features.kept]
    check_images_of_classes(labels, train.classes, max(config.shots or [1]))
    train_vectors, test_vectors = unit_vectors(train_features), unit_vectors(test_features)
    costs = config.costs or COSTS
    training_sets = (
        low_shot_sets(labels, config.shots, config.samples, config.seed, multi_label=train.multi_label)
        if config.shots
        else [({}, labels)]
    )
    records: list[Record] = []
    for settings, drawn in training_sets:
        svms: list[ClassSvm] = []
        for class_svm in train_and_score(
            train_vectors,
            drawn,
            test_vectors,
            costs=costs,
            folds=config.folds,
            seed=config.seed,
            num_jobs=config.num_jobs,
        ):
            svms.append(class_svm)
            progress.advance()
        scores = np.stack([class_svm.scores for class_svm in svms], axis=1)
        all_kept = np.ones(len(scores), bool)
        metrics = measure(scores, test_labels, all_kept)
        if not test.multi_label:
            metrics |= measure(scores, test.labels[test_features.kept], all_kept)
        details = {
            "train_images": int((drawn != 0).any(axis=1).sum()),
            "test_images": len(scores),
            "broken_train_images": int((~train_features.kept).sum()),
            "broken_test_images": int((~test_features.kept).sum()),
            "costs_tried": len(costs),
            **details_by_class(train.classes, svms, test_labels),
        }
        records += svm_records(config, backbone, stage, test, metrics, settings, details)
        where = [stage, *(f"{name} {value}" for name, value in settings.items())]
        progress.say(f"{', '.join(where)}: " + ", ".join(f"{m} {value:.2f}" for m, value in metrics.items()))
    return records


def unit_vectors(features: Features) -> Float64[np.ndarray, "images dimensions"]:
    """The features of the readable images, each divided by its Euclidean length; a zero vector stays zero."""
    return normalize(features.open()[features.kept].astype(np.float64), copy=False)
