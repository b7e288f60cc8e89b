"""The generators of DeOldify (Jason Antic, 2018 to 2020), in plain PyTorch, under the names of their published weights.

github.com/jantic/DeOldify; the layers are those of its own copy of fastai, whose pixel shuffles always blur.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pretext.networks.backbone import IMAGENET_MEAN, IMAGENET_STD, Backbone, Output, StageSpec, scale_channels
from pretext.spelling import unknown_name

RANGE = 3.0  # of the answer, in these deviations
ENCODERS = {
    "artistic": ("basic", (3, 4, 6, 3)),
    "stable": ("bottleneck", (3, 4, 23, 3)),
}  # ResNet-34 and ResNet-101

RESNET_MODULES = {
    0: "conv1",
    1: "bn1",
    4: "layer1",
    5: "layer2",
    6: "layer3",
    7: "layer4",
}  # torchvision's names


class DeOldify(Backbone):
    """A U-Net on a ResNet with spectral norm, self-attention and pixel shuffles, from grey to RGB.

    It sees the luma of an image, three times, as ImageNet's colours are normalised, and answers RGB, a little beyond
    [0, 1]. Stages relu, layer1..layer4 are those of its ResNet, up1..up4 the outputs of the blocks above it.

    Args:
        output: "rgb", or None for the stages alone.
        width: factor on every channel count.
        variant: `artistic`, on ResNet-34, or `stable`, on ResNet-101, which DeOldify's video weights have too.

    Raises:
        ValueError: there is no such variant, or the output is another.
    """

    input = "luma"
    mean: Tensor
    std: Tensor
    normalisation = "(Y - mean) / std of ImageNet's RGB"
    output_stride = 1

    def __init__(
        self,
        output: Output = "rgb",
        width: float = 1.0,
        variant: Literal["artistic", "stable"] = "artistic",
    ) -> None:
        super().__init__()
        if variant not in ENCODERS:
            raise ValueError(unknown_name("variant", variant, ENCODERS))
        if output not in ("rgb", None):
            raise ValueError(
                f"deoldify answers RGB, so its output is not {output!r}; train it on the task rgb_colorization"
            )
        self.output, self.width, self.variant = output, width, variant
        encoder, channels = _encoder(*ENCODERS[variant], width)
        first, *skips, deepest = channels
        skips = [first, *skips]
        layers: list[nn.Module] = [
            encoder,
            nn.BatchNorm2d(deepest),
            nn.ReLU(),
            nn.Sequential(_unit(deepest, 2 * deepest), _unit(2 * deepest, deepest)),
        ]
        ups, below = [], deepest
        for number, skip in enumerate(reversed(skips)):
            is_last = number == len(skips) - 1
            if variant == "artistic":
                block: _UpBlock = _DeepBlock(below, skip, is_last=is_last, attention=number == 1)
            else:
                outputs = scale_channels(512 if is_last else 1024, width)
                block = _WideBlock(below, skip, outputs, attention=number == 1)
            layers.append(block)
            ups.append(below := block.outputs)
        if output is not None:
            merged = below + 3
            layers += [
                _PixelShuffle(_WeightNormConv(below, 4 * below)),
                nn.Identity(),  # where the input is laid beside
                _Residual(merged),
                nn.Sequential(_SpectralConv(merged, 3, 1, bias=True)),
            ]
        self.layers = nn.ModuleList(layers)
        self.stages = {"relu": StageSpec(first, 2)} | {
            f"layer{number}": StageSpec(of, 2 ** (number + 1)) for number, of in enumerate(channels[1:], 1)
        }
        self.stages |= {f"up{number}": StageSpec(of, 32 >> number) for number, of in enumerate(ups, 1)}
        for name, values in (("mean", IMAGENET_MEAN), ("std", IMAGENET_STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def run_stages(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        features, skips = (x - self.mean) / self.std, []
        for number, layer in enumerate(self._encoder):
            features = layer(features)
            if number == 2 or number >= 4:
                name = "relu" if number == 2 else f"layer{number - 3}"
                skips.append(features)
                yield name, features
        skips.pop()
        for layer in self.layers[1:4]:
            features = layer(features)
        for number, block in enumerate(self.layers[4:8], start=1):
            features = block(features, skips.pop())
            yield f"up{number}", features

    def classifier_weights(self) -> dict[str, Tensor]:
        """All but the classes of torchvision's `resnet34` or `resnet101`."""
        own = self._encoder.state_dict()
        return {f"{RESNET_MODULES[int(name[0])]}{name[1:]}": tensor for name, tensor in own.items()}

    def start_from_classifier(self, weights: Mapping[str, Tensor]) -> None:
        names = zip(self.classifier_weights(), self._encoder.state_dict(), strict=True)
        own = {name: weights[theirs] for theirs, name in names if theirs in weights}
        self._encoder.load_state_dict(own, strict=False)  # only num_batches_tracked may be missing

    @property
    def _encoder(self) -> nn.Sequential:
        encoder = self.layers[0]
        assert isinstance(encoder, nn.Sequential)
        return encoder

    def forward(
        self, x: Float[Tensor, "batch 1 height width"]
    ) -> Float[Tensor, "batch outputs grid_height grid_width"]:
        """RGB, in [0, 1] and a little beyond, or the last stage."""
        for _, output in self.run_stages(x):
            features = output
        if self.output is None:
            return features
        normalised = (x - self.mean) / self.std
        shuffle, _, residual, last = self.layers[8:]
        features = shuffle(features)
        if features.shape[-2:] != x.shape[-2:]:  # of a side that is odd
            features = features[..., : x.shape[-2], : x.shape[-1]]
        answer = last(residual(torch.cat([features, normalised], dim=1)))
        return (torch.sigmoid(answer) * (2 * RANGE) - RANGE) * self.std + self.mean


