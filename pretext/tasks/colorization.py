"""Colorization: predict ab from the lightness, by rebalanced classification over ab bins or by L2 regression."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor, nn

from pretext.broken_files import BrokenFiles
from pretext.color.bins import AbBins, empirical_prior
from pretext.color.lab import fit_chroma_to_gamut, lab_to_rgb, rgb_to_lab
from pretext.color.rebalancing import class_weights
from pretext.color.soft_encoding import NeighbourTable, SoftTargets
from pretext.colorizer import Colorizer, to_8_bits
from pretext.images.crops import to_tensor
from pretext.images.image_file import BrokenImageError
from pretext.images.image_source import ImageSource
from pretext.networks.backbone import AB_SCALE, Backbone, Output
from pretext.prior import load_bins, measure_colours
from pretext.tasks.colorizing import ColorizingTask, as_pictures
from pretext.tasks.gallery import draw_gallery
from pretext.tasks.sparse_cross_entropy import SparseCrossEntropy
from pretext.tasks.task import Losses, Task

GREY_LIMIT = 5.0
COLOUR_SOUGHT_IN = 1000  # images


class ColorizationTask(ColorizingTask):
    """What both ways of learning to colorize share: what the network sees, and what validation shows.

    Losses are means over the positions of the output. An image without colour does not count: it has loss and gradient
    exactly 0.

    Attributes:
        temperature: of the annealed mean that decodes a distribution into a colour; paper, section 2.3.
    """

    loss_names = ("loss", "loss_unweighted")
    uncounted = "grey_images"
    constant_answer_name = "answering the training prior"
    temperature: float = 1.0

    @property
    @abstractmethod
    def ab_bins(self) -> AbBins | None:
        """The bins over which the network answers; None where it answers ab / 110."""

    def colorizer(self, network: Backbone, size: int | None = None) -> Colorizer:
        size = 256 if size is None else size
        return Colorizer(network, self.ab_bins, size=size, temperature=self.temperature)

    def prepare(
        self, images: ImageSource, *, name: str, image_size: int, num_workers: int, visible: bool
    ) -> None:
        """Raises ValueError if there is no colour to learn in the images: none in a thousand drawn at random.

        The first image with colour settles it, so that this takes no time on photographs.
        """
        broken = BrokenFiles({}, num_images=len(images), max_share=1.0)
        places = np.random.default_rng(0).permutation(len(images))[:COLOUR_SOUGHT_IN]
        for place in map(int, places):
            try:
                image = images.open(place, short_side=64)
            except BrokenImageError as error:
                broken.add([(images.name(place), str(error))])
                continue
            if is_coloured(rgb_to_lab(to_tensor(image)[None] / 255)[:, 1:]).item():
                return
        if len(broken.reasons) == len(places):
            raise ValueError(f"none of {len(places)} images of {name} can be read: {broken.listing()}")
        raise ValueError(
            f"there is no colour to learn in {name}: all of {len(places) - len(broken.reasons)} images looked at are "
            "grey; give colour photographs"
        )

    def has_output_of(self, other: Task) -> bool:
        if not isinstance(other, ColorizationTask):
            return False
        ours, theirs = self.ab_bins, other.ab_bins
        if ours is None or theirs is None:
            return ours is theirs
        return torch.equal(ours.centres, theirs.centres)

    def split(
        self, images: UInt8[Tensor, "batch 3 height width"], network: Backbone
    ) -> tuple[Float[Tensor, "batch 1 height width"], Float[Tensor, "batch 2 grid_height grid_width"]]:
        """The lightness, and ab on the grid of the network's output.

        Raises:
            ValueError: the network does not see the lightness alone.
        """
        if network.input != "lightness":
            raise ValueError(
                f"colorization predicts ab from the lightness, but {type(network).__name__} sees {network.input}; "
                "train a network whose input is lightness"
            )
        lab = rgb_to_lab(images / 255)
        return lab[:, :1], lab[:, 1:, :: network.output_stride, :: network.output_stride]

    def as_rgb(
        self, images: UInt8[Tensor, "batch 3 height width"], output: Any, network: Backbone
    ) -> Float[Tensor, "batch 3 height width"]:
        predicted = self.colorizer(network).ab_from_output(output, images.shape[-2:])
        return lab_to_rgb(torch.cat([rgb_to_lab(images / 255)[:, :1], predicted], dim=1))

    def left_grey(
        self, images: UInt8[Tensor, "batch 3 height width"], network: Backbone
    ) -> Float[Tensor, "batch 3 height width"]:
        lab = rgb_to_lab(images / 255)
        return lab_to_rgb(torch.cat([lab[:, :1], torch.zeros_like(lab[:, 1:])], dim=1))

    def draw(
        self,
        images: UInt8[Tensor, "batch channels height width"],
        names: Sequence[str],
        title: str,
        network: Backbone,
        head: nn.Module | None,
    ) -> Image.Image:
        """grey | colorized | truth for each image, their chroma fitted into sRGB at their lightness."""
        device = next(network.parameters()).device
        lab = rgb_to_lab(images[:, :3] / 255)
        lightness, colorizer = lab[:, :1], self.colorizer(network)
        predicted = torch.cat([colorizer.predict_ab(part.to(device)).cpu() for part in lightness.split(8)])
        columns = {"grey": torch.zeros_like(predicted), "colorized": predicted, "truth": lab[:, 1:]}
        return draw_gallery({name: _pictures(lightness, ab) for name, ab in columns.items()}, names, title)


class Colorization(ColorizationTask):
    """The paper's task: classify the ab of each position into bins, rare colours weighing more.

    Cross-entropy with soft-encoded ab, each position weighted by the rarity of its nearest bin (equations 2 to 4).

    Args:
        bins: `imagenet` (the 313 published bins and their ImageNet prior), `data` (the same bins with the prior of
            the training images, which are read once before training), or a file made by `pretext prior`.
        neighbours: bins that share a soft target: 5 in the paper, 10 in its released code.
        sigma: standard deviation in ab units of the Gaussian that weighs them.
        uniform_share: lambda of the rebalancing, the share of the uniform distribution mixed into the prior; None
            weighs all positions alike.
        temperature: see `ColorizationTask`.

    Raises:
        ValueError: a temperature that is not positive.
    """

    weights: Float[Tensor, "bins"]

    def __init__(
        self,
        bins: str = "imagenet",
        neighbours: int = 5,
        sigma: float = 5.0,
        uniform_share: float | None = 0.5,
        temperature: float = 0.38,
    ) -> None:
        super().__init__()
        if not temperature > 0:
            raise ValueError(f"temperature must be positive but is {temperature}; its limit at 0 is the mode")
        self.bins, self.neighbours, self.sigma = bins, neighbours, sigma
        self.uniform_share, self.temperature = uniform_share, temperature
        self._ab_bins: AbBins | None = None
        self._table: NeighbourTable | None = None

    @property
    def output(self) -> Output:  # type: ignore[override]
        """The number of bins, which for `data` is known before their prior is."""
        is_unprepared = self.bins == "data" and self._ab_bins is None
        return len((AbBins.published() if is_unprepared else self.ab_bins).centres)

    @property
    def ab_bins(self) -> AbBins:
        """The bins and their prior; those of `data` are known after `prepare`."""
        if self._ab_bins is None:
            if self.bins == "data":
                raise ValueError(
                    "the prior of the training images is not known before `prepare` has read them"
                )
            self._set_bins(load_bins(self.bins))
        assert self._ab_bins is not None
        return self._ab_bins

    def _set_bins(self, bins: AbBins) -> None:
        self._ab_bins = bins
        plain = torch.ones_like(bins.prior)
        weights = plain if self.uniform_share is None else class_weights(bins.prior, self.uniform_share)
        self.register_buffer("weights", weights, persistent=False)
        self._table = None

    def prepare(
        self, images: ImageSource, *, name: str, image_size: int, num_workers: int, visible: bool
    ) -> None:
        """Beside the search for colour, measure the prior for `data`. Raises ValueError without coloured images."""
        super().prepare(images, name=name, image_size=image_size, num_workers=num_workers, visible=visible)
        if self.bins == "data":
            histogram, _ = measure_colours(
                images, image_size=image_size, num_workers=num_workers, visible=visible
            )
            centres = AbBins.published().centres
            prior = empirical_prior(histogram, centres, self.neighbours, self.sigma)
            self._set_bins(AbBins(centres=centres, prior=prior))

    def prepare_network(self, network: Backbone) -> None:
        """Store the bins' centres where the network's published weights hold theirs."""
        network.set_bin_centres(self.ab_bins.centres)

    def losses(
        self, output: Float[Tensor, "batch bins height width"], targets: Float[Tensor, "batch 2 height width"]
    ) -> Losses:
        """Losses in nats per position, with class weights and without, for logits of any float type and ab.

        Raises:
            ValueError: the logits do not fit the bins or the grid of ab.
        """
        _check_shape(output, targets, channels=len(self.ab_bins.centres))
        coloured = is_coloured(targets)
        soft = self._encode(targets)
        rarity = self._rarity(soft) * coloured[:, None, None]
        loss, per_position = SparseCrossEntropy.apply(output, soft.index, soft.weight, rarity)
        unweighted = per_position.mean(dim=(1, 2)) * coloured
        return Losses({"loss": loss, "loss_unweighted": unweighted}, coloured)

    def _encode(self, ab: Float[Tensor, "batch 2 height width"]) -> SoftTargets:
        if self._table is None:  # it costs those who only decode nothing
            self._table = NeighbourTable(self.ab_bins.centres, self.neighbours).to(ab.device)
        return self._table.encode(ab, self.sigma)

    def _rarity(self, targets: SoftTargets) -> Float[Tensor, "batch height width"]:
        # The likeliest bin, not neighbour 0: the table orders by the distance to the cell, not to the colour.
        nearest = targets.index.gather(1, targets.weight.argmax(dim=1, keepdim=True))
        return self.weights[nearest[:, 0]]

    def statistics(self, targets: Float[Tensor, "batch 2 height width"]) -> Float[Tensor, "2 bins"]:
        """The target mass of each bin over the coloured images, with and without class weights (float64)."""
        soft = self._encode(targets)
        mass = soft.weight.double() * is_coloured(targets)[:, None, None, None]
        empty = mass.new_zeros(len(self.weights))
        index = soft.index.flatten()
        weighted = mass * self._rarity(soft)[:, None]
        return torch.stack([empty.scatter_add(0, index, part.flatten()) for part in (weighted, mass)])

    def constant_answer(
        self, learned: Float[Tensor, "2 bins"], asked: Float[Tensor, "2 bins"]
    ) -> dict[str, float]:
        """The losses on `asked` of the distributions that are best for `learned`, both summed statistics.

        A bin that `learned` has never seen is answered with probability 1e-6.
        """
        # The unweighted mass of a position is 1, so that its sum is the number of positions.
        num_positions = asked[1].sum()
        answers = (learned / learned.sum(dim=1, keepdim=True)).clamp_min(1e-6).log()
        loss, unweighted = (-(asked * answers).sum(dim=1) / num_positions).tolist()
        return {"constant_answer": loss, "constant_answer_unweighted": unweighted}

    def state(self) -> dict[str, Any]:
        """The bins' centres and their prior."""
        return {"centres": self.ab_bins.centres, "prior": self.ab_bins.prior}

    def load_state(self, state: Mapping[str, Any]) -> None:
        if self._ab_bins is not None and not torch.equal(self._ab_bins.centres, state["centres"]):
            raise ValueError(
                f"the checkpoint has other bins than {self.bins} has now; restore that file, or start a new run_dir"
            )
        self._set_bins(AbBins(centres=state["centres"], prior=state["prior"]))


