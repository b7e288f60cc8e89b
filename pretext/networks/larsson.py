"""The hypercolumns of "Learning Representations for Automatic Colorization" (Larsson, Maire, Shakhnarovich 2016)."""

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pretext.networks.alexnet import AlexNet
from pretext.networks.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone, Output, StageSpec, scale_channels
from pretext.networks.initialisation import initialise
from pretext.spelling import unknown_name

BLOCKS = (
    (64, 64),
    (128, 128),
    (256, 256, 256),
    (512, 512, 512),
    (512, 512, 512),
)  # of VGG-16, between poolings
KINDS = ("weight", "bias")
BASES = ("vgg16", "alexnet")
HYPERCOLUMN_STRIDE = 4  # of the dense map


class Larsson(Backbone):
    """A VGG-16 on intensity, and at each place one vector of what all its layers say there.

    The vector, of the input, 13 convolutions, fc6 and fc7, has 12,417 channels at full width. One layer of 1,024 looks
    at it, and two linear ones answer distributions over hue and over chroma. In training a few places of each image are
    looked at: `forward` takes a second channel that marks them, as many in each image. Else the map is dense, at every
    fourth pixel; as a convolution of 1x1 and an interpolation commute, each layer's share is computed at its own
    resolution, and no map of 12,417 channels is ever there.

    Stages conv1_1 .. conv5_3, fc6, fc7 are the layers' outputs after ReLU. The names of the parameters are those of the
    published Caffe file.

    In "Colorization as a Proxy Task for Visual Understanding" (Larsson et al. 2017) the layers may be an AlexNet's:
    those of `alexnet`, with its BatchNorm.

    Args:
        output: how many bins hue and chroma have together, or None for the stages alone.
        width: factor on every hidden channel count.
        base: of which the layers are.

    Raises:
        ValueError: there is no such base, or bins of ab or other colours are asked for.
    """

    input = "intensity"
    normalisation = "none: the mean of R, G and B in [0, 1]"
    output_stride = HYPERCOLUMN_STRIDE

    def __init__(
        self, output: Output = 64, width: float = 1.0, base: Literal["vgg16", "alexnet"] = "vgg16"
    ) -> None:
        super().__init__()
        if base not in BASES:
            raise ValueError(unknown_name("base of larsson", base, BASES))
        if not isinstance(output, int | None) or (output is not None and output % 2):
            raise ValueError(
                f"larsson answers as many bins of hue as of chroma, so its output is not {output!r}; train it on the "
                "task hue_chroma_colorization"
            )
        self.output, self.width, self.base = output, width, base
        self.stages = {}
        if base == "vgg16":
            self._add_vgg(width)
        else:
            self.alexnet = AlexNet(output=None, width=width, input="intensity")
            self.stages, self.normalisation = self.alexnet.stages, self.alexnet.normalisation
        if output:
            self.widths = [1, *(spec.channels for spec in self.stages.values())]
            features = scale_channels(1024, width)
            self.h_fc1 = nn.Conv2d(sum(self.widths), features, kernel_size=1)
            self.prediction_h = nn.Conv2d(features, output // 2, kernel_size=1)
            self.prediction_c = nn.Conv2d(features, output // 2, kernel_size=1)
        initialise(self, nn.Identity())
        if output:
            for head in (self.prediction_h, self.prediction_c):
                nn.init.normal_(head.weight, std=0.1 / head.in_channels**0.5)

    def _add_vgg(self, width: float) -> None:
        arriving = 1
        for level, block in enumerate(BLOCKS):
            for number, count in enumerate(block, start=1):
                channels = scale_channels(count, width)
                self._add(
                    f"conv{level + 1}_{number}",
                    nn.Conv2d(arriving, channels, kernel_size=3, padding=1),
                    2**level,
                )
                arriving = channels
        hidden = scale_channels(4096, width)
        self._add("fc6", nn.Conv2d(arriving, hidden, kernel_size=7, padding=3), 2 ** len(BLOCKS))
        self._add("fc7", nn.Conv2d(hidden, hidden, kernel_size=1), 2 ** len(BLOCKS))

    def _add(self, name: str, convolution: nn.Conv2d, stride: int) -> None:
        self.add_module(name, convolution)
        self.stages[name] = StageSpec(convolution.out_channels, stride)

    def run_stages(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        if self.base == "alexnet":
            yield from self.alexnet.run_stages(x[:, :1])
            return
        features = x[:, :1]
        stride = 1
        for name, spec in self.stages.items():
            if spec.stride > stride:
                # Sides that are odd keep their last row and column.
                features, stride = F.max_pool2d(features, kernel_size=2, ceil_mode=True), spec.stride
            features = self.get_submodule(name)(features).relu()
            if name.startswith("fc"):
                features = F.dropout(features, training=self.training)
            yield name, features

    def classifier_weights(self) -> dict[str, Tensor]:
        """All but the classes of torchvision's `vgg16`, whose fc6 and fc7 are no convolutions."""
        weights: dict[str, Tensor] = {}
        if self.base != "vgg16":
            return weights
        for name, place in self._vgg_places():
            for kind, tensor in self.get_submodule(name).state_dict().items():
                if name == "conv1_1" and kind == "weight":
                    tensor = tensor.expand(-1, 3, -1, -1)
                elif name.startswith("fc") and kind == "weight":
                    tensor = tensor.flatten(1)
                weights[f"{place}.{kind}"] = tensor
        return weights

    def start_from_classifier(self, weights: Mapping[str, Tensor]) -> None:
        """Grey as the classifier sees it is what this network sees, but at the border."""
        own = {
            f"{name}.{kind}": weights[f"{place}.{kind}"]
            for name, place in self._vgg_places()
            for kind in KINDS
        }
        mean, std = (
            own["conv1_1.weight"].new_tensor(of).view(3, 1, 1) for of in (IMAGENET_MEAN, IMAGENET_STD)
        )
        first = own["conv1_1.weight"] / std
        own["conv1_1.bias"] = own["conv1_1.bias"] - (first * mean).sum((1, 2, 3))
        own["conv1_1.weight"] = first.sum(1, keepdim=True)
        shapes = {name: tensor.shape for name, tensor in self.state_dict().items()}
        self.load_state_dict({name: tensor.view(shapes[name]) for name, tensor in own.items()}, strict=False)

    def _vgg_places(self) -> Iterator[tuple[str, str]]:
        """The name of each layer, and where it is in torchvision's `vgg16`."""
        place = 0
        for name in self.stages:
            if name.startswith("fc"):
                yield name, {"fc6": "classifier.0", "fc7": "classifier.3"}[name]
                continue
            place += name.endswith("_1") and place > 0  # behind a pooling
            yield name, f"features.{place}"
            place += 2

    def forward(
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch outputs grid_height grid_width"]:
        """Logits of hue, then of chroma.

        Args:
            x: intensity in [0, 1]; and maybe a mask of the places to be looked at, of which each image has as many.

        Returns:
            On every fourth pixel; with a mask (batch, outputs, places, 1), the places row by row.
        """
        if self.output is None:
            for _, features in self.run_stages(x):
                deepest = features
            return deepest
        blobs = [(x[:, :1], 1), *((of, self.stages[name].stride) for name, of in self.run_stages(x))]
        if x.shape[1] == 2:
            hypercolumn = torch.cat(self._at_places(blobs, x[:, 1]), dim=1)
            features = self.h_fc1(hypercolumn)
        else:
            shares = self.h_fc1.weight.split(self.widths, dim=1)
            grid = [-(-side // HYPERCOLUMN_STRIDE) for side in x.shape[-2:]]
            assert self.h_fc1.bias is not None
            features = self.h_fc1.bias.view(1, -1, 1, 1)
            for (blob, stride), share in zip(blobs, shares, strict=True):
                features = features + _on_grid(blob, stride, share, grid)
        features = F.dropout(features.relu(), training=self.training)
        return torch.cat([self.prediction_h(features), self.prediction_c(features)], dim=1)

    def _at_places(
        self, blobs: list[tuple[Tensor, int]], mask: Float[Tensor, "batch height width"]
    ) -> list[Float[Tensor, "batch _ places 1"]]:
        """Each layer's features at the places, interpolated between its four nearest positions."""
        count = int(mask.sum().item()) // len(mask)
        places = mask.flatten(1).topk(count, dim=1).indices.sort(dim=1).values
        rows, columns = places // mask.shape[-1], places % mask.shape[-1]
        sampled = []
        for blob, stride in blobs:
            height, width = blob.shape[-2:]
            # From positions 0 .. side - 1 to -1 .. 1, as grid_sample counts; a side of one has only 0.
            y, x = (
                2 * (at / stride).clamp(max=side - 1) / max(1, side - 1) - 1
                for at, side in ((rows, height), (columns, width))
            )
            grid = torch.stack([x, y], dim=-1)[:, :, None].to(blob.dtype)
            sampled.append(F.grid_sample(blob, grid, align_corners=True, padding_mode="border"))
        return sampled


def _on_grid(blob: Tensor, stride: int, weight: Tensor, grid: list[int]) -> Tensor:
    """A layer's share of the dense map: averaged down or interpolated up to stride 4.

    The upsampling is Caffe's transposed convolution by a bilinear kernel, beyond whose border lie zeros.
    """
    if stride < HYPERCOLUMN_STRIDE:
        blob = F.avg_pool2d(blob, HYPERCOLUMN_STRIDE // stride, ceil_mode=True, count_include_pad=False)
    share = F.conv2d(blob, weight)
    if stride > HYPERCOLUMN_STRIDE:
        share = upsampled(share, stride // HYPERCOLUMN_STRIDE)
    return share[..., : grid[0], : grid[1]]


def upsampled(
    maps: Float[Tensor, "batch channels height width"], factor: int
) -> Float[Tensor, "batch channels {factor}*height {factor}*width"]:
    """Caffe's bilinear upsampling: kernels of twice the factor, zeros beyond the border."""
    kernel = 1 - (torch.arange(2 * factor, device=maps.device) + 0.5 - factor).abs() / factor
    weight = (kernel[:, None] * kernel).to(maps.dtype).expand(maps.shape[1], 1, -1, -1)
    return F.conv_transpose2d(maps, weight, stride=factor, padding=factor // 2, groups=maps.shape[1])
