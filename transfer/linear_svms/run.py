"""Linear SVMs on the features of every stage of a frozen backbone, on all training images or on a few."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int8
from sklearn.preprocessing import normalize

from pretext.runtime.progress import Progress
from pretext.spelling import first_few
from transfer.backbone import AnyBackbone
from transfer.classification import Kind, average_precision, measure
from transfer.data.labelled import AnyImages, LabelledImages, label_images, open_labelled
from transfer.features.extraction import extract_all, open_tested
from transfer.features.files import Features
from transfer.features.protocols import resolve
from transfer.linear_svms.class_svm import COSTS, MAX_ITERATIONS, UNCHOSEN_COST, ClassSvm, train_and_score
from transfer.linear_svms.config import SvmConfig
from transfer.results import Record, metrics_table
from transfer.runs import config_of, start_run


def run(config: SvmConfig) -> list[Record]:
    """`svm` with what `config` names."""
    return _train_svms(config, config.backbone, *open_labelled(config.data))


def svm(
    backbone: AnyBackbone | None,
    train: AnyImages,
    test: AnyImages,
    *,
    out: str | Path | None = None,
    cache: str | Path | None = None,
    **keys: Any,
) -> list[Record]:
    """Train and test linear SVMs, one per class, on the features of each stage, after Goyal et al. (2019).

    All processes extract; the first one trains, `num_jobs` classes at one time.

    Args:
        backbone: see `open_backbone`; it is left as it is. None where the data are `features:FOLDER`.
        train, test: see `label_images`.
        out: folder of the results; None leaves nothing behind.
        cache: folder of the features; None keeps none.
        keys: of `SvmConfig` and `DataConfig`, by their own names.

    Returns:
        For each stage, set of training images and metric a record; on other processes than the first none.

    Raises:
        ValueError: an argument means nothing, a class has too few images, or the folder holds another run.
        RunFailedError: too many images are unreadable, or a feature is NaN or infinite.
        StoppedError: SIGINT or SIGTERM came while features were extracted.
    """
    config = config_of(SvmConfig, backbone, train, test, out, {"cache": cache, **keys})
    return _train_svms(config, backbone, *label_images(train, test, config.data))


def _train_svms(
    config: SvmConfig, backbone: AnyBackbone | None, train: LabelledImages, test: LabelledImages
) -> list[Record]:
    _check(config)
    recipe = resolve(config.protocol, config.data.image_size, config.data.crop_size)
    check_images_of_classes(one_vs_rest(train), train.classes, max(config.shots or [1]))
    shown = ["shots"] if config.shots else []
    with start_run(config) as run:
        opened, protocol = open_tested(config, backbone, recipe, [train, test])
        if records := run.finished(opened, len(train.source)):
            return run.finish(records, metrics_table(records, shown))
        train_features, test_features = extract_all(config, run, opened, recipe, [train, test])
        if not run.world.is_main:
            return []
        records = []
        num_sets = len(config.shots) * config.samples if config.shots else 1
        with Progress(len(train_features) * num_sets * len(train.classes), unit="class") as progress:
            for stage, features in train_features.items():
                measured = _train_and_test(
                    config, stage, train, features, test, test_features[stage], progress
                )
                stage_records = [
                    Record(
                        task="low_shot_svm" if config.shots else "svm",
                        data=test.name,
                        protocol=protocol,
                        backbone=opened.name,
                        weights=opened.sha256,
                        stage=stage,
                        metric=metric,
                        value=value,
                        seed=config.seed,
                        settings=settings,
                        details=details,
                    )
                    for settings, metrics, details in measured
                    for metric, value in metrics.items()
                ]
                for line in notes(stage_records):
                    progress.say(line)
                records += stage_records
        return run.finish(records, metrics_table(records, shown))


def one_vs_rest(images: LabelledImages) -> Int8[np.ndarray, "images classes"]:
    """For each class 1 where an image shows it and -1 where it does not, or 0 where the data set leaves it open."""
    if images.multi_label:
        return images.labels
    return np.where(images.labels[:, None] == np.arange(len(images.classes)), 1, -1).astype(np.int8)


def _check(config: SvmConfig) -> None:
    """Raises ValueError for numbers that mean nothing."""
    for key, lowest in (("folds", 2), ("num_jobs", 1), ("samples", 1)):
        if (value := getattr(config, key)) < lowest:
            raise ValueError(f"{key} is {value}, expected {lowest} or more")
    if config.shots is not None and min(config.shots, default=0) < 1:
        raise ValueError(f"shots is {list(config.shots)}, expected 1 or more")
    if config.costs is not None and min(config.costs, default=0) <= 0:
        raise ValueError(
            f"costs is {list(config.costs)}, expected numbers above 0, or null for those of the paper"
        )


def _train_and_test(
    config: SvmConfig,
    stage: str,
    train: LabelledImages,
    train_features: Features,
    test: LabelledImages,
    test_features: Features,
    progress: Progress,
) -> Iterator[tuple[dict[str, int], dict[str, float], dict[str, Any]]]:
    """Settings, metrics and details of each set of training images, on the images that could be read."""
    labels, test_labels = one_vs_rest(train)[train_features.kept], one_vs_rest(test)[test_features.kept]
    check_images_of_classes(labels, train.classes, max(config.shots or [1]))
    train_vectors, test_vectors = unit_vectors(train_features), unit_vectors(test_features)
    training_sets = (
        low_shot_sets(labels, config.shots, config.samples, config.seed, multi_label=train.multi_label)
        if config.shots
        else [({}, labels)]
    )
    costs = config.costs or COSTS
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
        where = [stage, *(f"{name} {value}" for name, value in settings.items())]
        progress.say(f"{', '.join(where)}: " + ", ".join(f"{m} {value:.2f}" for m, value in metrics.items()))
        yield settings, metrics, details


def low_shot_sets(
    labels: Int8[np.ndarray, "images classes"],
    shots: Sequence[int],
    samples: int,
    seed: int,
    *,
    multi_label: bool,
) -> Iterator[tuple[dict[str, int], Int8[np.ndarray, "images classes"]]]:
    """Settings and labels of `samples` independent draws of each number of shots; see `draw_shots`."""
    for k in shots:
        for sample in range(samples):
            rng = np.random.default_rng((seed, k, sample))
            yield {"shots": k, "sample": sample}, draw_shots(labels, k, rng, multi_label=multi_label)


def draw_shots(
    labels: Int8[np.ndarray, "images classes"],
    shots: int,
    rng: np.random.Generator,
    *,
    multi_label: bool,
) -> Int8[np.ndarray, "images classes"]:
    """The labels with all but the drawn ones set to 0, as Goyal et al. (2019) and its released code draw.

    Each class has `shots` of its positives. Where an image has one class (Places205), the images drawn for the other
    classes are its negatives. Where it has several (VOC07), an image drawn for one class may show another: each class
    draws its negatives by itself, `shots` for every other class, or all it has.

    Args:
        labels: 1 positive, -1 negative, 0 left out; see `check_images_of_classes`.
    """
    drawn = np.zeros_like(labels)
    others = labels.shape[1] - 1
    for column, drawn_column in zip(labels.T, drawn.T, strict=True):
        drawn_column[rng.choice(np.flatnonzero(column == 1), shots, replace=False)] = 1
        if multi_label:
            negatives = np.flatnonzero(column == -1)
            number = min(others * shots, len(negatives))
            drawn_column[rng.choice(negatives, number, replace=False)] = -1
    if not multi_label:
        drawn[(drawn == 1).any(axis=1)[:, None] & (drawn == 0)] = -1
    return drawn


def check_images_of_classes(
    labels: Int8[np.ndarray, "images classes"], classes: Sequence[str], shots: int
) -> None:
    """Raises ValueError naming a class with fewer than `shots` positive images, or without a negative one."""
    for name, column in zip(classes, labels.T, strict=True):
        positives = int((column == 1).sum())
        if positives < shots:
            raise ValueError(
                f"{shots} positive training images of each class are needed, but {name!r} has {positives}; ask for "
                "fewer shots, or train on more images"
            )
        if not (column == -1).any():
            raise ValueError(
                f"every training image shows {name!r}, but an SVM needs negatives; train on more images, or leave the "
                "class out"
            )


def unit_vectors(features: Features) -> Float64[np.ndarray, "images dimensions"]:
    """The features of the readable images, each divided by its Euclidean length; a zero vector stays zero."""
    return normalize(features.open()[features.kept].astype(np.float64), copy=False)


def details_by_class(
    classes: Sequence[str], svms: Sequence[ClassSvm], test_labels: Int8[np.ndarray, "images classes"]
) -> dict[str, Any]:
    """Class -> average precision in percent (null without a positive test image), cost and folds, and what failed."""

    def precisions(kind: Kind) -> dict[str, float | None]:
        values = [
            100 * average_precision(svm.scores, labels, kind)
            for svm, labels in zip(svms, test_labels.T, strict=True)
        ]
        return {name: None if np.isnan(value) else value for name, value in zip(classes, values, strict=True)}

    named = dict(zip(classes, svms, strict=True))
    return {
        "ap": precisions("area"),
        "ap_11_point": precisions("11_point"),
        "cost": {name: svm.cost for name, svm in named.items()},
        "folds": {name: svm.folds for name, svm in named.items()},
        "svms": sum(svm.num_fits for svm in svms),
        "not_converged": sum(svm.num_unconverged for svm in svms),
        "not_converged_classes": [name for name, svm in named.items() if not svm.converged],
    }


def notes(records: Sequence[Record]) -> list[str]:
    """What the table of one stage does not show: SVMs that did not converge, classes with too few images."""
    sets = [record for record in records if record.metric == "mAP"]
    stage, lines = sets[0].stage, []
    if unconverged := sum(record.details["not_converged"] for record in sets):
        svms = sum(record.details["svms"] for record in sets)
        last = _some(name for record in sets for name in record.details["not_converged_classes"])
        lines.append(
            f"{stage}: {unconverged} of {svms} SVMs stopped at {MAX_ITERATIONS} iterations without having converged"
            + (f", also the final ones of {last}" if last else ", all of them in cross-validation")
        )
    if few := _some(
        name + (f" ({record.settings['shots']} shot)" if record.settings else "")
        for record in sets
        for name, folds in record.details["folds"].items()
        if not folds and record.details["costs_tried"] > 1
    ):
        lines.append(
            f"{stage}: cost {UNCHOSEN_COST:g} without cross-validation, for which there are too few images, of {few}"
        )
    if left_out := _some(
        name for record in sets for name, value in record.details["ap"].items() if value is None
    ):
        lines.append(f"{stage}: without a positive test image and so not in the mAP: {left_out}")
    return lines


def _some(names: Iterable[str]) -> str:
    return first_few(list(dict.fromkeys(names)), 5)
