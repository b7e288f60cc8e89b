"""ResNet-50 (He et al. 2016) on lightness, with a head that colorizes."""

from collections.abc import Iterator

from torch import Tensor, nn

from pretext.networks.backbone import Backbone, Input, Output, StageSpec, output_layer, scale_channels
from pretext.networks.initialisation import initialise

EXPANSION = 4  # of the channels, in a residual block's last convolution


class ResNet50(Backbone):
    """The trunk of torchvision's `resnet50` with one input channel, then an upsampling head to stride 8.

    The trunk's parameters have torchvision's names and, but for `conv1`, its shapes. The network sees
    (L - 50) / 100.

    Stages layer1..layer4 are the outputs of the four groups of residual blocks.

    Args:
        output, width, input: see `build_network`.
    """

    lightness_scale = 100.0
    output_stride = 8

    def __init__(self, output: Output = 313, width: float = 1.0, input: Input = "lightness") -> None:
        super().__init__()
        self.output, self.width = output, width
        channels = self.set_input(input)
        c64, c128, c256, c512 = (scale_channels(channels, width) for channels in (64, 128, 256, 512))
        self.stages = {
            "layer1": StageSpec(c64 * EXPANSION, 4),
            "layer2": StageSpec(c128 * EXPANSION, 8),
            "layer3": StageSpec(c256 * EXPANSION, 16),
            "layer4": StageSpec(c512 * EXPANSION, 32),
        }
        self.conv1 = nn.Conv2d(channels, c64, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(c64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = _residual_blocks(3, inputs=c64, planes=c64, stride=1)
        self.layer2 = _residual_blocks(4, inputs=c64 * EXPANSION, planes=c128, stride=2)
        self.layer3 = _residual_blocks(6, inputs=c128 * EXPANSION, planes=c256, stride=2)
        self.layer4 = _residual_blocks(3, inputs=c256 * EXPANSION, planes=c512, stride=2)
        if output is None:
            initialise(self, nn.Identity())
            return
        last = output_layer(c256, output)
        self.head = nn.Sequential(
            *_normalised(nn.Conv2d(c512 * EXPANSION, c512, kernel_size=1, bias=False)),
            *_normalised(nn.ConvTranspose2d(c512, c256, kernel_size=4, stride=2, padding=1, bias=False)),
            *_normalised(nn.ConvTranspose2d(c256, c256, kernel_size=4, stride=2, padding=1, bias=False)),
            last,
        )
        initialise(self, last)

    def run_stages(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        features = self.maxpool(self.relu(self.bn1(self.conv1(self.normalise(x)))))
        for name in self.stages:
            features = self.get_submodule(name)(features)
            yield name, features

    def run_output(self, features: Tensor, grid: tuple[int, int]) -> Tensor:
        height, width = grid
        return self.head(features)[:, :, :height, :width]


def _residual_blocks(count: int, inputs: int, planes: int, stride: int) -> nn.Sequential:
    # A second and a half that other networks need not wait for.
    from torchvision.models.resnet import Bottleneck

    outputs = planes * EXPANSION
    projection = nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(outputs)
    )
    first = Bottleneck(inputs, planes, stride, projection)
    return nn.Sequential(first, *(Bottleneck(outputs, planes) for _ in range(count - 1)))


def _normalised(convolution: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    return [convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True)]
