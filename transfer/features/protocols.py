"""The published protocols of linear classification on frozen features. Their numbers cannot be compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from math import cos, isqrt, pi
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from pretext.images.loader import Cut, RandomCut
from pretext.networks import StageSpec
from transfer.classification import ClassificationProtocol, resolve_protocol
from transfer.data.crops import central_crop, random_resized_crop, random_square
from transfer.tokens import VectorSpec


@dataclass(frozen=True, kw_only=True)
class LinearProtocol(ClassificationProtocol):
    """How a stage becomes a feature vector, and how a linear classifier is trained on it.

    Attributes:
        pooling: resize is bilinear.
        max_dimensions: a map is pooled to the largest square grid with at most so many features; None averages it.
        kernels: (side of the map, grid) -> kernel, stride and padding of the published average pooling; maps of other
            sides are pooled adaptively.
        random_resized: training crops have a random area and aspect ratio.
        train_resample, test_resample: how training and test images are resized.
        batch_norm: channels are normalised before the classifier, without affine parameters.
        optimizer: SGD; or LARS, of weights and not of biases.
        stages: those of a vision transformer that the protocol tests.
        learning_rates: the grid of which one is chosen; empty where the protocol has but `lr`.
        lr_batch_size: images of a step to which `lr` and `learning_rates` belong: with others they grow in proportion.
            None: they are those of any step.
        schedule: of the learning rate: `lr_decays`, or half a cosine to zero.
        lr_decays: epoch -> from then on the learning rate is so many times `lr`.
        warmup_epochs: over which the learning rate rises linearly.
        lr_by_epoch: it changes between epochs only.
    """

    pooling: Literal["resize", "average", "max"]
    max_dimensions: int | None = 9600
    kernels: Mapping[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)
    random_resized: bool = False
    train_resample: Image.Resampling = Image.Resampling.BILINEAR
    test_resample: Image.Resampling = Image.Resampling.BILINEAR
    batch_norm: bool
    batch_norm_eps: float = 1e-5
    optimizer: Literal["sgd", "lars"] = "sgd"
    nesterov: bool = False
    stages: tuple[str, ...] | None = None
    learning_rates: tuple[float, ...] = ()
    lr_batch_size: int | None = None
    epochs: int
    schedule: Literal["step", "cosine"] = "step"
    lr_decays: Mapping[int, float] = field(default_factory=dict)
    warmup_epochs: int = 0
    lr_by_epoch: bool = False

    def grid(self, stage: str, spec: StageSpec | VectorSpec) -> int:
        """Side of the grid to which a stage is pooled: 10, 6, 5, 5, 6 for conv1..conv5 of an AlexNet, 1 for a vector.

        Raises:
            ValueError: the stage has more channels than the protocol has features.
        """
        if self.max_dimensions is None or isinstance(spec, VectorSpec):
            return 1
        grid = isqrt(self.max_dimensions // spec.channels)
        if not grid:
            raise ValueError(
                f"stage {stage} has {spec.channels} channels and {self.name} at most {self.max_dimensions} features; "
                "leave it out of stages"
            )
        return grid

    def pool(
        self, stage: str, spec: StageSpec | VectorSpec, features: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels grid grid"]:
        """Pool or resize a stage's map to its grid; a smaller map is enlarged, and a vector stays as it is."""
        grid = self.grid(stage, spec)
        if isinstance(spec, VectorSpec):
            return features
        height, width = features.shape[-2:]
        if self.pooling == "resize":
            pooled = F.interpolate(features, size=(grid, grid), mode="bilinear", align_corners=False)
        elif self.pooling == "max":
            pooled = F.adaptive_max_pool2d(features, grid)
        elif height == width and (height, grid) in self.kernels:
            pooled = F.avg_pool2d(features, *self.kernels[height, grid])
        else:
            pooled = F.adaptive_avg_pool2d(features, grid)
        assert pooled.shape[1:] == (spec.channels, grid, grid)
        return pooled

    def train_cut(self) -> RandomCut:
        """What is cut out of a training image."""
        if self.random_resized:
            return partial(random_resized_crop, crop_size=self.crop_size, resample=self.train_resample)
        return partial(random_square, image_size=self.image_size, crop_size=self.crop_size)

    def test_cut(self) -> Cut:
        """What is cut out of a test image."""
        return super().test_cut() if self.ten_crop else self.central_cut()

    def central_cut(self) -> Cut:
        """The central crop, whatever the protocol tests on: what features are kept of."""
        return partial(
            central_crop, image_size=self.image_size, crop_size=self.crop_size, resample=self.test_resample
        )

    def recipe(self) -> str:
        lr = f"{self.lr:g}" if not self.learning_rates else f"one of {len(self.learning_rates)}"
        falls = "cosine" if self.schedule == "cosine" else "in steps" if self.lr_decays else "constant"
        scaled = f" for {self.lr_batch_size} images" if self.lr_batch_size else ""
        pooling = "resized" if self.pooling == "resize" else f"{self.pooling} pooling"
        pooled = f"{pooling} to {self.max_dimensions} features" if self.max_dimensions else "tokens, or means"
        parts = [
            f"{self.epochs} epochs of {self.batch_size} images",
            f"{self.optimizer.upper()}, learning rate {lr}{scaled}, {falls}",
            f"weight decay {self.weight_decay:g}",
            f"{'random resized ' if self.random_resized else ''}crops of {self.crop_size} px",
            pooled,
            "BatchNorm before the classifier" if self.batch_norm else "no normalisation",
            "ten crops in testing" if self.ten_crop else "the central crop in testing",
        ]
        return "; ".join(parts)

    def lr_factor(self, step: int, num_steps: int, batch_size: int) -> float:
        """What the learning rate is multiplied by at `step` of steps of that many images.

        Decays and warm-up keep their share of `num_steps`.
        """
        scale = batch_size / self.lr_batch_size if self.lr_batch_size else 1.0
        epoch = step * self.epochs / num_steps
        if self.schedule == "step":
            past = [start for start in self.lr_decays if epoch >= start]
            return scale * (self.lr_decays[max(past)] if past else 1.0)
        if self.lr_by_epoch:
            epoch = float(int(epoch))
        if epoch < self.warmup_epochs:
            return scale * epoch / self.warmup_epochs
        progress = (epoch - self.warmup_epochs) / (self.epochs - self.warmup_epochs)
        return scale * (1 + cos(pi * progress)) / 2

    def described(self) -> str:
        """What a result says of the protocol: its name, and the user's crop where it is not the published one."""
        published = LINEAR_PROTOCOLS[self.name]
        if self.has_sizes_of(published):
            return self.name
        return f"{self.name}, {self.crop_size} px of {self.image_size}"


