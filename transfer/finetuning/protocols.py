"""Fine-tuning recipes, by name."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from pretext.images.loader import RandomCut
from pretext.schedule import learning_rate
from transfer.classification import ClassificationProtocol, resolve_protocol
from transfer.data.crops import random_resized_crop, scale_jitter_crop


@dataclass(frozen=True, kw_only=True)
class FinetuneProtocol(ClassificationProtocol):
    """How a network is trained with labels, by SGD, and tested.

    Attributes:
        steps: of the optimiser; None where `epochs` says how long the training is.
        epochs: passes over the training images.
        head_lr_factor: that of the new head is `lr` times this.
        lr_decays: share of the training that is done -> what `lr` is multiplied by from there on.
        clip_norm: longest gradient that is not shortened.
        augmentation: `scale_jitter` takes a crop of the image at a random scale; `random_resized` a random part of it.
            Both mirror half of the crops.
    """

    steps: int | None = None
    epochs: int | None = None
    head_lr_factor: float
    lr_decays: Mapping[float, float]
    clip_norm: float | None = None
    augmentation: Literal["scale_jitter", "random_resized"] = "random_resized"

    def num_steps(self, num_images: int) -> int:
        """Steps of the whole training on this many images."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None, "a protocol has steps or epochs"
        return math.ceil(self.epochs * num_images / self.batch_size)

    def lr_at(self, step: int, num_steps: int) -> float:
        """Learning rate of the backbone in step `step` (from 0) of `num_steps`."""
        lr_steps = {round(share * num_steps): self.lr * factor for share, factor in self.lr_decays.items()}
        return learning_rate(step, base=self.lr, schedule="step", num_steps=num_steps, lr_steps=lr_steps)

    def train_cut(self) -> RandomCut:
        """What is cut from a training image."""
        if self.augmentation == "scale_jitter":
            return partial(scale_jitter_crop, image_size=self.image_size, crop_size=self.crop_size)
        return partial(random_resized_crop, crop_size=self.crop_size)

    def overrides(self) -> dict[str, int | float]:
        """What differs from the published protocol: a result says so."""
        published = FINETUNE_PROTOCOLS[self.name]
        return {
            key: value
            for key in ("steps", "batch_size", "lr", "head_lr_factor")
            if (value := getattr(self, key)) != getattr(published, key)
        }

    def described(self, label_share: float) -> str:
        """The name, such as `semi_supervised 1%`, with the crop where it is not the published one."""
        name = self.name if label_share == 1 else f"{self.name} {100 * label_share:g}%"
        published = FINETUNE_PROTOCOLS[self.name]
        if self.has_sizes_of(published):
            return name
        return f"{name}, {self.crop_size} of {self.image_size} px"


FINETUNE_PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        # Zhang et al. (2016), section 3.2, by way of Krahenbuhl et al. (2016): the values of their published training
        # script. Otherwise than there, the ten crops have fixed places and one scale (there they are random), biases
        # have the learning rate of the weights (there twice that), and there is no dropout.
        FinetuneProtocol(
            name="voc07",
            steps=80_000,
            batch_size=16,
            lr=1e-3,
            head_lr_factor=1.0,
            weight_decay=1e-6,
            lr_decays={eighths / 8: 0.5**eighths for eighths in range(1, 8)},
            clip_norm=10.0,
            crop_size=227,
            augmentation="scale_jitter",
            ten_crop=True,
        ),
        # 20 epochs with drops after 12 and 16, as for PIRL (Misra and van der Maaten 2020); the faster head and the
        # weight decay are our choice.
        FinetuneProtocol(
            name="semi_supervised",
            epochs=20,
            batch_size=256,
            lr=0.01,
            head_lr_factor=10.0,
            weight_decay=1e-4,
            lr_decays={12 / 20: 0.1, 16 / 20: 0.01},
            crop_size=224,
        ),
        # A plain recipe of our own.
        FinetuneProtocol(
            name="folder",
            epochs=30,
            batch_size=64,
            lr=0.01,
            head_lr_factor=10.0,
            weight_decay=1e-4,
            lr_decays={20 / 30: 0.1, 27 / 30: 0.01},
            crop_size=224,
        ),
    )
}


def resolve(name: str, **overrides: int | float | None) -> FinetuneProtocol:
    """The protocol of this name, with the user's values in place of its own; see `resolve_protocol`.

    Raises:
        ValueError: a number of steps or images is not positive, or as `resolve_protocol`.
    """
    protocol = resolve_protocol(FINETUNE_PROTOCOLS, name, **overrides)
    for key in ("steps", "batch_size"):
        if (value := getattr(protocol, key)) is not None and value < 1:
            raise ValueError(f"{key} is {value}, expected at least 1")
    return protocol
