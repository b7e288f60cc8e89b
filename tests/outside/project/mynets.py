"""A network of one's own: `pretext train --network.name mynets:Tiny --network.args.depth 4`."""

from collections.abc import Iterator
from itertools import pairwise

from torch import Tensor, nn

from pretext import Backbone, StageSpec, output_layer


class Tiny(Backbone):
    """`depth` convolutions of stride 2, each with twice the channels of the one before; it sees the lightness."""

    def __init__(self, output=None, width: float = 1.0, depth: int = 3) -> None:
        super().__init__()
        self.output, self.width, self.depth = output, width, depth
        channels = [1, *(int(16 * width) * 2**n for n in range(depth))]
        self.stages = {f"conv{n}": StageSpec(channels[n], stride=2**n) for n in range(1, depth + 1)}
        self.blocks = nn.ModuleList(_block(*both) for both in pairwise(channels))
        self.output_layer = output_layer(channels[-1], output)

    def run_stages(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        x = (x - 50) / 50
        for name, block in zip(self.stages, self.blocks, strict=True):
            x = block(x)
            yield name, x


def _block(inputs: int, outputs: int) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
