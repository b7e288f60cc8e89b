"""Colorization into RGB: how DeOldify's generators are trained before their critic comes."""

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from pretext.networks.backbone import IMAGENET_STD, Backbone, Output
from pretext.rgb_colorizer import USUAL_SIZE, RgbColorizer, with_luma_of
from pretext.tasks.colorizing import ColorizingTask
from pretext.tasks.task import Losses

LEVELS = 256


class RgbColorization(ColorizingTask):
    """Regress RGB from luma: L1, in units of ImageNet's standard deviations.

    The first term of DeOldify's generator pre-training; the distance of VGG's features beside it is left out.
    """

    output: Output = "rgb"
    constant_answer_name = "the best single colour"
    std: Float[Tensor, "3 1 1"]

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def colorizer(self, network: Backbone, size: int | None = None) -> RgbColorizer:
        return RgbColorizer(network, size=USUAL_SIZE if size is None else size)

    def split(
        self, images: UInt8[Tensor, "batch 3 height width"], network: Backbone
    ) -> tuple[Float[Tensor, "batch channels height width"], UInt8[Tensor, "batch 3 height width"]]:
        """What the network sees, and the images.

        Raises:
            ValueError: the network sees colours.
        """
        if network.input not in ("luma", "lightness"):
            raise ValueError(
                f"rgb_colorization gives a grey image its colours, but {type(network).__name__} sees {network.input}; "
                "train deoldify"
            )
        return network.see(images / 255), images

    def losses(
        self,
        output: Float[Tensor, "batch 3 height width"],
        targets: UInt8[Tensor, "batch 3 height width"],
    ) -> Losses:
        """The mean distance of RGB in [0, 1], in deviations, for each image."""
        distance = (output.float() - targets / 255).abs() / self.std
        loss = distance.mean((1, 2, 3))
        return Losses({"loss": loss}, torch.ones_like(loss, dtype=torch.bool))

    def statistics(self, targets: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "3 levels"]:
        """How often each level of R, G and B occurs (float64)."""
        levels = targets.transpose(0, 1).flatten(1).long()
        histogram = torch.zeros(3, LEVELS, dtype=torch.float64, device=targets.device)
        return histogram.scatter_add_(1, levels, torch.ones_like(levels, dtype=torch.float64))

    def constant_answer(
        self, learned: Float[Tensor, "3 levels"], asked: Float[Tensor, "3 levels"]
    ) -> dict[str, float]:
        """The loss on `asked` of the medians of `learned`, both summed statistics."""
        levels = torch.arange(LEVELS, device=learned.device, dtype=torch.float64)
        below = learned.cumsum(1) / learned.sum(1, keepdim=True)
        medians = (below < 0.5).sum(1, keepdim=True)
        distances = (levels - medians).abs() / 255 / self.std[:, :, 0].to(learned)
        return {"constant_answer": ((asked * distances).sum(1) / asked.sum(1)).mean().item()}

    def as_rgb(
        self, images: UInt8[Tensor, "batch 3 height width"], output: Tensor, network: Backbone
    ) -> Float[Tensor, "batch 3 height width"]:
        return _with_luma_of(images, (output.float().clamp(0, 1) * 255).byte())

    def left_grey(
        self, images: UInt8[Tensor, "batch 3 height width"], network: Backbone
    ) -> Float[Tensor, "batch 3 height width"]:
        return _with_luma_of(images, None)


def _with_luma_of(
    images: UInt8[Tensor, "batch 3 height width"], answers: UInt8[Tensor, "batch 3 height width"] | None
) -> Float[Tensor, "batch 3 height width"]:
    """The answers' colours, or none, on the images' luma, as pictures of 8 bits have it."""
    luma, colours = (None if of is None else of.permute(0, 2, 3, 1).cpu().numpy() for of in (images, answers))
    assert luma is not None
    rgb = torch.from_numpy(with_luma_of(luma, colours)).to(images.device)
    return rgb.permute(0, 3, 1, 2) / 255
