"""Colorization as distributions over hue and chroma: Larsson, Maire and Shakhnarovich (2016)."""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from pretext.color.hue_chroma import colorized, hue_directions, median_chroma, rgb_to_hue_chroma
from pretext.hue_chroma_colorizer import HueChromaColorizer
from pretext.networks.backbone import Backbone, Output
from pretext.tasks.colorizing import ColorizingTask
from pretext.tasks.task import Losses


class HueChromaTargets(NamedTuple):
    """What is asked at some places of each image.

    Attributes:
        hue, chroma: distributions over the bins.
        hue_weight: the chroma of the place, times the weight of all hues.
        chroma_weight: from 0, at black and white, to 1.
    """

    hue: Float[Tensor, "batch bins places"]
    chroma: Float[Tensor, "batch bins places"]
    hue_weight: Float[Tensor, "batch places"]
    chroma_weight: Float[Tensor, "batch places"]


class HueChromaColorization(ColorizingTask):
    """Tell the distributions of hue and of chroma around places of an image: Kullback-Leibler divergence.

    Hue weighs as its place's chroma, times 5; chroma weighs less near black and white. In training some places of each
    image are asked about, in validation every fourth pixel.

    Args:
        bins: of hue, and of chroma.
        window: side in pixels of the square whose colours are the target; 1 is the pixel's own, as in the paper, 7 the
            released code's.
        places: of each image, in training.
        hue_weight: of hue beside chroma.

    Raises:
        ValueError: a window that is even, or an argument below 1.
    """

    constant_answer_name = "answering the training distributions"

    def __init__(self, bins: int = 32, window: int = 7, places: int = 128, hue_weight: float = 5.0) -> None:
        super().__init__()
        if bins < 2 or window < 1 or window % 2 == 0 or places < 1:
            raise ValueError(
                f"bins is {bins}, window {window} and places {places}: expected at least 2 bins, an odd window, and at "
                "least 1 place"
            )
        self.bins, self.window, self.places, self.hue_weight = bins, window, places, hue_weight

    @property
    def output(self) -> Output:  # type: ignore[override]
        """All bins."""
        return 2 * self.bins

    def colorizer(self, network: Backbone, size: int | None = None) -> HueChromaColorizer:
        return HueChromaColorizer(network, size=512 if size is None else size)

    def split(
        self, images: UInt8[Tensor, "batch 3 height width"], network: Backbone
    ) -> tuple[Float[Tensor, "batch channels height width"], HueChromaTargets]:
        """Intensity, in training with a mask of the places, and what is asked there.

        Raises:
            ValueError: the network does not see the intensity, or an image has fewer places.
        """
        if network.input != "intensity":
            raise ValueError(
                f"hue_chroma_colorization shows a network the mean of R, G and B, but {type(network).__name__} sees "
                f"{network.input}; train larsson"
            )
        rgb = images / 255
        intensity = network.see(rgb)
        height, width = rgb.shape[-2:]
        if not network.training:
            stride = network.output_stride
            rows = torch.arange(0, height, stride, device=images.device)
            columns = torch.arange(0, width, stride, device=images.device)
            places = (rows[:, None] * width + columns).flatten().expand(len(images), -1)
            return intensity, self._targets(rgb, places)
        if self.places > height * width:
            raise ValueError(
                f"places is {self.places}, but a crop has {height * width} pixels; give fewer, or a larger crop_size"
            )
        draw = torch.rand(len(images), height * width, device=images.device)
        places = draw.topk(self.places, dim=1).indices.sort(dim=1).values
        mask = torch.zeros_like(draw).scatter_(1, places, 1.0).view(-1, 1, height, width)
        return torch.cat([intensity, mask], dim=1), self._targets(rgb, places)

    def _targets(
        self, rgb: Float[Tensor, "batch 3 height width"], places: Int64[Tensor, "batch places"]
    ) -> HueChromaTargets:
        hue, chroma = rgb_to_hue_chroma(rgb)
        intensity = rgb.mean(dim=1)
        near_grey = torch.minimum(3 * torch.minimum(intensity, 1 - intensity), torch.ones_like(intensity))

        return HueChromaTargets(
            hue=self._histograms(hue, places),
            chroma=self._histograms(chroma, places),
            hue_weight=self.hue_weight * chroma.flatten(1).gather(1, places),
            chroma_weight=near_grey.flatten(1).gather(1, places),
        )

    def _histograms(
        self, values: Float[Tensor, "batch height width"], places: Int64[Tensor, "batch places"]
    ) -> Float[Tensor, "batch bins places"]:
        """Around each place, of values in [0, 1]; windows are clipped at the border."""
        height, width = values.shape[1:]
        number = (values * self.bins).long().clamp(max=self.bins - 1).flatten(1)
        offsets = torch.arange(self.window, device=values.device) - self.window // 2
        rows = (places // width)[:, :, None, None] + offsets[:, None]
        columns = (places % width)[:, :, None, None] + offsets
        inside = ((rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)).flatten(2)
        index = (rows.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).flatten(2)
        found = number.gather(1, index.flatten(1)).view_as(index)
        weight = inside / inside.sum(dim=2, keepdim=True)
        histograms = values.new_zeros(*places.shape, self.bins).scatter_add_(2, found, weight)
        return histograms.transpose(1, 2)

    def losses(
        self, output: Float[Tensor, "batch outputs rows columns"], targets: HueChromaTargets
    ) -> Losses:
        """The mean divergence over the places of each image, in nats."""
        hue, chroma = (of.log_softmax(dim=1) for of in output.float().flatten(2).chunk(2, dim=1))
        loss = (
            targets.hue_weight * _divergence(targets.hue, hue)
            + targets.chroma_weight * _divergence(targets.chroma, chroma)
        ).mean(dim=1)
        return Losses({"loss": loss}, torch.ones_like(loss, dtype=torch.bool))

    def statistics(self, targets: HueChromaTargets) -> Float[Tensor, "sums"]:
        """The number of places, the weighted sum of the targets' own negative entropies, and of their distributions."""
        weighted = ((targets.hue, targets.hue_weight), (targets.chroma, targets.chroma_weight))
        own = sum((weight * _xlogx(of).sum(1)).double().sum() for of, weight in weighted)
        masses = [(of * weight[:, None]).double().sum(dim=(0, 2)) for of, weight in weighted]
        count = masses[0].new_tensor(targets.hue_weight.numel())
        return torch.cat([torch.stack([count, torch.as_tensor(own)]), *masses])

    def constant_answer(
        self, learned: Float[Tensor, "sums"], asked: Float[Tensor, "sums"]
    ) -> dict[str, float]:
        """The loss on `asked` of the distributions of `learned`, both summed statistics.

        A bin that `learned` has never seen is answered with probability 1e-6.
        """
        answers = [of / of.sum() for of in learned[2:].chunk(2)]
        crossed = asked[2:] * torch.cat(answers).clamp_min(1e-6).log()
        return {"constant_answer": ((asked[1] - crossed.sum()) / asked[0]).item()}

    def as_rgb(
        self, images: UInt8[Tensor, "batch 3 height width"], output: Tensor, network: Backbone
    ) -> Float[Tensor, "batch 3 height width"]:
        hue, chroma = (of.softmax(dim=1) for of in output.float().chunk(2, dim=1))
        return colorized(hue_directions(hue), median_chroma(chroma), network.see(images / 255))

    def left_grey(
        self, images: UInt8[Tensor, "batch 3 height width"], network: Backbone
    ) -> Float[Tensor, "batch 3 height width"]:
        return network.see(images / 255).expand(-1, 3, -1, -1)


def _divergence(
    targets: Float[Tensor, "batch bins places"], answer: Float[Tensor, "batch bins places"]
) -> Float[Tensor, "batch places"]:
    return (_xlogx(targets) - targets * answer).sum(dim=1)


def _xlogx(values: Tensor) -> Tensor:
    return torch.xlogy(values, values)