def _encoder(kind: str, counts: tuple[int, ...], width: float) -> tuple[nn.Sequential, list[int]]:
    """A ResNet without its end, its modules numbered as `children()` are, and the channels of relu, layer1..layer4."""
    from torchvision.models.resnet import BasicBlock, Bottleneck  # for which other networks need not wait

    block: Any = BasicBlock if kind == "basic" else Bottleneck
    first = scale_channels(64, width)
    modules: list[nn.Module] = [
        nn.Conv2d(3, first, kernel_size=7, stride=2, padding=3, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    ]
    channels, arriving = [first], first
    for number, count in enumerate(counts):
        planes, stride = scale_channels(64 << number, width), 1 if number == 0 else 2
        leaving = planes * block.expansion
        projection = None
        if stride != 1 or arriving != leaving:
            shortcut = _Shortcut(arriving, leaving, stride)
            projection = nn.Sequential(shortcut, nn.BatchNorm2d(leaving))
        blocks = [block(arriving, planes, stride, projection)]
        blocks += [block(leaving, planes) for _ in range(count - 1)]
        modules.append(nn.Sequential(*blocks))
        channels.append(arriving := leaving)
    return nn.Sequential(*modules), channels


def _unit(inputs: int, outputs: int, *, attention: bool = False) -> nn.Sequential:
    more = [SelfAttention(outputs)] if attention else []
    return nn.Sequential(
        _SpectralConv(inputs, outputs, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(outputs), *more
    )


class _SpectralConv(nn.Module):
    """A convolution whose weight is divided by its largest singular value (Miyato et al. 2018).

    The names are those of `torch.nn.utils.spectral_norm`, and so are the numbers: a power iteration for each pass in
    training. The divided weight is no attribute, so that the module can be copied.
    """

    weight_u: Tensor
    weight_v: Tensor

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, bias: bool = False, one_dimensional: bool = False
    ) -> None:
        super().__init__()
        self.padding = kernel // 2
        shape = (outputs, inputs, kernel) if one_dimensional else (outputs, inputs, kernel, kernel)
        if bias:
            self.bias = nn.Parameter(torch.zeros(outputs))
        else:
            self.register_parameter("bias", None)
        self.weight_orig = nn.Parameter(nn.init.kaiming_normal_(torch.empty(shape)))
        u, v = torch.randn(outputs), torch.randn(inputs * kernel ** (len(shape) - 2))
        self.register_buffer("weight_u", F.normalize(u, dim=0, eps=1e-12))
        self.register_buffer("weight_v", F.normalize(v, dim=0, eps=1e-12))

    def forward(self, x: Tensor) -> Tensor:
        matrix = self.weight_orig.flatten(1)
        if self.training:
            with torch.no_grad():
                v = F.normalize(torch.mv(matrix.t(), self.weight_u), dim=0, eps=1e-12)
                self.weight_v.copy_(v)
                self.weight_u.copy_(F.normalize(torch.mv(matrix, v), dim=0, eps=1e-12))
        u, v = self.weight_u.clone(), self.weight_v.clone()
        weight = self.weight_orig / torch.dot(u, torch.mv(matrix, v))
        convolve = F.conv1d if weight.ndim == 3 else F.conv2d
        return convolve(x, weight, self.bias, padding=self.padding)


class _Shortcut(nn.Conv2d):
    """A 1x1 convolution of every `every`-th pixel.

    Not by its stride: oneDNN then writes past its workspace where there are fewer than 16 channels (its issue 6035).
    """

    def __init__(self, inputs: int, outputs: int, every: int) -> None:
        super().__init__(inputs, outputs, kernel_size=1, bias=False)
        self.every = every

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[..., :: self.every, :: self.every])


