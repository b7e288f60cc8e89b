"""Fine-tuning recipes, by name."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

from jaxtyping import Float, Int64
from PIL import Image
from torch import Tensor

from pretext.images.loader import Cut, RandomCut
from pretext.schedule import learning_rate
from transfer.classification import ClassificationProtocol, resolve_protocol
from transfer.data.crops import central_crop, random_resized_crop, scale_jitter_crop
from transfer.finetuning.regularisation import augmented_crop, mixed


@dataclass(frozen=True, kw_only=True)
class TransformerRecipe:
    """What is peculiar to the fine-tuning of a vision transformer.

    The head is a linear layer on the mean of the last block's patch tokens after a LayerNorm of its own.

    Attributes:
        layer_decay: the learning rate of a block is that of the next one times this.
        warmup_epochs: over which the learning rate rises linearly; half a cosine follows.
        min_lr: where it ends.
        drop_path: share of the images for which the last block leaves a branch out.
        mixup, cutmix: alphas; see `mixed`.
        label_smoothing: share of the labels that is spread over all classes.
    """

    layer_decay: float
    warmup_epochs: int
    min_lr: float
    drop_path: float
    mixup: float
    cutmix: float
    label_smoothing: float

    def mix(
        self, rgb: Tensor, labels: Int64[Tensor, " batch"], num_classes: int
    ) -> tuple[Tensor, Float[Tensor, "batch classes"]]:
        """Images with others in them, and the share of each class, smoothed."""
        rgb, shares = mixed(rgb, labels, num_classes, mixup=self.mixup, cutmix=self.cutmix)
        return rgb, (1 - self.label_smoothing) * shares + self.label_smoothing / num_classes

    def lr_at(self, progress: float, peak: float, warmup: float) -> float:
        """The learning rate where a share `progress` of the training is done.

        Args:
            peak: after the warm-up.
            warmup: its share of the training.
        """
        if progress < warmup:
            return peak * progress / warmup
        cosine = (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup))) / 2
        return self.min_lr + (peak - self.min_lr) * cosine


_AUGMENTATIONS = {
    "scale_jitter": "crops at random scales",
    "random_resized": "random resized crops",
    "rand_augment": "random resized crops with RandAugment",
}


@dataclass(frozen=True, kw_only=True)
class FinetuneProtocol(ClassificationProtocol):
    """How a network is trained with labels and tested.

    Attributes:
        steps: of the optimiser; None where `epochs` says how long the training is.
        epochs: passes over the training images.
        head_lr_factor: that of the new head is `lr` times this.
        lr_decays: share of the training that is done -> what `lr` is multiplied by from there on.
        clip_norm: longest gradient that is not shortened.
        augmentation: `scale_jitter` takes a crop of the image at a random scale; `random_resized` a random part of it;
            `rand_augment` changes that too, see `augmented_crop`. All mirror half of the crops.
        resample: how test images are resized.
        transformer: what is peculiar to the fine-tuning of a vision transformer, by AdamW; None trains by SGD.
    """

    steps: int | None = None
    epochs: int | None = None
    head_lr_factor: float
    lr_decays: Mapping[float, float]
    clip_norm: float | None = None
    augmentation: Literal["scale_jitter", "random_resized", "rand_augment"] = "random_resized"
    resample: Image.Resampling = Image.Resampling.BILINEAR
    transformer: TransformerRecipe | None = None

    def recipe(self) -> str:
        length = f"{self.steps:,} steps" if self.steps else f"{self.epochs} epochs"
        optimizer = "AdamW, layer decay, mixup and CutMix" if self.transformer else "SGD"
        head = f", of the head {self.head_lr_factor:g} times that" if self.head_lr_factor != 1 else ""
        parts = [
            f"{length} of {self.batch_size} images",
            f"{optimizer}, learning rate {self.lr:g}{head}",
            f"weight decay {self.weight_decay:g}",
            f"{_AUGMENTATIONS[self.augmentation]} of {self.crop_size} px",
            "ten crops in testing" if self.ten_crop else "the central crop in testing",
        ]
        return "; ".join(parts)

    def num_steps(self, num_images: int) -> int:
        """Steps of the whole training on this many images."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None, "a protocol has steps or epochs"
        return math.ceil(self.epochs * num_images / self.batch_size)

    def lr_at(self, step: int, num_steps: int) -> float:
        """Learning rate of the backbone in step `step` (from 0) of `num_steps`."""
        if self.transformer:
            assert self.epochs is not None
            return self.transformer.lr_at(
                step / num_steps,
                self.lr * self.batch_size / 256,
                self.transformer.warmup_epochs / self.epochs,
            )
        lr_steps = {round(share * num_steps): self.lr * factor for share, factor in self.lr_decays.items()}
        return learning_rate(step, base=self.lr, schedule="step", num_steps=num_steps, lr_steps=lr_steps)

    def train_cut(self) -> RandomCut:
        """What is cut from a training image."""
        if self.augmentation == "scale_jitter":
            return partial(scale_jitter_crop, image_size=self.image_size, crop_size=self.crop_size)
        if self.augmentation == "rand_augment":
            return partial(augmented_crop, crop_size=self.crop_size)
        return partial(random_resized_crop, crop_size=self.crop_size)

    def test_cut(self) -> Cut:
        """What is cut out of a test image."""
        if self.ten_crop:
            return super().test_cut()
        return partial(
            central_crop, image_size=self.image_size, crop_size=self.crop_size, resample=self.resample
        )

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
        FinetuneProtocol(
            name="voc07",
            source="Zhang, Isola, Efros 2016, section 3.2, by way of Krahenbuhl et al. 2016 and their training script",
            differs="the ten crops have fixed places and one scale (there they are random), biases have the learning "
            "rate of the weights (there twice that), and there is no dropout",
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
        FinetuneProtocol(
            name="semi_supervised",
            source="PIRL, Misra and van der Maaten 2020: 20 epochs with drops after 12 and 16",
            differs="the faster head and the weight decay are this project's choice",
            epochs=20,
            batch_size=256,
            lr=0.01,
            head_lr_factor=10.0,
            weight_decay=1e-4,
            lr_decays={12 / 20: 0.1, 16 / 20: 0.01},
            crop_size=224,
        ),
        FinetuneProtocol(
            name="mae22",
            source="MAE, He et al. 2022, and its released code for ViT-B",
            differs="RandAugment's magnitude is 9 without noise, as torchvision has it",
            epochs=100,
            batch_size=1024,
            lr=5e-4,
            head_lr_factor=1.0,
            weight_decay=0.05,
            lr_decays={},
            crop_size=224,
            augmentation="rand_augment",
            resample=Image.Resampling.BICUBIC,
            transformer=TransformerRecipe(
                layer_decay=0.65,
                warmup_epochs=5,
                min_lr=1e-6,
                drop_path=0.1,
                mixup=0.8,
                cutmix=1.0,
                label_smoothing=0.1,
            ),
        ),
        FinetuneProtocol(
            name="folder",
            source="this project: a plain recipe",
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
