"""The contract of every network here: an image in, named stages, and the output that a task asks for."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pretext.color.lab import rgb_to_lab
from pretext.spelling import unknown_name

AB_SCALE = 110.0  # a regression network answers ab in units of this, as the published weights do

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of RGB
LUMA = (0.299, 0.587, 0.114)  # of ITU-R 601

Output = int | Literal["ab", "rgb", "uv"] | dict[str, int] | None
"""What a network answers: logits over that many ab bins, ab / 110, RGB, U and V, or (None) its deepest stage.

Of a network with several heads their names and channels; it answers a tensor for each."""


Input = Literal["lightness", "luma", "intensity", "ab", "lab", "rgb"]
"""What a network sees of an image."""

# Input -> its channels, and what `normalise` does to it, with the network's `lightness_scale` for the %.
INPUTS: dict[str, tuple[int, str]] = {
    "lightness": (1, "(L - 50) / %g"),
    "luma": (1, "100 (Y - 0.5) / %g"),
    "intensity": (1, "100 (I - 0.5) / %g"),
    "ab": (2, "ab / %g"),
    "lab": (3, "(L - 50, a, b) / %g"),
    "rgb": (3, "100 (RGB - 0.5) / %g"),
}


class StageSpec(NamedTuple):
    """What a stage gives: its channels, and how many input pixels lie between two of its positions."""

    channels: int
    stride: int


class Backbone(nn.Module, ABC):
    """A sequence of named stages, and on the deepest one the output layer, if there is one.

    A network of your own sets `output` and `stages` in its constructor, defines `run_stages`, and makes its
    `output_layer` with the function of that name. It keeps its constructor's arguments as attributes of their names,
    so that a checkpoint can say how it is constructed. Every network normalises its input itself.

    Attributes:
        input: what it sees: `lightness`, L in [0, 100]; `luma`, that of ITU-R 601 in [0, 1]; `intensity`, the
            mean of R, G and B in [0, 1]; `ab`, in ab units; `lab`, L and ab; or `rgb`, in [0, 1].
        output: what `forward` answers.
        stages: name -> channels and stride, in order of depth.
        output_stride: the output lies on the grid of every n-th pixel; its targets are `ab[:, :, ::n, ::n]`. The stride
            of the deepest stage unless a network says otherwise.
        input_multiple: `forward` takes heights and widths that are multiples of this; stages take any size
            unless a network says otherwise.
        normalisation: what it does to its input first, for those who use the weights elsewhere.
        lightness_scale: by what that divides L - 50.
        takes_hints: whether its input may have three more channels: ab at the places of a user's hints, and a mask of
            these.
    """

    input: Input = "lightness"
    output: Output
    stages: dict[str, StageSpec]
    output_layer: nn.Module
    input_multiple: int = 1
    normalisation: str = "its own"
    lightness_scale: float = 1.0
    takes_hints: bool = False

    @property
    def output_stride(self) -> int:
        """How many input pixels lie between two positions of the output."""
        return self.deepest.stride

    @property
    def deepest(self) -> StageSpec:
        """The channels and the stride of the last stage."""
        return list(self.stages.values())[-1]

    @abstractmethod
    def run_stages(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield name and output of one stage after the other; who stops early does not pay for the rest."""

    def run_output(self, features: Tensor, grid: tuple[int, int]) -> Tensor:
        """The output for the deepest stage's `features`, with the height and width `grid`."""
        output = self.output_layer(features)
        return output if output.shape[-2:] == grid else F.interpolate(output, size=grid, mode="bilinear")

    def see(self, rgb: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch channels height width"]:
        """What this network sees of images in RGB in [0, 1]: the argument of `forward` and `forward_stages`."""
        if self.input == "rgb":
            return rgb
        if self.input == "intensity":
            return rgb.mean(dim=1, keepdim=True)
        if self.input == "luma":
            return torch.einsum("bchw,c->bhw", rgb, rgb.new_tensor(LUMA))[:, None]
        lab = rgb_to_lab(rgb)
        return {"lightness": lab[:, :1], "ab": lab[:, 1:], "lab": lab}[self.input]

    def set_input(self, input: Input) -> int:
        """What the network sees, in its constructor; how many channels that has.

        Raises:
            ValueError: there is no such input.
        """
        if input not in INPUTS:
            raise ValueError(unknown_name("input", input, INPUTS))
        self.input = input
        channels, normalisation = INPUTS[input]
        self.normalisation = (normalisation % self.lightness_scale).removesuffix(" / 1")
        return channels

    def normalise(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """The input around 0, in the units of L divided by `lightness_scale`; ab has these units, RGB a hundredth."""
        if self.input == "lightness":
            return (x - 50) / self.lightness_scale
        if self.input == "ab":
            return x / self.lightness_scale
        if self.input == "lab":
            return torch.cat([x[:, :1] - 50, x[:, 1:]], dim=1) / self.lightness_scale
        return (x - 0.5) * (100 / self.lightness_scale)

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch outputs grid_height grid_width"]:
        """Logits over the ab bins, the two channels of ab / 110, or the deepest stage, as `output` says.

        The height and width of logits and ab are those of the input divided by `output_stride`, rounded up.

        Raises:
            ValueError: if the height or the width is not a multiple of `input_multiple`.
        """
        grid = self.output_grid(x)
        for _, output in self.run_stages(x):
            deepest = output
        return deepest if self.output is None else self.run_output(deepest, grid)

    def forward_stages(
        self, x: Float[Tensor, "batch channels height width"], names: Collection[str]
    ) -> dict[str, Float[Tensor, "batch _ _ _"]]:
        """The outputs of the stages asked for, in order of depth; nothing beyond the deepest is computed.

        Raises:
            ValueError: if a name is not one of `stages`.
        """
        for name in names:
            if name not in self.stages:
                raise ValueError(unknown_name("stage", name, self.stages))
        outputs = {}
        for name, output in self.run_stages(x):
            if name in names:
                outputs[name] = output
            if len(outputs) == len(set(names)):
                break
        return outputs

    def output_grid(self, x: Float[Tensor, "batch channels height width"]) -> tuple[int, int]:
        """Height and width of the output for this input; raises ValueError as `forward` does."""
        height, width = x.shape[-2:]
        if height % self.input_multiple or width % self.input_multiple:
            raise ValueError(
                f"{type(self).__name__} takes heights and widths that are multiples of "
                f"{self.input_multiple}, got {height} x {width}: crop or resize the images"
            )
        return -(-height // self.output_stride), -(-width // self.output_stride)

    def classifier_weights(self) -> dict[str, Tensor]:
        """What a classifier of torchvision must hold for this network to start from it: its names, and tensors of its
        shapes; nothing where there is no such classifier.
        """
        return {}

    def start_from_classifier(self, weights: Mapping[str, Tensor]) -> None:
        """Copy those weights."""
        raise NotImplementedError

    def set_bin_centres(self, centres: Float[Tensor, "bins 2"]) -> None:
        """Store the bins' centres, in ab units, if the network's published weights carry them.

        Only eccv16's do; for the others this does nothing, and the bins live beside the weights.
        """


def imagenet_normalised(
    rgb: Float[Tensor, "batch 3 height width"],
) -> Float[Tensor, "batch 3 height width"]:
    """RGB in [0, 1] as torchvision's classifiers see it."""
    mean, std = (rgb.new_tensor(values).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (rgb - mean) / std


def output_layer(channels: int, output: Output) -> nn.Module:
    """A 1x1 convolution from `channels` to what `output` asks for; nothing where it asks for no layer.

    Raises:
        ValueError: `output` is not a number of bins, "ab" or None.
    """
    if output is None:
        return nn.Identity()
    if output != "ab" and not (isinstance(output, int) and output > 0):
        raise ValueError(f'the output of a network is a number of ab bins, "ab" or None, not {output!r}')
    return nn.Conv2d(channels, 2 if output == "ab" else output, kernel_size=1)


def scale_channels(channels: int, width: float) -> int:
    """The channel count times the width multiplier, rounded to a multiple of 8 (for groups), at least 8."""
    if width <= 0:
        raise ValueError(f"width multiplies the channel counts and must be positive, got {width}")
    return max(8, 8 * round(channels * width / 8))
