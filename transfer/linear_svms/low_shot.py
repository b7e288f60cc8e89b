"""The training images of low-shot SVMs: k positives of each class, drawn at random."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int8


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
