"""Colorization into RGB: how DeOldify's generators are trained before their critic comes."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from pretext.images.image_source import ImageSource
from pretext.networks.backbone import IMAGENET_STD, Backbone, Output, imagenet_normalised
from pretext.rgb_colorizer import USUAL_SIZE, RgbColorizer, with_luma_of
from pretext.runtime.checkpoint import load_checkpoint
from pretext.tasks.colorizing import ColorizingTask
from pretext.tasks.task import Losses
from pretext.weights_file import find_weights

LEVELS = 256
FEATURE_WEIGHTS = {
    22: 20.0,
    32: 70.0,
    42: 10.0,
}  # of VGG-16 with BatchNorm, the ReLU before each of the last poolings


class RgbColorization(ColorizingTask):
    """Regress RGB from luma: L1, in units of ImageNet's standard deviations, and that of VGG's features.

    Together they are DeOldify's generator pre-training.

    Args:
        features: torchvision's file of a VGG-16 with BatchNorm (`vgg16_bn-6c64b313.pth`); without it RGB alone counts.
    """

    output: Output = "rgb"
    constant_answer_name = "the best single colour"
    std: Float[Tensor, "3 1 1"]

    def __init__(self, features: str | None = None) -> None:
        super().__init__()
        self.features = features
        self._vgg: nn.ModuleList | None = None
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    @property
    def loss_names(self) -> tuple[str, ...]:  # type: ignore[override]
        """The sum, and with features its parts."""
        return ("loss", "loss_rgb", "loss_features") if self.features else ("loss",)

    def prepare(
        self, images: ImageSource, *, name: str, image_size: int, num_workers: int, visible: bool
    ) -> None:
        """Raises ValueError if the file of features is unusable, FileNotFoundError if it is missing."""
        if self.features:
            self._vgg = _open_vgg(Path(self.features).expanduser())

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
        """The mean distance of RGB in [0, 1], in deviations, for each image, and that of VGG's features of them."""
        difference = (output.float() - targets / 255) / self.std
        loss = of_rgb = difference.abs().mean((1, 2, 3))
        counted = torch.ones_like(loss, dtype=torch.bool)
        if not self.features:
            return Losses({"loss": loss}, counted)
        of_features = self._feature_distance(output.float(), targets / 255)
        by_name = {"loss": loss + of_features, "loss_rgb": of_rgb, "loss_features": of_features}
        return Losses(by_name, counted)

    def _feature_distance(
        self, answers: Float[Tensor, "batch 3 height width"], truth: Float[Tensor, "batch 3 height width"]
    ) -> Float[Tensor, " batch"]:
        if self._vgg is None:  # in a resumed run
            assert self.features is not None
            self._vgg = _open_vgg(Path(self.features).expanduser()).to(answers.device)
        ours, theirs = imagenet_normalised(answers), imagenet_normalised(truth)
        distance = torch.zeros(len(answers), device=answers.device)
        for part, weight in zip(self._vgg, FEATURE_WEIGHTS.values(), strict=True):
            ours = part(ours)
            with torch.no_grad():
                theirs = part(theirs)
            distance = distance + weight * (ours - theirs).abs().mean((1, 2, 3))
        return distance

    def statistics(self, targets: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "3 levels"]:
        """How often each level of R, G and B occurs (float64)."""
        levels = targets.transpose(0, 1).flatten(1).long()
        histogram = torch.zeros(3, LEVELS, dtype=torch.float64, device=targets.device)
        return histogram.scatter_add_(1, levels, torch.ones_like(levels, dtype=torch.float64))

    def constant_answer(
        self, learned: Float[Tensor, "3 levels"], asked: Float[Tensor, "3 levels"]
    ) -> dict[str, float]:
        """The distance in RGB on `asked` of the medians of `learned`, both summed statistics."""
        levels = torch.arange(LEVELS, device=learned.device, dtype=torch.float64)
        below = learned.cumsum(1) / learned.sum(1, keepdim=True)
        medians = (below < 0.5).sum(1, keepdim=True)
        distances = (levels - medians).abs() / 255 / self.std[:, :, 0].to(learned)
        distance = ((asked * distances).sum(1) / asked.sum(1)).mean().item()
        return {"constant_answer_rgb" if self.features else "constant_answer": distance}

    def state(self) -> dict[str, Any]:
        """Nothing: VGG stays in its file."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None: ...

    def as_rgb(
        self, images: UInt8[Tensor, "batch 3 height width"], output: Tensor, network: Backbone
    ) -> Float[Tensor, "batch 3 height width"]:
        return _with_luma_of(images, (output.float().clamp(0, 1) * 255).byte())

    def left_grey(
        self, images: UInt8[Tensor, "batch 3 height width"], network: Backbone
    ) -> Float[Tensor, "batch 3 height width"]:
        return _with_luma_of(images, None)


def _open_vgg(path: Path) -> nn.ModuleList:
    """The convolutions of a VGG-16 with BatchNorm, cut behind each layer of FEATURE_WEIGHTS; frozen.

    Raises FileNotFoundError or ValueError as `load_checkpoint` and `find_weights`.
    """
    from torchvision.models import vgg  # for which other tasks need not wait

    features = vgg.make_layers(vgg.cfgs["D"], batch_norm=True)
    names = features.state_dict(prefix="features.")
    weights = find_weights(path, load_checkpoint(path), names, "a VGG-16 with BatchNorm")
    features.load_state_dict(
        {name.removeprefix("features."): of for name, of in weights.items()}, strict=False
    )
    for layer in features:
        if isinstance(layer, nn.ReLU):
            layer.inplace = False  # what is compared must stay
    ends = [index + 1 for index in FEATURE_WEIGHTS]
    parts = [features[first:last] for first, last in pairwise([0, *ends])]
    return nn.ModuleList(parts).eval().requires_grad_(False)


def _with_luma_of(
    images: UInt8[Tensor, "batch 3 height width"], answers: UInt8[Tensor, "batch 3 height width"] | None
) -> Float[Tensor, "batch 3 height width"]:
    """The answers' colours, or none, on the images' luma, as pictures of 8 bits have it."""
    luma, colours = (None if of is None else of.permute(0, 2, 3, 1).cpu().numpy() for of in (images, answers))
    assert luma is not None
    rgb = torch.from_numpy(with_luma_of(luma, colours)).to(images.device)
    return rgb.permute(0, 3, 1, 2) / 255
