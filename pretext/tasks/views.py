"""Two views of an image, whose features should agree and differ from those of other images: SimCLR and VICReg.

Views, heads and losses are lightly's (pip install 'colorization-benchmark[lightly]').
"""

import random
from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from pretext.images.crops import central_square, own_rng
from pretext.images.loader import Cut, RandomCut
from pretext.networks.backbone import Backbone, StageSpec
from pretext.optional import missing_package
from pretext.tasks.task import Losses, Task

NUM_VIEWS = 2

Transform = Callable[[Image.Image], Any]  # it gives a list of two images of type float, in [0, 1]


class ViewsTask(Task):
    """Tasks on two views of each image: another part of it, mirrored, in other colours, grey, blurred.

    The loss is of all views of a batch together. Each process, and each part of a batch, compares its own images
    alone.

    Args:
        hidden, projected: features inside the head and behind it.
        strength: of the changes of colours.

    Raises:
        ValueError: lightly is not installed.
    """

    constant_answer_name = "equal projections of all images"
    uncounted = "lone_images"

    def __init__(self, *, hidden: int, projected: int, strength: float) -> None:
        super().__init__()
        self.hidden, self.projected, self.strength = hidden, projected, strength
        try:
            import lightly  # noqa: F401 (it imports torchvision, for which a training of another task need not wait)
        except ModuleNotFoundError as error:
            owner = f"the task {type(self).__name__.lower()}"
            raise ValueError(str(missing_package(owner, error, "lightly"))) from error

    @abstractmethod
    def views(self, side: int) -> Transform:
        """What makes both views of an image, RGB in [0, 1], from torch's and NumPy's global random numbers."""

    @abstractmethod
    def projection(self, channels: int) -> nn.Module:
        """What projects the averaged features of an image."""

    @abstractmethod
    def batch_loss(
        self, first: Float[Tensor, "batch projected"], second: Float[Tensor, "batch projected"]
    ) -> Tensor:
        """The loss of the projections of both views of some images."""

    def head(self, stage: StageSpec) -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), self.projection(stage.channels))

    # ------------------------------------------------------------------------------------- images to views

    def cut(self, image_size: int, crop_size: int) -> RandomCut:
        """Both views, in `crop_size`.

        Raises:
            ValueError: the crop is larger than the image.
        """
        super().cut(image_size, crop_size)
        return partial(_drawn_views, self.views(crop_size))

    def cut_in_order(self, image_size: int) -> Cut:
        """Both views, in `image_size`, with what the image itself decides in place of chance."""
        return partial(_own_views, self.views(image_size), image_size)

    def split(
        self, images: UInt8[Tensor, "batch 2 3 side side"], network: Backbone
    ) -> tuple[Float[Tensor, "views channels side side"], int]:
        """All views, those of an image one after the other, and the number of images."""
        return network.see(images.flatten(0, 1) / 255), len(images)

    # --------------------------------------------------------------------------------------- views to loss

    def losses(self, output: Float[Tensor, "views projected"], targets: int) -> Losses:
        """The loss of the batch, as that of each of its images; an image alone has none to differ from and no loss."""
        if targets == 1:
            return Losses(
                {"loss": 0 * output.float().sum()[None]},
                counted=torch.zeros(1, dtype=torch.bool, device=output.device),
            )
        first, second = output.float().unflatten(0, (targets, NUM_VIEWS)).unbind(1)
        return Losses(
            {"loss": self.batch_loss(first, second).expand(targets)},
            counted=torch.ones(targets, dtype=torch.bool, device=output.device),
        )

    def statistics(self, targets: int) -> Float[Tensor, "2"]:
        """The number of images, and the sum over them of the loss that equal projections have (float64)."""
        if targets == 1:
            return torch.zeros(2, dtype=torch.float64)
        equal = torch.zeros(targets, 1)  # as many features as there may be: the loss is the same
        return targets * torch.tensor([1.0, self.batch_loss(equal, equal)], dtype=torch.float64)

    def constant_answer(self, learned: Float[Tensor, "2"], asked: Float[Tensor, "2"]) -> dict[str, float]:
        """The loss on `asked` of projections that are the same for all images."""
        return {"constant_answer": (asked[1] / asked[0]).item()}


class SimCLR(ViewsTask):
    """Find the other view of an image among all views of a batch: Chen et al. (2020), "A simple framework for
    contrastive learning of visual representations".

    Args:
        temperature: by which the similarities of views are divided.
        hidden, projected, strength: see `ViewsTask`; 2048, 128 and 1.0 are the paper's on ImageNet, with batches of
            256 to 8,192 images, strength 0.5 on CIFAR-10.
    """

    def __init__(
        self, temperature: float = 0.5, hidden: int = 2048, projected: int = 128, strength: float = 1.0
    ) -> None:
        super().__init__(hidden=hidden, projected=projected, strength=strength)
        self.temperature = temperature

    def views(self, side: int) -> Transform:
        from lightly.transforms import SimCLRTransform

        return SimCLRTransform(side, cj_strength=self.strength, normalize=None)

    def projection(self, channels: int) -> nn.Module:
        from lightly.models.modules.heads import SimCLRProjectionHead

        return SimCLRProjectionHead(channels, self.hidden, self.projected)

    def batch_loss(
        self, first: Float[Tensor, "batch projected"], second: Float[Tensor, "batch projected"]
    ) -> Tensor:
        """NT-Xent, equation 1 of the paper."""
        from lightly.loss import NTXentLoss

        return NTXentLoss(self.temperature)(first, second)


class VICReg(ViewsTask):
    """Let both views agree while features keep their variance and lose their covariance: Bardes, Ponce, LeCun (2022),
    "VICReg: variance-invariance-covariance regularization for self-supervised learning".

    Args:
        hidden, projected, strength: see `ViewsTask`; the paper's head has 8,192 features inside and behind it.
    """

    def __init__(self, hidden: int = 2048, projected: int = 2048, strength: float = 0.5) -> None:
        super().__init__(hidden=hidden, projected=projected, strength=strength)

    def views(self, side: int) -> Transform:
        from lightly.transforms import VICRegTransform

        return VICRegTransform(side, cj_strength=self.strength, normalize=None)

    def projection(self, channels: int) -> nn.Module:
        from lightly.models.modules.heads import VICRegProjectionHead

        return VICRegProjectionHead(channels, self.hidden, self.projected)

    def batch_loss(
        self, first: Float[Tensor, "batch projected"], second: Float[Tensor, "batch projected"]
    ) -> Tensor:
        """25 times invariance, 25 times variance and covariance, equation 6 of the paper."""
        from lightly.loss import VICRegLoss

        return VICRegLoss()(first, second)


def _drawn_views(
    transform: Transform, image: Image.Image, rng: random.Random
) -> UInt8[Tensor, "2 3 side side"]:
    """Views from the global random numbers, which are afterwards as they were."""
    numpy_state = np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(rng.getrandbits(63))
        np.random.seed(rng.getrandbits(32))
        views = transform(image)
    np.random.set_state(numpy_state)
    return (torch.stack(views) * 255).round().byte()


def _own_views(transform: Transform, size: int, image: Image.Image) -> UInt8[Tensor, "2 3 side side"]:
    return _drawn_views(transform, image, own_rng(central_square(image, size)))