class ColorizationRegression(ColorizationTask):
    """The paper's baseline: half the squared Euclidean distance between predicted and true ab, in units of 110.

    Equation 1; there are no class weights to leave out of the loss.
    """

    output: Output = "ab"

    @property
    def ab_bins(self) -> None:
        return None

    def losses(
        self,
        output: Float[Tensor, "batch channels height width"],
        targets: Float[Tensor, "batch 2 height width"],
    ) -> Losses:
        """Losses for `output` in ab / 110 and `targets` in ab units.

        Raises:
            ValueError: the output does not fit the grid of the targets.
        """
        _check_shape(output, targets, channels=2)
        coloured = is_coloured(targets)
        distance = 0.5 * (output.float() - targets.float() / AB_SCALE).square().sum(dim=1)
        loss = distance.mean(dim=(1, 2)) * coloured
        return Losses({"loss": loss, "loss_unweighted": loss.detach()}, coloured)

    def statistics(self, targets: Float[Tensor, "batch 2 height width"]) -> Float[Tensor, "4"]:
        """Over the coloured images (float64): the number of positions, the sums of a, of b, and of a² + b²."""
        coloured = is_coloured(targets).double()
        count = coloured.sum() * targets[0, 0].numel()
        # Products with 0 and 1, not a choice by mask, whose size a GPU would first have to tell.
        colours = targets.double() / AB_SCALE * coloured[:, None, None, None]
        return torch.cat([count[None], colours.sum(dim=(0, 2, 3)), colours.square().sum()[None]])

    def constant_answer(self, learned: Float[Tensor, "4"], asked: Float[Tensor, "4"]) -> dict[str, float]:
        """The loss on `asked` of answering everywhere the mean colour of `learned`, both summed statistics."""
        loss = loss_of_mean_colour(learned, asked)
        return {"constant_answer": loss, "constant_answer_unweighted": loss}


