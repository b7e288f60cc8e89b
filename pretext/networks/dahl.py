"""The residual encoder of "Automatic Colorization" (Ryan Dahl, 2016, tinyclouds.org/colorize), on a frozen VGG-16."""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pretext.networks.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone, Output, StageSpec, scale_channels
from pretext.networks.initialisation import initialise

# Convolutions of VGG-16 between two poolings -> their channels, up to the fourth pooling.
BLOCKS = {"conv1_2": (64, 64), "conv2_2": (128, 128), "conv3_3": (256, 256, 256), "conv4_3": (512, 512, 512)}


class Dahl(Backbone):
    """Maps of a VGG-16, coarse to fine: each is normalised and added to what came from below, twice as large.

    After the figure of the post: 501,575 weights of its own in six convolutions without biases, BatchNorm behind each
    and ReLU behind all but the last. It sees the luma three times, as ImageNet's colours are normalised, and answers U
    and V of Y'UV, squashed into [0, 1].

    The convolutions of VGG-16 are frozen. They begin at random, as all others; `init: vgg16.pth` gives them ImageNet's.

    Stages conv1_2 to conv4_3 are those of VGG-16, merged4 to merged1 what they become.

    Args:
        output: "uv", or None for the stages alone.
        width: factor on every channel count, also of VGG-16.

    Raises:
        ValueError: another output.
    """

    input = "luma"
    normalisation = "(Y - mean) / std of ImageNet's RGB"
    output_stride = 1
    mean: Tensor
    std: Tensor

    def __init__(self, output: Output = "uv", width: float = 1.0) -> None:
        super().__init__()
        if output not in ("uv", None):
            raise ValueError(
                f"dahl answers U and V, so its output is not {output!r}; train it on the task uv_colorization"
            )
        self.output, self.width = output, width
        blocks = {name: [scale_channels(count, width) for count in counts] for name, counts in BLOCKS.items()}
        self.features = _vgg16(list(blocks.values()))
        maps = [counts[-1] for counts in blocks.values()]
        self.stages = {
            name: StageSpec(count, 2**level)
            for level, (name, count) in enumerate(zip(blocks, maps, strict=True))
        }
        coarse_to_fine = [*reversed(maps), 3]
        self.normalise_maps = nn.ModuleList(nn.BatchNorm2d(count) for count in coarse_to_fine)
        self.merge = nn.ModuleList(
            _unit(below, above, kernel=1 if level == 0 else 3)
            for level, (below, above) in enumerate(pairwise(coarse_to_fine))
        )
        self.stages |= {
            f"merged{len(maps) - level}": StageSpec(above, 2 ** max(0, len(maps) - 1 - level))
            for level, above in enumerate(coarse_to_fine[1:])
        }
        self.last = _unit(3, 3, kernel=3) if output else nn.Identity()
        self.output_layer = nn.Identity()
        if output:
            normalise = nn.BatchNorm2d(2)
            nn.init.constant_(normalise.weight, 0.1)  # near grey, as `initialise` has it of other networks
            convolution = nn.Conv2d(3, 2, kernel_size=3, padding=1, bias=False)
            self.output_layer = nn.Sequential(convolution, normalise)
        initialise(self, nn.Identity())
        self.features.requires_grad_(False)
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def run_stages(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        features = (x - self.mean) / self.std
        maps: list[Tensor] = []
        names = list(BLOCKS)
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                yield names[len(maps)], features
                maps.append(features)
            features = layer(features)
        yield names[-1], features
        maps.append(features)
        merged = self.merge[0](self.normalise_maps[0](maps.pop()))
        yield "merged4", merged
        for number, merge in enumerate(self.merge[1:], start=1):
            finer = self.normalise_maps[number](maps.pop())
            merged = merge(F.interpolate(merged, size=finer.shape[-2:], mode="bilinear") + finer)
            yield f"merged{4 - number}", merged

    def classifier_weights(self) -> dict[str, Tensor]:
        """The convolutions of torchvision's `vgg16`."""
        return self.features.state_dict(prefix="features.")

    def start_from_classifier(self, weights: Mapping[str, Tensor]) -> None:
        self.load_state_dict(weights, strict=False)

    def forward(
        self, x: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch outputs grid_height grid_width"]:
        """U and V in [0, 1], or the last stage."""
        for _, output in self.run_stages(x):
            merged = output
        if self.output is None:
            return merged
        grey = self.normalise_maps[-1]((x - self.mean) / self.std)
        return torch.sigmoid(self.output_layer(self.last(merged + grey)))


def _vgg16(blocks: list[list[int]]) -> nn.Sequential:
    """Convolutions and ReLUs with the places that torchvision's `vgg16().features` gives them."""
    layers: list[nn.Module] = []
    arriving = 3
    for block in blocks:
        if layers:
            layers.append(nn.MaxPool2d(kernel_size=2))
        for count in block:
            layers += [nn.Conv2d(arriving, count, kernel_size=3, padding=1), nn.ReLU(inplace=True)]
            arriving = count
    return nn.Sequential(*layers)


def _unit(inputs: int, outputs: int, *, kernel: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel_size=kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))
