"""A share of the labels: the training images of semi-supervised learning."""

import numpy as np
from jaxtyping import Int64

from transfer.data.labelled import LabelledImages


def take_label_share(images: LabelledImages, share: float, seed: int) -> LabelledImages:
    """The share of each class's images that `seed` draws, at least one of each class.

    What a smaller share takes is part of what a larger one takes. Multi-label images are drawn from all together,
    since an image counts for several classes.

    Args:
        share: in (0, 1]; the number of images is rounded.

    Raises:
        ValueError: `share` is outside its range, or leaves a class of multi-label images without a positive.
    """
    if not 0 < share <= 1:
        raise ValueError(f"label_share is {share:g}, expected more than 0 and at most 1 (0.01 for 1 %)")
    if share == 1:
        return images
    if not images.multi_label:
        classes = [np.flatnonzero(images.labels == label) for label in range(len(images.classes))]
        return images.subset(
            np.sort(
                np.concatenate(
                    [_draw(members, share, (seed, label)) for label, members in enumerate(classes)]
                )
            )
        )
    chosen = images.subset(np.sort(_draw(np.arange(len(images.labels)), share, (seed,))))
    lost = (images_by_class(images) > 0) & (images_by_class(chosen) == 0)
    if lost.any():
        names = ", ".join(np.array(images.classes)[lost])
        raise ValueError(
            f"label_share {share:g} with seed {seed} takes {len(chosen.labels)} of {len(images.labels)} images and "
            f"leaves no positive one of {names}; take a larger share, or another seed"
        )
    return chosen


def images_by_class(images: LabelledImages) -> Int64[np.ndarray, " classes"]:
    """How many images, or positive ones, each class has."""
    if images.multi_label:
        return (images.labels == 1).sum(0)
    return np.bincount(images.labels, minlength=len(images.classes))


def _draw(indices: np.ndarray, share: float, seed: tuple[int, ...]) -> np.ndarray:
    """The first of a random order, so that shares of one seed lie in each other."""
    return np.random.default_rng(seed).permutation(indices)[: max(1, round(share * len(indices)))]
