"""The U-Net of Nguyen-Quynh, Kim and Do (2020), whose heads name colours, objects and scenes."""

from collections.abc import Iterator
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from pretext.networks.backbone import Backbone, Output, StageSpec, output_layer, scale_channels
from pretext.networks.initialisation import initialise
from pretext.spelling import unknown_name

ENCODER = (64, 128, 256, 512, 1024)  # channels at strides 1, 2, 4, 8 and 16
BOTTLENECK = f"conv{len(ENCODER)}"
FULL_RESOLUTION = ("bins", "ab", "segments")


class SceneContext(Backbone):
    """A U-Net of strided convolutions down to stride 16 and nearest-neighbour upsampling back to full resolution.

    After the code of the first author (prlab_image_colorization, 2020), not the paper, whose text was not at hand. A
    unit is some convolutions of 3x3, ReLU behind each, and one BatchNorm at its end. On the last 64 channels lie the
    heads of full resolution, convolutions of 1x1; that of scenes looks at the mean of the bottleneck through a hidden
    layer, and nothing of it flows back. It sees (L - 50) / 100, as the networks of Zhang et al. do.

    Stages conv1..conv5 are the encoder's units, conv6..conv9 the decoder's, at strides 8, 4, 2 and 1. Any size will do.

    Args:
        output: a number of ab bins, "ab" (tanh: ab / 110), or None; or several heads by name with their channels, of
            `bins`, `ab` (2), `segments` (classes of pixels) and `scenes` (classes of images). The authors have 313, 2,
            183 and 365.
        width: factor on every hidden channel count.

    Raises:
        ValueError: a head of another name.
    """

    normalisation = "(L - 50) / 100"
    lightness_scale = 100.0

    def __init__(self, output: Output = 313, width: float = 1.0) -> None:
        super().__init__()
        self.output, self.width = output, width
        encoder = [scale_channels(channels, width) for channels in ENCODER]
        decoder = encoder[-2::-1]
        self.stages = {}
        self.conv1 = _unit(1, encoder[0], encoder[0])
        for number, (arriving, channels) in enumerate(pairwise(encoder), start=2):
            # The bottleneck halves with its last convolution, the others with their first.
            strides = (1, 2) if f"conv{number}" == BOTTLENECK else (2, 1)
            self.add_module(f"conv{number}", _unit(arriving, channels, channels, strides=strides))
        for number, (arriving, channels) in enumerate(
            pairwise([encoder[-1], *decoder]), start=len(encoder) + 1
        ):
            self.add_module(f"up{number}", _unit(arriving, channels))
            self.add_module(f"conv{number}", _unit(2 * channels, channels, channels))
        strides_of = [2**level for level in (0, 1, 2, 3, 4, 3, 2, 1, 0)]
        for number, (channels, stride) in enumerate(zip(encoder + decoder, strides_of, strict=True), start=1):
            self.stages[f"conv{number}"] = StageSpec(channels, stride)
        self.heads = nn.ModuleDict(
            {name: self._head(name, channels, encoder) for name, channels in _heads(output).items()}
        )
        initialise(self, nn.Identity())
        for head in self.heads.values():
            if isinstance(head, nn.Conv2d):  # nearly silent, as `initialise` has it of an only head
                nn.init.normal_(head.weight, std=0.1 / head.in_channels**0.5)

    def _head(self, name: str, channels: int, encoder: list[int]) -> nn.Module:
        if name in FULL_RESOLUTION:
            return output_layer(encoder[0], channels)
        hidden = encoder[-1]
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, channels),
        )

    def run_stages(self, x: Tensor) -> Iterator[tuple[str, Tensor]]:
        features = self.normalise(x)
        encoded = []
        for number in range(1, len(ENCODER) + 1):
            features = self.get_submodule(f"conv{number}")(features)
            encoded.append(features)
            yield f"conv{number}", features
        finer = reversed(encoded[:-1])
        for number, shortcut in enumerate(finer, start=len(ENCODER) + 1):
            upsampled = self.get_submodule(f"up{number}")(F.interpolate(features, scale_factor=2.0))
            height, width = shortcut.shape[-2:]  # odd sides were rounded up on the way down
            joined = torch.cat([upsampled[..., :height, :width], shortcut], dim=1)
            features = self.get_submodule(f"conv{number}")(joined)
            yield f"conv{number}", features

    def forward(  # type: ignore[override]  # several heads have several answers
        self, x: Float[Tensor, "batch 1 height width"]
    ) -> Tensor | dict[str, Tensor]:
        """The answer of the only head, those of several by name, or the last stage.

        Logits and ab / 110 have the height and width of `x`, the logits of scenes are (batch, scenes).
        """
        for name, features in self.run_stages(x):
            if name == BOTTLENECK:
                bottleneck = features
        if self.output is None:
            return features
        answers = {
            name: head(features if name in FULL_RESOLUTION else bottleneck)
            for name, head in self.heads.items()
        }
        if "ab" in answers:
            answers["ab"] = answers["ab"].tanh()
        return answers if isinstance(self.output, dict) else next(iter(answers.values()))


def _heads(output: Output) -> dict[str, int]:
    """The heads by name, with their channels; raises ValueError for one that there is not."""
    if isinstance(output, dict):
        for name in output:
            if name not in (*FULL_RESOLUTION, "scenes"):
                raise ValueError(unknown_name("head", name, (*FULL_RESOLUTION, "scenes")))
        return output
    if isinstance(output, int):
        return {"bins": output}
    if output in ("ab", None):
        return {"ab": 2} if output else {}
    raise ValueError(
        f"scene_context answers ab or bins of it, so its output is not {output!r}; train it on the task "
        "scene_context_colorization"
    )


def _unit(arriving: int, *channels: int, strides: tuple[int, ...] = (1, 1)) -> nn.Sequential:
    layers: list[nn.Module] = []
    for count, stride in zip(channels, strides, strict=False):
        layers += [nn.Conv2d(arriving, count, kernel_size=3, padding=1, stride=stride), nn.ReLU(inplace=True)]
        arriving = count
    return nn.Sequential(*layers, nn.BatchNorm2d(arriving))
