"""The network of "Real-Time User-Guided Image Colorization" (Zhang et al. 2017), as published in PyTorch."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretext.networks.backbone import AB_SCALE, Backbone, Output, StageSpec, output_layer, scale_channels
from pretext.networks.eccv16 import conv_block
from pretext.networks.initialisation import initialise

PUBLISHED_NUM_BINS = 529  # 23 x 23: a grid of step 10 over the whole ab square


class Siggraph17(Backbone):
    """A U-Net: the eight blocks of eccv16, two more up to full resolution, a shortcut into each upsampling.

    The parameter names are the published ones: such a file (`siggraph17`) loads strictly, whichever output is
    used. It sees (L - 50) / 100, and the user's colour hints, ab / 110, and their mask, or zeros in place of these.

    Stages conv1..conv9 are the outputs of the blocks, after the BatchNorm that ends each and before the
    subsampling to the next; conv10 is the last LeakyReLU. A shortcut adds maps of two depths, so conv8 and
    beyond need sizes that are multiples of 8.

    Args:
        output: the number of ab bins to classify into, from conv8 at stride 4; "ab" to regress, from conv10 at
            stride 1 (tanh: ab / 110); or None for the stages up to conv8 alone. The published file holds both
            outputs, and so does this network: the layers that the chosen one does not use are frozen, and conv9,
            conv10 are stages of regression.
        width: see `build_network`.
    """

    normalisation = "(L - 50) / 100"
    lightness_scale = 100.0
    input_multiple = 8
    takes_hints = True

    def __init__(self, output: Output = PUBLISHED_NUM_BINS, width: float = 1.0) -> None:
        super().__init__()
        self.output, self.width = output, width
        c64, c128, c256, c512 = (scale_channels(channels, width) for channels in (64, 128, 256, 512))
        self.stages = {
            "conv1": StageSpec(c64, 1),
            "conv2": StageSpec(c128, 2),
            "conv3": StageSpec(c256, 4),
            "conv4": StageSpec(c512, 8),
            "conv5": StageSpec(c512, 8),
            "conv6": StageSpec(c512, 8),
            "conv7": StageSpec(c512, 8),
            "conv8": StageSpec(c256, 4),
        }
        if output == "ab":
            self.stages |= {"conv9": StageSpec(c128, 2), "conv10": StageSpec(c128, 1)}
        self.model1 = conv_block(4, c64, c64)
        self.model2 = conv_block(c64, c128, c128)
        self.model3 = conv_block(c128, c256, c256, c256)
        self.model4 = conv_block(c256, c512, c512, c512)
        self.model5 = conv_block(c512, c512, c512, c512, dilation=2)
        self.model6 = conv_block(c512, c512, c512, c512, dilation=2)
        self.model7 = conv_block(c512, c512, c512, c512)
        self.model8up = _upsampling(c512, c256)
        self.model3short8 = _shortcut(c256, c256)
        self.model8 = nn.Sequential(nn.ReLU(inplace=True), *conv_block(c256, c256, c256))
        self.model9up = _upsampling(c256, c128)
        self.model2short9 = _shortcut(c128, c128)
        self.model9 = nn.Sequential(nn.ReLU(inplace=True), *conv_block(c128, c128))
        self.model10up = _upsampling(c128, c128)
        self.model1short10 = _shortcut(c64, c128)
        self.model10 = nn.Sequential(
            nn.ReLU(inplace=True), nn.Conv2d(c128, c128, kernel_size=3, padding=1), nn.LeakyReLU(0.2)
        )
        classes = output_layer(c256, output if isinstance(output, int) else PUBLISHED_NUM_BINS)
        colours = output_layer(c128, "ab")
        self.model_class = nn.Sequential(classes)
        self.model_out = nn.Sequential(colours, nn.Tanh())
        initialise(self, colours if output == "ab" else classes)
        # Trainable parameters without a gradient make DistributedDataParallel fail.
        for module in self._unused_modules():
            module.requires_grad_(False)

    def _unused_modules(self) -> list[nn.Module]:
        if self.output == "ab":
            return [self.model_class]
        ninth = [self.model9up, self.model2short9, self.model9]
        tenth = [self.model10up, self.model1short10, self.model10, self.model_out]
        return [*ninth, *tenth, *([self.model_class] if self.output is None else [])]

    def run_stages(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        if x.shape[1] == 1:
            x = F.pad(x, (0, 0, 0, 0, 0, 3))
        lightness, hints, mask = x.split([1, 2, 1], dim=1)
        seen = [(lightness - 50) / self.lightness_scale, hints / AB_SCALE, mask]
        conv1 = self.model1(torch.cat(seen, dim=1))
        yield "conv1", conv1
        conv2 = self.model2(conv1[:, :, ::2, ::2])
        yield "conv2", conv2
        conv3 = self.model3(conv2[:, :, ::2, ::2])
        yield "conv3", conv3
        features = conv3[:, :, ::2, ::2]
        for number in range(4, 8):
            features = self.get_submodule(f"model{number}")(features)
            yield f"conv{number}", features
        yield "conv8", (features := self.model8(self.model8up(features) + self.model3short8(conv3)))
        if self.output == "ab":
            yield "conv9", (features := self.model9(self.model9up(features) + self.model2short9(conv2)))
            yield "conv10", self.model10(self.model10up(features) + self.model1short10(conv1))

    def run_output(self, features: Tensor, grid: tuple[int, int]) -> Tensor:
        return self.model_out(features) if self.output == "ab" else self.model_class(features)


def _upsampling(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1))


def _shortcut(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel_size=3, padding=1))