LINEAR_PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        LinearProtocol(
            name="zhang16",
            source="Zhang, Isola, Efros 2016, section 3.2, and its released solver",
            differs="conv1 of an AlexNet is 57 x 57 before it is resized, not 55 x 55, as in the pretraining",
            pooling="resize",
            crop_size=227,
            batch_norm=True,
            lr=0.01,
            weight_decay=5e-4,
            batch_size=256,
            epochs=28,
            lr_decays={8: 0.1, 16: 0.01, 24: 0.001},
        ),
        LinearProtocol(
            name="goyal19",
            source="Goyal, Mahajan, Gupta, Misra 2019, as in its authors' VISSL",
            differs="the paper's own release decays the weights of a ResNet-50 by 1e-4, and its crops are plain, of "
            "227 px for AlexNet",
            pooling="average",
            kernels={
                **{
                    (55, 10): (19, 4, 0),
                    (27, 6): (12, 3, 0),
                    (13, 5): (9, 1, 0),
                    (13, 6): (8, 1, 0),
                },  # AlexNet
                **{(112, 12): (10, 10, 4), (56, 6): (16, 8, 0), (28, 4): (13, 5, 0)},  # ResNet-50
                **{(14, 3): (8, 3, 0), (7, 2): (6, 1, 0)},
            },
            crop_size=224,
            random_resized=True,
            batch_norm=True,
            lr=0.01,
            nesterov=True,
            weight_decay=5e-4,
            batch_size=256,
            epochs=28,
            lr_decays={8: 0.1, 16: 0.01, 24: 0.001},
        ),
        LinearProtocol(
            name="deepcluster18",
            source="Caron, Bojanowski, Joulin, Douze 2018, as released",
            differs="its decay of the learning rate is below 0.1 % over the whole training and left out",
            pooling="average",
            kernels={(55, 10): (6, 6, 3), (27, 6): (4, 4, 0), (13, 5): (3, 3, 1), (13, 6): (2, 2, 0)},
            crop_size=224,
            batch_norm=False,
            ten_crop=True,
            lr=0.01,
            weight_decay=1e-7,
            batch_size=256,
            epochs=90,
        ),
        LinearProtocol(
            name="rotnet18",
            source="Gidaris, Singh, Komodakis 2018; normalisation, batch and optimiser as released",
            pooling="max",
            crop_size=224,
            batch_norm=True,
            lr=0.1,
            nesterov=True,
            weight_decay=5e-4,
            batch_size=192,
            epochs=35,
            lr_decays={5: 0.1, 15: 0.02, 25: 0.004},
        ),
        # For ViT-S the class tokens of the last four blocks, for ViT-B the last class token and the mean of the last
        # patch tokens.
        LinearProtocol(
            name="dino21",
            source="DINO, Caron et al. 2021, and its released evaluation",
            pooling="average",
            max_dimensions=None,
            crop_size=224,
            random_resized=True,
            test_resample=Image.Resampling.BICUBIC,
            batch_norm=False,
            stages=("class4", "class1+mean"),
            lr=0.001,
            lr_batch_size=256,
            weight_decay=0.0,
            batch_size=1024,
            epochs=100,
            schedule="cosine",
            lr_by_epoch=True,
        ),
        # 13 learning rates for each of four choices of tokens; 12,500 steps, which are 10 epochs of ImageNet.
        LinearProtocol(
            name="dinov2",
            source="DINOv2, Oquab et al. 2023, and its released evaluation",
            pooling="average",
            max_dimensions=None,
            crop_size=224,
            random_resized=True,
            train_resample=Image.Resampling.BICUBIC,
            test_resample=Image.Resampling.BICUBIC,
            batch_norm=False,
            stages=("class1", "class1+mean", "class4", "class4+mean"),
            lr=0.001,
            learning_rates=(1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1),
            lr_batch_size=256,
            weight_decay=0.0,
            batch_size=1024,
            epochs=10,
            schedule="cosine",
        ),
        LinearProtocol(
            name="mae22",
            source="MAE, He et al. 2022, and its released evaluation, after MoCo v3",
            pooling="average",
            max_dimensions=None,
            crop_size=224,
            random_resized=True,
            train_resample=Image.Resampling.BICUBIC,
            test_resample=Image.Resampling.BICUBIC,
            batch_norm=True,
            batch_norm_eps=1e-6,
            optimizer="lars",
            stages=("class1",),
            lr=0.1,
            lr_batch_size=256,
            weight_decay=0.0,
            batch_size=16384,
            epochs=90,
            schedule="cosine",
            warmup_epochs=10,
        ),
    )
}


def resolve(name: str, image_size: int | None = None, crop_size: int | None = None) -> LinearProtocol:
    """The protocol of this name, with the user's sizes; raises as `resolve_protocol`."""
    return resolve_protocol(LINEAR_PROTOCOLS, name, image_size=image_size, crop_size=crop_size)
