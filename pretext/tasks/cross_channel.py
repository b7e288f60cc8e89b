"""Predicting some channels of Lab from others: lightness from colour, and both ways at once (split-brain)."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from pretext.color.lab import rgb_to_lab
from pretext.images.image_source import ImageSource
from pretext.networks.backbone import Backbone
from pretext.tasks.classification import loss_of_frequencies
from pretext.tasks.colorization import Colorization
from pretext.tasks.task import Losses, Task

LIGHTNESS_RANGE = 100.0  # of L


class LightnessPrediction(Task):
    """Classify the lightness of each position, of which the network sees ab alone: "ab -> L (cl)" of Zhang, Isola and
    Efros (2017).

    Cross-entropy with one right bin; the bins divide L in [0, 100] evenly. The network is one whose input is ab:
    `--network.args.input ab`.

    Args:
        num_bins: of L. How many the paper took is not known here.
    """

    constant_answer_name = "the training images' frequencies"

    def __init__(self, num_bins: int = 100) -> None:
        super().__init__()
        if num_bins < 2:
            raise ValueError(f"num_bins is {num_bins}, expected at least 2")
        self.num_bins = self.output = num_bins

    def split(
        self, images: UInt8[Tensor, "batch 3 height width"], network: Backbone
    ) -> tuple[Float[Tensor, "batch 2 height width"], Int64[Tensor, "batch grid_height grid_width"]]:
        """ab, and the bins of L on the grid of the network's output.

        Raises:
            ValueError: the network does not see ab alone.
        """
        require_input(network, "ab", "lightness_prediction predicts L from ab")
        lab = rgb_to_lab(images / 255)
        return lab[:, 1:], self.bins_of(lab[:, 0, :: network.output_stride, :: network.output_stride])

    def bins_of(self, lightness: Float[Tensor, "*shape"]) -> Int64[Tensor, "*shape"]:
        """The bin of each L."""
        return (lightness * (self.num_bins / LIGHTNESS_RANGE)).long().clamp(0, self.num_bins - 1)

    def losses(
        self,
        output: Float[Tensor, "batch bins height width"],
        targets: Int64[Tensor, "batch height width"],
    ) -> Losses:
        """Cross-entropy in nats per position."""
        loss = F.cross_entropy(output.float(), targets, reduction="none").mean((1, 2))
        return Losses({"loss": loss}, counted=torch.ones_like(loss, dtype=torch.bool))

    def statistics(self, targets: Int64[Tensor, "batch height width"]) -> Float[Tensor, " bins"]:
        """How many positions have each bin (float64)."""
        return torch.bincount(targets.flatten(), minlength=self.num_bins).double()

    def constant_answer(
        self, learned: Float[Tensor, " bins"], asked: Float[Tensor, " bins"]
    ) -> dict[str, float]:
        """The loss on `asked` of answering the frequencies of `learned`; an unseen bin has probability 1e-6."""
        return {"constant_answer": loss_of_frequencies(learned, asked)}


class SplitBrain(Task):
    """Predict ab from L with one half of a network and L from ab with the other: Zhang, Isola and Efros (2017).

    The network is `split_brain`, whose stages are those of its halves side by side. Both answers are classes, each
    position has one right bin, and the loss is the sum of both; an image without colour has no loss of ab.

    Args:
        bins: of ab, as of `Colorization`.
        lightness_bins: of L; see `LightnessPrediction`.
    """

    loss_names = ("loss", "loss_ab", "loss_lightness")
    constant_answer_name = "the training prior"

    def __init__(self, bins: str = "imagenet", lightness_bins: int = 100) -> None:
        super().__init__()
        self.bins, self.lightness_bins = bins, lightness_bins
        self.ab_from_lightness = Colorization(bins=bins, neighbours=1, uniform_share=None)
        self.lightness_from_ab = LightnessPrediction(lightness_bins)

    @property
    def output(self) -> int:  # type: ignore[override]
        """The bins of ab, and after them those of L."""
        assert isinstance(self.ab_from_lightness.output, int)
        return self.ab_from_lightness.output + self.lightness_bins

    def prepare(
        self, images: ImageSource, *, name: str, image_size: int, num_workers: int, visible: bool
    ) -> None:
        """Fit the bins, as `Colorization.prepare` does."""
        self.ab_from_lightness.prepare(
            images, name=name, image_size=image_size, num_workers=num_workers, visible=visible
        )

    def split(
        self, images: UInt8[Tensor, "batch 3 height width"], network: Backbone
    ) -> tuple[Float[Tensor, "batch 3 height width"], Float[Tensor, "batch 3 grid_height grid_width"]]:
        """Lab, for each half its channels, and Lab on the grid of the network's output.

        Raises:
            ValueError: the network has no such halves.
        """
        if getattr(network, "lightness_bins", None) != self.lightness_bins:
            raise ValueError(
                f"split_brain needs the network split_brain with lightness_bins {self.lightness_bins}, not "
                f"{type(network).__name__}; set network.name"
            )
        lab = rgb_to_lab(images / 255)
        return lab, lab[:, :, :: network.output_stride, :: network.output_stride]

    def losses(
        self,
        output: Float[Tensor, "batch bins height width"],
        targets: Float[Tensor, "batch 3 height width"],
    ) -> Losses:
        """Both losses in nats per position."""
        of_ab, of_lightness = output.split(
            [output.shape[1] - self.lightness_bins, self.lightness_bins], dim=1
        )
        ab = self.ab_from_lightness.losses(of_ab, targets[:, 1:]).optimised
        lightness = self.lightness_from_ab.losses(
            of_lightness, self.lightness_from_ab.bins_of(targets[:, 0])
        ).optimised
        by_name = {"loss": ab + lightness, "loss_ab": ab.detach(), "loss_lightness": lightness.detach()}
        return Losses(by_name, counted=torch.ones_like(ab, dtype=torch.bool))

    def statistics(self, targets: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, " bins"]:
        """The target mass of each bin of ab, over the coloured images, and of L, over all (float64)."""
        _, of_ab = self.ab_from_lightness.statistics(targets[:, 1:])
        of_lightness = self.lightness_from_ab.statistics(self.lightness_from_ab.bins_of(targets[:, 0]))
        return torch.cat([of_ab, of_lightness])

    def constant_answer(
        self, learned: Float[Tensor, " bins"], asked: Float[Tensor, " bins"]
    ) -> dict[str, float]:
        """The losses on `asked` of answering the frequencies of `learned`; an unseen bin has probability 1e-6."""
        sizes = [len(learned) - self.lightness_bins, self.lightness_bins]
        of_ab, of_lightness = (
            (asked_part * -(part / part.sum().clamp_min(1)).clamp_min(1e-6).log()).sum().item()
            for part, asked_part in zip(learned.split(sizes), asked.split(sizes), strict=True)
        )
        num_positions = asked[-self.lightness_bins :].sum().item()
        ab, lightness = of_ab / num_positions, of_lightness / num_positions
        return {
            "constant_answer": ab + lightness,
            "constant_answer_ab": ab,
            "constant_answer_lightness": lightness,
        }

    def prepare_network(self, network: Backbone) -> None:
        """Store the centres of the bins of ab in the half that answers them."""
        self.ab_from_lightness.prepare_network(network)

    def state(self) -> dict[str, Any]:
        """The centres of the bins of ab and their prior."""
        return self.ab_from_lightness.state()

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.ab_from_lightness.load_state(state)


def require_input(network: Backbone, expected: str, why: str) -> None:
    """Raises ValueError if a network sees something else than `expected`."""
    if network.input != expected:
        raise ValueError(
            f"{why}, but {type(network).__name__} sees {network.input}; set network.args.input to {expected}"
        )
