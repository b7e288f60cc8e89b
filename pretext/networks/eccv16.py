"""The network of "Colorful Image Colorization" (Zhang, Isola, Efros 2016), as published in PyTorch."""

from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pretext.networks.backbone import (
    AB_SCALE,
    Backbone,
    Input,
    Output,
    StageSpec,
    output_layer,
    scale_channels,
)
from pretext.networks.initialisation import initialise


class Eccv16(Backbone):
    """Seven VGG-style blocks down to stride 8, two of them dilated, and an eighth up to stride 4.

    The parameter names are the published ones (`colorization_release_v2`): such a file loads strictly, and a
    network with 313 bins and width 1 saves as one. It sees (L - 50) / 100.

    Stages conv1..conv7 are the outputs of the blocks, after the BatchNorm that ends each; conv8 is the last
    ReLU before the 1x1 output layer.

    Args:
        output, width, input: see `build_network`; only with bins there is a `model_out`.
    """

    lightness_scale = 100.0
    output_stride = 4
    input_multiple = 8  # the published arithmetic: three halvings, then one doubling

    def __init__(self, output: Output = 313, width: float = 1.0, input: Input = "lightness") -> None:
        super().__init__()
        self.output, self.width = output, width
        channels = self.set_input(input)
        c64, c128, c256, c512 = (scale_channels(channels, width) for channels in (64, 128, 256, 512))
        self.stages = {
            "conv1": StageSpec(c64, 2),
            "conv2": StageSpec(c128, 4),
            "conv3": StageSpec(c256, 8),
            "conv4": StageSpec(c512, 8),
            "conv5": StageSpec(c512, 8),
            "conv6": StageSpec(c512, 8),
            "conv7": StageSpec(c512, 8),
            "conv8": StageSpec(c256, 4),
        }
        self.model1 = conv_block(channels, c64, c64, stride=2)
        self.model2 = conv_block(c64, c128, c128, stride=2)
        self.model3 = conv_block(c128, c256, c256, c256, stride=2)
        self.model4 = conv_block(c256, c512, c512, c512)
        self.model5 = conv_block(c512, c512, c512, c512, dilation=2)
        self.model6 = conv_block(c512, c512, c512, c512, dilation=2)
        self.model7 = conv_block(c512, c512, c512, c512)
        last = output_layer(c256, output)
        self.model8 = nn.Sequential(
            nn.ConvTranspose2d(c512, c256, kernel_size=4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(c256, c256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(c256, c256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            last,
        )
        initialise(self, last)
        self.model_out: nn.Conv2d | None = None
        if isinstance(output, int):
            # Softmax -> model_out is the mean of the bin centres: data that the weights carry, never trained.
            self.model_out = nn.Conv2d(output, 2, kernel_size=1, bias=False).requires_grad_(False)
            nn.init.zeros_(self.model_out.weight)

    @property
    def bin_centres(self) -> Float[Tensor, "bins 2"] | None:
        """The bins' centres in ab units, as loaded or as set; all zero before that, None without bins."""
        return None if self.model_out is None else self.model_out.weight.detach()[:, :, 0, 0].T * AB_SCALE

    @torch.no_grad()
    def set_bin_centres(self, centres: Float[Tensor, "bins 2"]) -> None:
        """Store the bins' centres, in ab units, in `model_out`, where the published weights hold theirs."""
        assert self.model_out is not None, "without bins there are no centres"
        assert len(centres) == self.model_out.in_channels, "one centre for each logit"
        self.model_out.weight.copy_(centres.T[:, :, None, None] / AB_SCALE)

    def run_stages(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        features = self.normalise(x)
        for number in range(1, 8):
            features = self.get_submodule(f"model{number}")(features)
            yield f"conv{number}", features
        for layer in list(self.model8)[:-1]:
            features = layer(features)
        yield "conv8", features

    def run_output(self, features: Tensor, grid: tuple[int, int]) -> Tensor:
        return self.model8[-1](features)


def conv_block(*channels: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """3x3 convolutions through these channel counts, each with a ReLU, the last strided; then BatchNorm."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(channels):
        layers += [
            nn.Conv2d(inputs, outputs, kernel_size=3, padding=dilation, dilation=dilation),
            nn.ReLU(inplace=True),
        ]
    last = layers[-2]
    assert isinstance(last, nn.Conv2d)
    last.stride = (stride, stride)
    return nn.Sequential(*layers, nn.BatchNorm2d(channels[-1]))
