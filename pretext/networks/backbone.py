"""The contract of every network here: lightness in, colour out, named stages in between."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from pretext.spelling import unknown_name

AB_SCALE = 110.0  # a regression network answers ab in units of this, as the published weights do


class StageSpec(NamedTuple):
    """What a stage gives: its channels, and how many input pixels lie between two of its positions."""

    channels: int
    stride: int


class Backbone(nn.Module, ABC):
    """A colorization network: a sequence of named stages, then an output layer on the deepest one.

    Every network normalises the lightness itself, so all of them take L in [0, 100].

    Attributes:
        stages: name -> channels and stride, in order of depth.
        output_stride: the output lies on the grid of every n-th pixel; its targets are `ab[:, :, ::n, ::n]`.
        normalisation: what it does to the lightness first, for those who use the weights elsewhere.
        lightness_scale: by what that divides L - 50.
        input_multiple: `forward` takes heights and widths that are multiples of this; stages take any size
            unless a network says otherwise.
    """

    stages: dict[str, StageSpec]
    normalisation: str
    lightness_scale: float
    output_stride: int
    input_multiple: int

    @abstractmethod
    def _run_stages(self, lightness: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Yield name and output of one stage after the other; who stops early does not pay for the rest."""

    @abstractmethod
    def _output(self, features: Tensor, grid: tuple[int, int]) -> Tensor:
        """Turn the deepest stage into logits over the bins, or ab / 110, of height and width `grid`."""

    def forward(
        self, lightness: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch outputs grid_height grid_width"]:
        """Logits over the ab bins, or for regression the two channels of ab / 110.

        The output's height and width are those of the input divided by `output_stride`, rounded up.

        Raises:
            ValueError: if the height or the width is not a multiple of `input_multiple`.
        """
        return self._paint(lightness, self._run_stages(lightness))

    def _paint(self, lightness: Tensor, stage_outputs: Iterator[tuple[str, Tensor]]) -> Tensor:
        grid = self.output_grid(lightness)
        for _, output in stage_outputs:
            deepest = output
        return self._output(deepest, grid)

    def forward_stages(
        self, lightness: Float[Tensor, "batch 1 height width"], names: Collection[str]
    ) -> dict[str, Float[Tensor, "batch _ _ _"]]:
        """The outputs of the stages asked for, in order of depth; nothing beyond the deepest is computed.

        Raises:
            ValueError: if a name is not one of `stages`.
        """
        for name in names:
            if name not in self.stages:
                raise ValueError(unknown_name("stage", name, self.stages))
        outputs = {}
        for name, output in self._run_stages(lightness):
            if name in names:
                outputs[name] = output
            if len(outputs) == len(set(names)):
                break
        return outputs

    def output_grid(self, lightness: Float[Tensor, "batch 1 height width"]) -> tuple[int, int]:
        """Height and width of the output for this input; raises ValueError as `forward` does."""
        height, width = lightness.shape[-2:]
        if height % self.input_multiple or width % self.input_multiple:
            raise ValueError(
                f"{type(self).__name__} takes heights and widths that are multiples of "
                f"{self.input_multiple}, got {height} x {width}: crop or resize the images"
            )
        return -(-height // self.output_stride), -(-width // self.output_stride)

    def set_bin_centres(self, centres: Float[Tensor, "bins 2"]) -> None:
        """Store the bins' centres, in ab units, if the network's published weights carry them.

        Only eccv16's do; for the others this does nothing, and the bins live beside the weights.
        """


def scale_channels(channels: int, width: float) -> int:
    """The channel count times the width multiplier, rounded to a multiple of 8 (for groups), at least 8."""
    if width <= 0:
        raise ValueError(f"width multiplies the channel counts and must be positive, got {width}")
    return max(8, 8 * round(channels * width / 8))
