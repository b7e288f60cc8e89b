"""The AlexNet whose representations "Colorful Image Colorization" tests (section 3.2)."""

from collections.abc import Iterator

import torch.nn.functional as F
from torch import Tensor, nn

from pretext.networks.backbone import Backbone, Input, Output, StageSpec, output_layer, scale_channels
from pretext.networks.initialisation import initialise

_POOL_STRIDE = {"conv1": 2, "conv2": 2, "conv5": 1}


class AlexNet(Backbone):
    """Five convolutions and two fully convolutional layers at stride 16, each conv -> BatchNorm -> ReLU.

    The layers, groups and paddings of the published `train_alexnet`, without LRN; its Caffe BatchNorm has no
    scale and shift, which here follow PyTorch's habit. It sees L - 50.

    The papers test a plain AlexNet on the same weights, with neither conv1 nor the pools padded: at 227 px its maps are
    55, 27, 13, 13 and 13 pixels wide. This one keeps its padding, and they are 57, 29, 15, 15 and 15.

    Stages conv1..conv5, fc6, fc7 are the outputs of the ReLU, before the pooling.

    Args:
        output, width, input: see `build_network`.
    """

    lightness_scale = 1.0
    output_stride = 8

    def __init__(self, output: Output = 313, width: float = 1.0, input: Input = "lightness") -> None:
        super().__init__()
        self.output, self.width = output, width
        channels = self.set_input(input)
        c96, c256, c384, c4096 = (scale_channels(channels, width) for channels in (96, 256, 384, 4096))
        self.stages = {
            "conv1": StageSpec(c96, 4),
            "conv2": StageSpec(c256, 8),
            "conv3": StageSpec(c384, 16),
            "conv4": StageSpec(c384, 16),
            "conv5": StageSpec(c256, 16),
            "fc6": StageSpec(c4096, 16),
            "fc7": StageSpec(c4096, 16),
        }
        self.conv1 = _layer(nn.Conv2d(channels, c96, kernel_size=11, stride=4, padding=5, bias=False))
        self.conv2 = _layer(nn.Conv2d(c96, c256, kernel_size=5, padding=2, groups=2, bias=False))
        self.conv3 = _layer(nn.Conv2d(c256, c384, kernel_size=3, padding=1, bias=False))
        self.conv4 = _layer(nn.Conv2d(c384, c384, kernel_size=3, padding=1, groups=2, bias=False))
        self.conv5 = _layer(nn.Conv2d(c384, c256, kernel_size=3, padding=1, groups=2, bias=False))
        self.fc6 = _layer(nn.Conv2d(c256, c4096, kernel_size=6, dilation=2, padding=5, bias=False))
        self.fc7 = _layer(nn.Conv2d(c4096, c4096, kernel_size=1, bias=False))
        self.fc8 = output_layer(c4096, output)
        initialise(self, self.fc8)

    def run_stages(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        features = self.normalise(x)
        for name in self.stages:
            features = self.get_submodule(name)(features)
            yield name, features
            if name in _POOL_STRIDE:
                features = F.max_pool2d(features, kernel_size=3, stride=_POOL_STRIDE[name], padding=1)

    def run_output(self, features: Tensor, grid: tuple[int, int]) -> Tensor:
        return F.interpolate(self.fc8(features), size=grid, mode="bilinear")


def _layer(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True))
