"""Recipes for training segmentation networks, by name."""

from dataclasses import dataclass
from typing import Literal

from transfer.schedule import FrameworkProtocol, Schedule, overridden
from transfer.segmentation.config import SegmentConfig


@dataclass(frozen=True, kw_only=True)
class SegmentationProtocol(FrameworkProtocol):
    """How an FCN is trained, by SGD with momentum 0.9, and tested: on whole images, one at a time.

    Attributes:
        lr_drops: shares of the steps after which the learning rate falls to a tenth; None lets it fall as
            (1 - share)^0.9 to a hundredth.
        weight_decay: of all weights.
        head: `score` is a 1x1 convolution behind dropout, FCN-32s's; `fcn` has two 3x3 convolutions before it, and one
            that sees both them and the stage: mmsegmentation's FCN.
        image_size: width and height in pixels within which images are resized; None leaves them as they are.
        crop_size: side in pixels of the training crops; smaller images are filled up, in testing too.
        augmentation: of training: a scale of 0.5 to 2, crops of which no class fills more than 3/4, mirroring, and
            brightness, contrast, saturation and hue; or `none`.
        loss: `labelled` averages over the labelled pixels of each image, then over images; `all` over all pixels, of
            which void ones and filling count as 0.
    """

    lr_drops: tuple[float, ...] | None = None
    weight_decay: float = 5e-4
    head: Literal["score", "fcn"] = "fcn"
    image_size: tuple[int, int] | None
    crop_size: int
    augmentation: Literal["jitter", "none"] = "jitter"
    loss: Literal["labelled", "all"] = "all"

    @property
    def dropout(self) -> float:
        """Share of the channels before the last convolution that a step leaves out."""
        return 0.5 if self.head == "score" else 0.1


SEGMENTATION_PROTOCOLS = {
    # Zhang et al. (2016), section 3.2: the FCN-32s AlexNet of Long et al. (2015) for 150k steps, a tenth every 50k. The
    # learning rate, momentum, weight decay and 20 images a step are those of its published solver (voc-fcn-alexnet),
    # which adds up the gradients of whole images, each one's loss over its labelled pixels. Ours: dropout drops whole
    # channels, and only before the last convolution; biases have the learning rate and weight decay of the weights;
    # images are not padded by 100 pixels. A crop of 500 pixels holds every image of VOC.
    "zhang16": SegmentationProtocol(
        schedule=Schedule(steps=150_000, batch_size=20, lr=1e-4),
        lr_drops=(1 / 3, 2 / 3),
        batch_norm="frozen",
        head="score",
        image_size=None,
        crop_size=500,
        augmentation="none",
        loss="labelled",
    ),
    # mmsegmentation's FCN on VOC2012 with its schedule_20k and schedule_40k. Ours: no auxiliary head, and whatever
    # stride the stage has (its ResNets are dilated to stride 8).
    "fcn_20k": SegmentationProtocol(
        schedule=Schedule(steps=20_000, batch_size=16, lr=0.01), image_size=(2048, 512), crop_size=512
    ),
    "fcn_40k": SegmentationProtocol(
        schedule=Schedule(steps=40_000, batch_size=16, lr=0.01), image_size=(2048, 512), crop_size=512
    ),
    # A short recipe of our own, for small images and few of them.
    "plain": SegmentationProtocol(
        schedule=Schedule(steps=2000, batch_size=8, lr=0.01), image_size=(1024, 256), crop_size=224
    ),
}


def resolve_protocol(config: SegmentConfig) -> SegmentationProtocol:
    """The protocol that `config` names, with the user's values; raises ValueError as `overridden` does."""
    data = config.data
    return overridden(
        SEGMENTATION_PROTOCOLS[config.protocol],
        config,
        image_size=data.image_size,
        crop_size=data.crop_size,
    )


def described(config: SegmentConfig, stage: str) -> str:
    """Such as `fcn_20k, conv7`, or `plain, conv7, 128 px crops, images within 320 x 160 px` where the user chose so."""
    published, protocol = SEGMENTATION_PROTOCOLS[config.protocol], resolve_protocol(config)
    parts = [config.protocol, stage]
    if protocol.crop_size != published.crop_size:
        parts.append(f"{protocol.crop_size} px crops")
    if protocol.image_size and protocol.image_size != published.image_size:
        parts.append("images within {} x {} px".format(*protocol.image_size))
    return ", ".join(parts)
