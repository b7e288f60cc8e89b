"""Colorization against a critic: how DeOldify's generators are trained after their pre-training (NoGAN)."""

from math import log

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils.parametrizations import spectral_norm

from pretext.networks.backbone import Backbone, StageSpec
from pretext.networks.deoldify import SelfAttention
from pretext.tasks.rgb_colorization import RgbColorization
from pretext.tasks.task import Losses

SMALLEST_CROP = 64  # which the critic's convolutions bring down to one position


class AdversarialColorization(RgbColorization):
    """The distance of `rgb_colorization`, and a critic that learns to tell true colours from the network's.

    In each step the critic learns; the network learns too where the critic's loss is below a threshold, else it waits.
    With DeOldify's `optim.betas` of (0, 0.9) and no weight decay a network that waits stays as it is. It starts from a
    run of `rgb_colorization` (`init`). DeOldify trains the critic alone first, and at five times the rate; here both
    have one rate, and the first steps, until the threshold is reached, are the critic's.

    Args:
        features: see `RgbColorization`.
        content_weight: of the distance, beside the critic's say of 1.
        critic_below: loss of the critic, in nats, below which the network learns; a critic that cannot tell has ln 2,
            0.693.
        critic_channels: of its first convolution.
    """

    loss_names = ("loss", "loss_content", "loss_adversarial", "loss_critic")

    def __init__(
        self,
        features: str | None = None,
        content_weight: float = 2.0,
        critic_below: float = 0.65,
        critic_channels: int = 256,
    ) -> None:
        super().__init__(features)
        self.content_weight, self.critic_below = content_weight, critic_below
        self.critic_channels = critic_channels

    def head(self, stage: StageSpec) -> nn.Module:
        return _critic(self.critic_channels)

    def join(self, network: Backbone, head: nn.Module) -> nn.Module:
        return _Adversaries(network, head)

    def split(
        self, images: UInt8[Tensor, "batch 3 height width"], network: Backbone
    ) -> tuple[Float[Tensor, "batch channels height width"], UInt8[Tensor, "batch 3 height width"]]:
        """What the network sees and behind it the true colours, for the critic; and the images.

        Raises:
            ValueError: the network sees colours, or the images are too small for the critic.
        """
        seen, images = super().split(images, network)
        if min(images.shape[-2:]) < SMALLEST_CROP:
            raise ValueError(
                f"the critic looks at squares of {SMALLEST_CROP} pixels, but the images are {images.shape[-1]} x "
                f"{images.shape[-2]}: give a larger crop_size and image_size"
            )
        return torch.cat([seen, images / 255], dim=1), images

    def losses(  # type: ignore[override]  # several answers
        self, output: dict[str, Tensor], targets: UInt8[Tensor, "batch 3 height width"]
    ) -> Losses:
        """The losses of the network and of the critic, for each image."""
        distances, counted = super().losses(output["rgb"], targets)
        adversarial = _surprise(output["fooled"], is_true=True)
        critic = (_surprise(output["true"], is_true=True) + _surprise(output["false"], is_true=False)) / 2
        network = adversarial + self.content_weight * distances["loss"]
        learns = critic.mean() < self.critic_below
        network = torch.where(learns, network, network.detach())
        losses = {"loss_content": distances["loss"], "loss_adversarial": adversarial, "loss_critic": critic}
        return Losses({"loss": network + critic, **losses}, counted)

    def constant_answer(
        self, learned: Float[Tensor, "3 levels"], asked: Float[Tensor, "3 levels"]
    ) -> dict[str, float]:
        """What a critic loses that cannot tell."""
        return {"constant_answer_critic": log(2)}

    def as_rgb(
        self,
        images: UInt8[Tensor, "batch 3 height width"],
        output: Tensor | dict[str, Tensor],
        network: Backbone,
    ) -> Float[Tensor, "batch 3 height width"]:
        return super().as_rgb(images, output["rgb"] if isinstance(output, dict) else output, network)


class _Adversaries(nn.Module):
    """A network and its critic, which looks at true colours and at the network's."""

    def __init__(self, network: Backbone, critic: nn.Module) -> None:
        super().__init__()
        self.network, self.critic = network, critic

    def forward(self, x: Float[Tensor, "batch channels height width"]) -> dict[str, Tensor]:
        """RGB, and the critic's logits of being true: of `true` and `false` colours, from which it learns, and as it
        stands of the latter (`fooled`), from which the network does.
        """
        seen, truth = x[:, :-3], x[:, -3:]
        rgb = self.network(seen)
        as_it_stands = {name: parameter.detach() for name, parameter in self.critic.named_parameters()}
        return {
            "rgb": rgb,
            "true": self.critic(truth),
            "false": self.critic(rgb.detach()),
            "fooled": functional_call(self.critic, as_it_stands, (rgb,)),
        }


def _critic(channels: int) -> nn.Sequential:
    """DeOldify's critic: one logit of an image of 64 pixels, of larger ones another every 16 pixels."""
    layers = [*_unit(3, channels, kernel=4, stride=2), nn.Dropout2d(0.075)]
    for level in range(3):
        layers += [
            *_unit(channels, channels),
            nn.Dropout2d(0.15),
            *_unit(channels, 2 * channels, kernel=4, stride=2),
        ]
        channels *= 2
        if level == 0:
            layers.append(SelfAttention(channels))
    last = spectral_norm(nn.Conv2d(channels, 1, kernel_size=4, bias=False))
    return nn.Sequential(*layers, *_unit(channels, channels), last)


def _unit(arriving: int, channels: int, *, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(arriving, channels, kernel, stride=stride, padding=1)
    return [spectral_norm(convolution), nn.LeakyReLU(0.2)]


def _surprise(logits: Float[Tensor, "batch 1 rows columns"], *, is_true: bool) -> Float[Tensor, " batch"]:
    """Cross-entropy of the critic's answer, for each image."""
    logits = logits.float().flatten(1)
    return F.binary_cross_entropy_with_logits(
        logits, torch.full_like(logits, float(is_true)), reduction="none"
    ).mean(dim=1)
