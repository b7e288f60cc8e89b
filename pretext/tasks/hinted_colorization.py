"""Colorization with hints: a network is shown the colours of a few places, as a user would give them.

Zhang et al. (2017), "Real-time user-guided image colorization with learned deep priors"; the hints are drawn as its
section 3.2 says.
"""

import random
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from pretext.color.lab import rgb_to_lab
from pretext.images.crops import central_square, own_rng
from pretext.images.loader import Cut, RandomCut
from pretext.networks.backbone import AB_SCALE, Backbone
from pretext.tasks.colorization import ColorizationRegression, is_coloured
from pretext.tasks.task import Losses

LARGEST_PATCH = 9  # pixels
EVERY_PIXEL = 255  # in a map of hints: each pixel shows its own colour
MAX_HINTS = EVERY_PIXEL - 1
LEVELS = 256  # of a and of b in the statistics, one unit each from -128


class HintedColorization(ColorizationRegression):
    """Regress ab from the lightness and the mean colours of some patches; without hints it colorizes alone.

    The number of patches is geometric, with none in an image of eight; they are squares of 1 to 9 pixels, more often in
    the middle than at the border. The loss is Huber's, whose corner lies at one ab unit, in units of 110.

    Args:
        stop: probability that there is no further patch.
        whole_share: share of the images whose colours are all shown, so that a network learns to copy them.

    Raises:
        ValueError: `stop` is not above 0 and at most 1, or `whole_share` is no share.
    """

    def __init__(self, stop: float = 1 / 8, whole_share: float = 0.01) -> None:
        super().__init__()
        if not (0 < stop <= 1 and 0 <= whole_share <= 1):
            raise ValueError(
                f"stop is {stop:g} and whole_share {whole_share:g}: expected a stop above 0, and both at most 1"
            )
        self.stop, self.whole_share = stop, whole_share

    # --------------------------------------------------------------------------------- images to hints and targets

    def cut(self, image_size: int, crop_size: int) -> RandomCut:
        """A random square, and which patch each of its pixels is in; raises ValueError as of any task."""
        return partial(self._cut, super().cut(image_size, crop_size))

    def cut_in_order(self, image_size: int) -> Cut:
        """The central square with its patches, drawn from the image itself instead of by chance."""
        return partial(self._cut_in_order, partial(central_square, size=image_size))

    def _cut(self, square: RandomCut, image: Image.Image, rng: random.Random) -> UInt8[Tensor, "4 side side"]:
        crop = square(image, rng)
        return torch.cat([crop, self.draw_patches(crop.shape[-1], rng)[None]])

    def _cut_in_order(self, square: Cut, image: Image.Image) -> UInt8[Tensor, "4 side side"]:
        crop = square(image)
        return torch.cat([crop, self.draw_patches(crop.shape[-1], own_rng(crop))[None]])

    def draw_patches(self, side: int, rng: random.Random) -> UInt8[Tensor, "side side"]:
        """The number of the patch that a pixel is in, 0 where there is none."""
        patches = torch.zeros(side, side, dtype=torch.uint8)
        if rng.random() < self.whole_share:
            return patches.fill_(EVERY_PIXEL)
        number = 0
        while rng.random() >= self.stop and number < MAX_HINTS:
            number += 1
            length = min(rng.randint(1, LARGEST_PATCH), side)
            top, left = (
                round(min(max(rng.gauss(side / 2, side / 4) - length / 2, 0), side - length))
                for _ in range(2)
            )
            patches[top : top + length, left : left + length] = number
        return patches

    def split(
        self, images: UInt8[Tensor, "batch 4 height width"], network: Backbone
    ) -> tuple[Float[Tensor, "batch 4 height width"], Float[Tensor, "batch 2 grid_height grid_width"]]:
        """Lightness, the hints' ab and where they are; and ab on the grid of the network's output.

        Raises:
            ValueError: the network takes no hints.
        """
        if not network.takes_hints:
            raise ValueError(
                f"hinted_colorization shows a network hints, but {type(network).__name__} takes none; train siggraph17"
            )
        lab = rgb_to_lab(images[:, :3] / 255)
        lightness, ab = lab[:, :1], lab[:, 1:]
        number = images[:, 3].long().flatten(1)
        colours = ab.flatten(2)
        count = torch.zeros(len(images), 1, EVERY_PIXEL + 1, device=images.device)
        count.scatter_add_(2, number[:, None], torch.ones_like(colours[:, :1]))
        total = torch.zeros(len(images), 2, EVERY_PIXEL + 1, device=images.device)
        total.scatter_add_(2, number[:, None].expand_as(colours), colours)
        mean = (total / count.clamp_min(1)).gather(2, number[:, None].expand_as(colours)).view_as(ab)
        mask = (images[:, 3:] > 0).to(ab.dtype)
        hints = torch.where(images[:, 3:] == EVERY_PIXEL, ab, mean) * mask
        stride = network.output_stride
        return torch.cat([lightness, hints, mask], dim=1), ab[:, :, ::stride, ::stride]

    # -------------------------------------------------------------------------------------------- answers to losses

    def losses(
        self,
        output: Float[Tensor, "batch 2 height width"],
        targets: Float[Tensor, "batch 2 height width"],
    ) -> Losses:
        """Losses for `output` in ab / 110 and `targets` in ab units."""
        coloured = is_coloured(targets)
        loss = _huber(output.float(), targets.float() / AB_SCALE).sum(1).mean((1, 2)) * coloured
        return Losses({"loss": loss, "loss_unweighted": loss.detach()}, coloured)

    def statistics(self, targets: Float[Tensor, "batch 2 height width"]) -> Float[Tensor, "2 levels"]:
        """How often each whole number of a and of b occurs in the coloured images (float64)."""
        levels = (targets.round() + LEVELS // 2).clamp(0, LEVELS - 1).long().transpose(0, 1).flatten(1)
        weight = is_coloured(targets).double()[:, None].expand(-1, targets[0, 0].numel()).flatten()
        histogram = torch.zeros(2, LEVELS, dtype=torch.float64, device=targets.device)
        return histogram.scatter_add_(1, levels, weight.expand(2, -1))

    def constant_answer(
        self, learned: Float[Tensor, "2 levels"], asked: Float[Tensor, "2 levels"]
    ) -> dict[str, float]:
        """The loss on `asked` of answering everywhere the colour that is best for `learned`, to whole ab units."""
        values = (torch.arange(LEVELS, device=learned.device, dtype=torch.float64) - LEVELS // 2) / AB_SCALE
        distances = _huber(values[:, None], values[None])
        answers = (learned @ distances).argmin(dim=1)
        losses = (asked * distances[answers]).sum(dim=1) / asked.sum(dim=1)
        loss = losses.sum().item()
        return {"constant_answer": loss, "constant_answer_unweighted": loss}


def _huber(answer: Tensor, truth: Tensor) -> Tensor:
    """Half the square up to a distance of one ab unit, linear beyond; both in units of 110."""
    answer, truth = torch.broadcast_tensors(answer, truth)
    return F.huber_loss(answer, truth, reduction="none", delta=1 / AB_SCALE)
