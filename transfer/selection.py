"""Choosing what a protocol leaves open (learning rate, epoch, k, stage) on images other than the test's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int64

from transfer.config import SelectionDataConfig
from transfer.data.labelled import (
    AnyImages,
    LabelledImages,
    draw_share,
    images_by_class,
    label_more_images,
)
from transfer.results import ChosenOn

DEFAULT_SHARE = 0.1
TEST = "test"


@dataclass(frozen=True, kw_only=True, eq=False)
class Selection:
    """The images on which something is chosen.

    Attributes:
        held_out: their indices among the training images; None where they are a set of their own.
        described: what results say of them, such as `947 of 9469 training images`.
    """

    chosen_on: ChosenOn
    images: LabelledImages
    held_out: Int64[np.ndarray, " chosen"] | None = None
    described: str

    def remaining(self, train: LabelledImages) -> LabelledImages:
        """The training images without those held out."""
        if self.held_out is None:
            return train
        return train.subset(np.setdiff1d(np.arange(len(train.labels)), self.held_out))

    def details(
        self, chosen: Mapping[str, Any], among: Mapping[str, Sequence[Any]], values: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What a record says of a choice.

        Args:
            chosen: what was chosen, such as {"lr": 0.01}.
            among: the values it was chosen among, such as {"lr": [0.001, 0.01]}.
            values: its metrics on the images; the first decided.
        """
        return {
            **chosen,
            "chosen_among": among,
            "chosen_by": f"{next(iter(values))} on {self.described}",
            self.chosen_on: values,
        }


def open_selection(
    validation: float | AnyImages | None,
    train: LabelledImages,
    test: LabelledImages,
    config: SelectionDataConfig,
    *,
    seed: int,
    left_open: bool,
) -> Selection | None:
    """The images on which is chosen; None where nothing is.

    Args:
        validation: as `SelectionDataConfig.validation`, or data as `label_images` takes it.
        left_open: whether the protocol and the user leave something open.

    Raises:
        ValueError: a share is outside (0, 1) or leaves a class without images, the set has other classes than the
            training images, or it is that of the test.
    """
    if config.validation_labels and (
        validation is None or isinstance(validation, int | float) or validation == TEST
    ):
        raise ValueError(
            f"data.validation_labels {config.validation_labels} names the classes of a set of its own; give that set "
            "as data.validation"
        )
    if validation is None and not left_open:
        return None
    if isinstance(validation, str) and validation == TEST:
        return Selection(chosen_on="test", images=test, described=f"the {len(test.labels)} test images")
    if validation is None or isinstance(validation, int | float):
        share = DEFAULT_SHARE if validation is None else validation
        held_out = hold_out(train, share, seed)
        return Selection(
            chosen_on="validation",
            images=train.subset(held_out),
            held_out=held_out,
            described=f"{len(held_out)} of {len(train.labels)} training images, held out by seed {seed}",
        )
    if isinstance(validation, str) and validation == config.test:
        raise ValueError(
            f"data.validation and data.test are both {validation}; to choose on the test images, which makes the "
            "result optimistic, give --data.validation test"
        )
    images = label_more_images(validation, train, config, config.validation_labels)
    return Selection(
        chosen_on="validation", images=images, described=f"{len(images.labels)} images of {images.name}"
    )


def hold_out(images: LabelledImages, share: float, seed: int) -> Int64[np.ndarray, " chosen"]:
    """Ascending indices of the share of each class's images that `seed` draws, at least one of each class.

    Multi-label images are drawn from all together.

    Raises:
        ValueError: the share is outside (0, 1), or a class would have no image on one of the two sides.
    """
    if not 0 < share < 1:
        raise ValueError(f"data.validation is {share:g}, expected a share of more than 0 and less than 1")
    chosen = np.sort(draw_share(images, share, seed))
    by_class = images_by_class(images)
    held = images_by_class(images.subset(chosen))
    for name, count, number in zip(images.classes, by_class.tolist(), held.tolist(), strict=True):
        if count and number in (0, count):
            raise ValueError(
                f"data.validation {share:g} takes {number} of {count} training images of {name!r} and leaves one side "
                "without any; take another share or seed, give a validation set of its own, or leave nothing open"
            )
    return chosen