def loss_of_mean_colour(learned: Float[Tensor, " sums"], asked: Float[Tensor, " sums"]) -> float:
    """Half the mean squared distance of the colours summed up in `asked` to the mean of those in `learned`.

    Args:
        learned, asked: how many colours, the sum of each channel, and the sum of all squares.
    """
    answer = learned[1:-1] / learned[0]
    mean_colour, mean_square = asked[1:-1] / asked[0], asked[-1] / asked[0]
    return 0.5 * (mean_square - 2 * (answer * mean_colour).sum() + answer.square().sum()).item()


def is_coloured(ab: Float[Tensor, "batch 2 height width"]) -> Bool[Tensor, "batch"]:
    """Whether a or b of any pixel is more than GREY_LIMIT from grey, for each image."""
    return ab.abs().amax(dim=(1, 2, 3)) > GREY_LIMIT


def _pictures(
    lightness: Float[Tensor, "batch 1 height width"], ab: Float[Tensor, "batch 2 height width"]
) -> list[Image.Image]:
    rgb = to_8_bits(lab_to_rgb(fit_chroma_to_gamut(torch.cat([lightness, ab], dim=1))))
    return as_pictures(rgb)


def _check_shape(output: Tensor, ab: Tensor, channels: int) -> None:
    expected = (len(ab), channels, *ab.shape[2:])
    if tuple(output.shape) != expected:
        raise ValueError(
            f"this task expects an output of shape {expected} (images, channels and the grid of ab) but "
            f"got {tuple(output.shape)}: give the network {channels} output channels and sub-sample ab to its grid"
        )
