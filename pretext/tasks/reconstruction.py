"""Reproducing an image, or what was taken out of it."""

import random
from functools import partial
from math import sqrt
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from pretext.color.lab import rgb_to_lab
from pretext.images.crops import central_square, own_rng
from pretext.images.loader import Cut, RandomCut
from pretext.networks.backbone import Backbone, StageSpec
from pretext.tasks.colorization import loss_of_mean_colour
from pretext.tasks.cross_channel import require_input
from pretext.tasks.task import Losses, Task

NUM_BLOCKS = 5
HIDDEN_SHARE = 1 / 4  # of an image, at most


class ReconstructionTask(Task):
    """Regress Lab at the positions of the network's deepest stage, each the mean of what lies around it.

    Half the squared distance, L in units of 50 and ab of 110, averaged over the positions that are asked about. Targets
    are L, a, b and how much of a position is asked about.
    """

    constant_answer_name = "the training images' mean colour"

    def head(self, stage: StageSpec) -> nn.Module:
        return nn.Conv2d(stage.channels, 3, kernel_size=1)

    def losses(
        self,
        output: Float[Tensor, "batch 3 height width"],
        targets: Float[Tensor, "batch 4 height width"],
    ) -> Losses:
        """Losses of the answer in the units of the targets."""
        lab, asked = targets[:, :3], targets[:, 3]
        distances = 0.5 * (output.float() - lab).square().sum(dim=1) * asked
        loss = distances.sum(dim=(1, 2)) / asked.sum(dim=(1, 2)).clamp_min(1e-6)
        return Losses({"loss": loss}, counted=torch.ones_like(loss, dtype=torch.bool))

    def statistics(self, targets: Float[Tensor, "batch 4 height width"]) -> Float[Tensor, "5"]:
        """Over the images (float64), each weighing 1: their number, the sums of L, a and b, and of their squares."""
        lab, asked = targets[:, :3].double(), targets[:, 3:].double()
        weights = asked / asked.sum(dim=(2, 3), keepdim=True).clamp_min(1e-6)
        sums = (lab * weights).sum(dim=(0, 2, 3))
        return torch.cat([weights.sum()[None], sums, (lab.square() * weights).sum()[None]])

    def constant_answer(self, learned: Float[Tensor, "5"], asked: Float[Tensor, "5"]) -> dict[str, float]:
        """The loss on `asked` of answering everywhere the mean colour of `learned`, both summed statistics."""
        return {"constant_answer": loss_of_mean_colour(learned, asked)}


class Autoencoder(ReconstructionTask):
    """Reproduce what the network sees, Lab: the autoencoders of Zhang, Isola and Efros (2017), table 2.

    The network is one that sees Lab: `--network.args.input lab`. The narrowest stage of the network is all that keeps
    it from copying; with dropped channels it must predict one from the other, too.

    Args:
        drop_channels: show each image twice, once without colour and once without lightness.
    """

    def __init__(self, drop_channels: bool = False) -> None:
        super().__init__()
        self.drop_channels = drop_channels

    def split(
        self, images: UInt8[Tensor, "batch 3 height width"], network: Backbone
    ) -> tuple[Float[Tensor, "seen 3 height width"], Float[Tensor, "seen 4 grid_height grid_width"]]:
        """Lab, and the same on the network's grid. Raises ValueError if the network does not see Lab."""
        require_input(network, "lab", "an autoencoder reproduces Lab")
        lab = rgb_to_lab(images / 255)
        targets = _on_grid(lab, torch.ones_like(lab[:, :1]), network)
        if not self.drop_channels:
            return lab, targets
        without_colour = lab * lab.new_tensor([1.0, 0.0, 0.0])[:, None, None]
        without_lightness = torch.cat([torch.full_like(lab[:, :1], 50), lab[:, 1:]], dim=1)
        both = torch.stack([without_colour, without_lightness], dim=1).flatten(0, 1)
        return both, targets.repeat_interleave(2, dim=0)

    def losses(
        self, output: Float[Tensor, "seen 3 height width"], targets: Float[Tensor, "seen 4 height width"]
    ) -> Losses:
        """The losses of a reconstruction; an image that is shown twice has the mean of both."""
        losses = super().losses(output, targets)
        if not self.drop_channels:
            return losses
        loss = losses.optimised.unflatten(0, (-1, 2)).mean(1)
        return Losses({"loss": loss}, counted=torch.ones_like(loss, dtype=torch.bool))


class Inpainting(ReconstructionTask):
    """Fill in what was cut out of an image: Pathak et al. (2016), by the reconstruction loss alone.

    Their adversarial loss, a thousandth of the sum, is left out: it makes pictures sharper, and their features, too,
    were learned without it. What is hidden is grey, and only that is asked about.

    Args:
        hidden: what is cut out: `blocks`, five squares anywhere, which may overlap, of a quarter of the image at most,
            or its `centre`, a square of a quarter (section 4.2).
    """

    def __init__(self, hidden: Literal["blocks", "centre"] = "blocks") -> None:
        super().__init__()
        self.hidden = hidden

    def cut(self, image_size: int, crop_size: int) -> RandomCut:
        """A random square, and as a fourth channel 255 where it is hidden. Raises ValueError as of any task."""
        return partial(self._cut, super().cut(image_size, crop_size))

    def cut_in_order(self, image_size: int) -> Cut:
        """The central square with a hole, placed by the image itself instead of by chance."""
        return partial(self._cut_in_order, image_size)

    def _cut(self, square: RandomCut, image: Image.Image, rng: random.Random) -> UInt8[Tensor, "4 side side"]:
        return self._with_mask(square(image, rng), rng)

    def _cut_in_order(self, image_size: int, image: Image.Image) -> UInt8[Tensor, "4 side side"]:
        crop = central_square(image, size=image_size)
        return self._with_mask(crop, own_rng(crop))

    def _with_mask(
        self, crop: UInt8[Tensor, "3 side side"], rng: random.Random
    ) -> UInt8[Tensor, "4 side side"]:
        side = crop.shape[-1]
        mask = torch.zeros(1, side, side, dtype=torch.uint8)
        number = NUM_BLOCKS if self.hidden == "blocks" else 1
        block = max(1, round(side * sqrt(HIDDEN_SHARE / number)))
        for _ in range(number):
            top, left = (
                rng.randint(0, side - block) if self.hidden == "blocks" else (side - block) // 2
                for _ in range(2)
            )
            mask[:, top : top + block, left : left + block] = 255
        return torch.cat([crop, mask])

    def split(
        self, images: UInt8[Tensor, "batch 4 height width"], network: Backbone
    ) -> tuple[Float[Tensor, "batch _ height width"], Float[Tensor, "batch 4 grid_height grid_width"]]:
        """What the network sees of the rest, and Lab of the whole with what is hidden, on the network's grid."""
        rgb, hidden = images[:, :3] / 255, images[:, 3:] / 255
        return network.see(rgb.where(hidden == 0, 0.5)), _on_grid(rgb_to_lab(rgb), hidden, network)


def _on_grid(
    lab: Float[Tensor, "batch 3 height width"],
    asked: Float[Tensor, "batch 1 height width"],
    network: Backbone,
) -> Float[Tensor, "batch 4 grid_height grid_width"]:
    """The targets of a reconstruction at the positions of the network's deepest stage."""
    scaled = torch.cat([(lab[:, :1] - 50) / 50, lab[:, 1:] / 110, asked], dim=1)
    rows, columns = (-(-length // network.deepest.stride) for length in lab.shape[-2:])
    return F.adaptive_avg_pool2d(scaled, (rows, columns))