class _WeightNormConv(nn.Module):
    """A 1x1 convolution whose weight has length and direction of its own (Salimans and Kingma 2016).

    The names are those of `torch.nn.utils.weight_norm`. The four channels of a pixel that is to be shuffled start alike
    (Aitken et al. 2017).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(outputs))
        weight = nn.init.kaiming_normal_(torch.empty(outputs // 4, inputs, 1, 1)).repeat_interleave(4, dim=0)
        self.weight_g = nn.Parameter(weight.flatten(1).norm(dim=1).view(-1, 1, 1, 1))
        self.weight_v = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, torch._weight_norm(self.weight_v, self.weight_g, 0), self.bias)


class _PixelShuffle(nn.Module):
    """Twice the size: of a convolution's channels four become four pixels, and a blur hides their pattern."""

    def __init__(self, *convolution: nn.Module) -> None:
        super().__init__()
        self.conv = nn.Sequential(*convolution)

    def forward(self, x: Tensor) -> Tensor:
        x = F.pixel_shuffle(self.conv(x).relu(), 2)
        return F.avg_pool2d(F.pad(x, (1, 0, 1, 0), mode="replicate"), 2, stride=1)


class SelfAttention(nn.Module):
    """Positions look at each other (Zhang et al. 2019), as fastai has it: the softmax runs over those that look."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.zeros(1))
        self.query, self.key, self.value = (
            _SpectralConv(channels, outputs, 1, one_dimensional=True)
            for outputs in (channels // 8, channels // 8, channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        flat = x.flatten(2)
        looks = F.softmax(torch.bmm(self.query(flat).transpose(1, 2), self.key(flat)), dim=1)
        return (self.gamma * torch.bmm(self.value(flat), looks) + flat).view_as(x)


class _UpBlock(nn.Module):
    """Features twice as large, beside those of the encoder at that size."""

    outputs: int

    def __init__(self, inputs: int, shuffled: int, skip: int) -> None:
        super().__init__()
        self.shuf = _PixelShuffle(_SpectralConv(inputs, 4 * shuffled, 1), nn.BatchNorm2d(4 * shuffled))
        self.bn = nn.BatchNorm2d(skip)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.shuf(x)
        if x.shape[-2:] != skip.shape[-2:]:
            x = F.interpolate(x, skip.shape[-2:], mode="nearest")
        return self.convolve(torch.cat([x, self.bn(skip)], dim=1).relu())

    def convolve(self, x: Tensor) -> Tensor:
        """What follows."""
        raise NotImplementedError


class _DeepBlock(_UpBlock):
    def __init__(self, inputs: int, skip: int, *, is_last: bool, attention: bool) -> None:
        super().__init__(inputs, inputs // 2, skip)
        together = inputs // 2 + skip
        self.outputs = int((together // 2 if is_last else together) * 1.5)
        self.conv1 = _unit(together, self.outputs)
        self.conv2 = _unit(self.outputs, self.outputs, attention=attention)

    def convolve(self, x: Tensor) -> Tensor:
        return self.conv2(self.conv1(x))


class _WideBlock(_UpBlock):
    def __init__(self, inputs: int, skip: int, outputs: int, *, attention: bool) -> None:
        super().__init__(inputs, outputs // 2, skip)
        self.outputs = outputs // 2
        self.conv = _unit(outputs // 2 + skip, self.outputs, attention=attention)

    def convolve(self, x: Tensor) -> Tensor:
        return self.conv(x)


class _Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(_SpectralConv(channels, channels, 3, bias=True), nn.ReLU(inplace=True))
            for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers[1](self.layers[0](x))
