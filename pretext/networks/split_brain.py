"""Two half networks side by side, one of which sees lightness and the other colour: Zhang, Isola and Efros (2017)."""

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from pretext.networks.alexnet import AlexNet
from pretext.networks.backbone import Backbone, Output, StageSpec
from pretext.networks.eccv16 import Eccv16
from pretext.networks.resnet import ResNet50
from pretext.spelling import unknown_name

PARTS: dict[str, type[AlexNet] | type[Eccv16] | type[ResNet50]] = {
    "alexnet": AlexNet,
    "eccv16": Eccv16,
    "resnet50": ResNet50,
}


class SplitBrainNetwork(Backbone):
    """The first half of the channels of each stage is that of a network on L, the second of one on ab.

    Args:
        output: the number of bins of ab and of L together; None for the stages alone.
        width: of both halves together; see `build_network`.
        part: name of the network that each half is, of half the width.
        lightness_bins: the last ones of the output, which the half that sees ab answers.

    Raises:
        ValueError: there is no such part, or the output is neither a larger number of bins nor None.
    """

    def __init__(
        self,
        output: Output = 413,
        width: float = 1.0,
        part: str = "alexnet",
        lightness_bins: int = 100,
    ) -> None:
        super().__init__()
        if part not in PARTS:
            raise ValueError(unknown_name("part of a split_brain network", part, PARTS))
        if not isinstance(output, int | None) or (output is not None and output <= lightness_bins):
            raise ValueError(
                f"split_brain answers {lightness_bins} bins of L after those of ab, so its output is not {output!r}; "
                "train it on the task split_brain"
            )
        self.output, self.width, self.part, self.lightness_bins = output, width, part, lightness_bins
        self.set_input("lab")
        of_ab, of_lightness = (None, None) if output is None else (output - lightness_bins, lightness_bins)
        self.on_lightness = PARTS[part](output=of_ab, width=width / 2, input="lightness")
        self.on_ab = PARTS[part](output=of_lightness, width=width / 2, input="ab")
        self.stages = {
            name: StageSpec(2 * spec.channels, spec.stride) for name, spec in self.on_lightness.stages.items()
        }
        self.input_multiple = self.on_lightness.input_multiple
        self.normalisation = "each half its own"

    @property
    def output_stride(self) -> int:
        return self.on_lightness.output_stride

    def run_stages(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        halves = zip(self.on_lightness.run_stages(x[:, :1]), self.on_ab.run_stages(x[:, 1:]), strict=True)
        for (name, of_lightness), (_, of_ab) in halves:
            yield name, torch.cat([of_lightness, of_ab], dim=1)

    def run_output(self, features: Tensor, grid: tuple[int, int]) -> Tensor:
        on_lightness, on_ab = features.chunk(2, dim=1)
        return torch.cat(
            [self.on_lightness.run_output(on_lightness, grid), self.on_ab.run_output(on_ab, grid)], dim=1
        )

    def set_bin_centres(self, centres: Float[Tensor, "bins 2"]) -> None:
        self.on_lightness.set_bin_centres(centres)
