"""Recipes for training segmentation networks, by name."""

from dataclasses import dataclass, replace
from typing import Literal

from transfer.schedule import FrameworkProtocol, Schedule, overridden
from transfer.segmentation.config import SegmentConfig


@dataclass(frozen=True, kw_only=True)
class SegmentationProtocol(FrameworkProtocol):
    """How a segmentation network is trained, and tested: on one image at a time.

    Attributes:
        optimizer: SGD with momentum 0.9, or AdamW.
        lr_drops: shares of the steps after which the learning rate falls to a tenth; None lets it fall as
            (1 - share)^power to `lr_end` times itself.
        weight_decay: of all weights.
        head: `score` is a 1x1 convolution behind dropout, FCN-32s's; `fcn` has two 3x3 convolutions before it, and one
            that sees both them and the stage: mmsegmentation's FCN; `linear` is a BatchNorm and a 1x1 convolution.
        image_size: width and height in pixels within which images are resized; None leaves them as they are.
        crop_size: side in pixels of the training crops; smaller images are filled up, in testing too.
        augmentation: of training: a scale of 0.5 to 2, crops of which no class fills more than 3/4, mirroring, and
            brightness, contrast, saturation and hue; or `none`.
        slides: test images are seen in windows of `crop_size` that overlap by a third, not as a whole.
        test_scales: scales whose answers are averaged, each also mirrored; empty where the image is tested as it is.
        loss: `labelled` averages over the labelled pixels of each image, then over images; `all` over all pixels, of
            which void ones and filling count as 0.
    """

    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr_drops: tuple[float, ...] | None = None
    power: float = 0.9
    lr_end: float = 0.01
    weight_decay: float = 5e-4
    head: Literal["score", "fcn", "linear"] = "fcn"
    image_size: tuple[int, int] | None
    crop_size: int
    augmentation: Literal["jitter", "none"] = "jitter"
    slides: bool = False
    test_scales: tuple[float, ...] = ()
    loss: Literal["labelled", "all"] = "all"

    def recipe(self) -> str:
        seen = "test images in such windows" if self.slides else "test images as a whole"
        return "; ".join(
            [
                self.schedule.in_words("AdamW" if self.optimizer == "adamw" else "SGD"),
                f"weight decay {self.weight_decay:g}",
                f"head {self.head}",
                f"crops of {self.crop_size} px, {seen}",
                f"BatchNorm {'trained' if self.batch_norm == 'train' else 'frozen'}",
            ]
        )

    @property
    def dropout(self) -> float:
        """Share of the channels before the last convolution that a step leaves out."""
        return {"score": 0.5, "fcn": 0.1, "linear": 0.0}[self.head]

    def changes_from(self, published: FrameworkProtocol) -> dict[str, int | float | str]:
        """The user's overrides of the published recipe, which a result names, but for sizes of images."""
        assert isinstance(published, SegmentationProtocol)
        changes = super().changes_from(published)
        if self.head != published.head:
            changes["head"] = self.head
        if self.test_scales:
            changes["test_scales"] = ", ".join(f"{scale:g}" for scale in self.test_scales)
        return changes


_FCN_20K = SegmentationProtocol(
    source="mmsegmentation's FCN on VOC2012, with its schedules of 20k and 40k steps",
    differs="no auxiliary head, and whatever stride the stage has (its ResNets are dilated to stride 8)",
    schedule=Schedule(steps=20_000, batch_size=16, lr=0.01),
    image_size=(2048, 512),
    crop_size=512,
)

SEGMENTATION_PROTOCOLS = {
    # The learning rate, momentum, weight decay and 20 images a step are those of the published solver
    # (voc-fcn-alexnet), which adds up the gradients of whole images, each one's loss over its labelled pixels. A crop
    # of 500 pixels holds every image of VOC.
    "zhang16": SegmentationProtocol(
        source="Zhang, Isola, Efros 2016, section 3.2: the FCN-32s AlexNet of Long et al. 2015 for 150k steps, a tenth "
        "every 50k",
        differs="dropout drops whole channels, and only before the last convolution; biases have the learning rate and "
        "weight decay of the weights; images are not padded by 100 pixels",
        schedule=Schedule(steps=150_000, batch_size=20, lr=1e-4),
        lr_drops=(1 / 3, 2 / 3),
        batch_norm="frozen",
        head="score",
        image_size=None,
        crop_size=500,
        augmentation="none",
        loss="labelled",
    ),
    "fcn_20k": _FCN_20K,
    "fcn_40k": replace(_FCN_20K, schedule=replace(_FCN_20K.schedule, steps=40_000)),
    "dinov2_linear": SegmentationProtocol(
        source="DINOv2, Oquab et al. 2023, section 7.4, and its released configuration of ADE20K: a linear layer on "
        "the last block, or with `stages` on the last four",
        differs="images are not filled up to multiples of a patch",
        schedule=Schedule(steps=40_000, batch_size=16, lr=1e-3, warmup_steps=1500),
        optimizer="adamw",
        power=1.0,
        lr_end=0.0,
        weight_decay=1e-4,
        head="linear",
        image_size=(2048, 512),
        crop_size=512,
        slides=True,
    ),
    "plain": SegmentationProtocol(
        source="this project: a short recipe for small images and few of them",
        schedule=Schedule(steps=2000, batch_size=8, lr=0.01),
        image_size=(1024, 256),
        crop_size=224,
    ),
}


def resolve_protocol(config: SegmentConfig) -> SegmentationProtocol:
    """The protocol that `config` names, with the user's values.

    Raises:
        ValueError: as `overridden` does; a linear head on a backbone that is trained; several stages for another head.
    """
    protocol = _overridden(config)
    if protocol.head == "linear" and config.train_from != "head":
        raise ValueError(
            f"a linear head probes a frozen backbone, but train_from is {config.train_from!r}; give --train_from head"
        )
    if config.stages is not None and protocol.head != "linear":
        raise ValueError(f"stages are for a linear head, and this one is {protocol.head!r}; give --stage")
    if config.test_scales is not None and min(config.test_scales, default=0) <= 0:
        raise ValueError(
            f"test_scales is {config.test_scales}, expected numbers above 0, such as [0.75, 1, 1.25], or null"
        )
    if config.stages is not None and not config.stages:
        raise ValueError("stages is an empty list; leave it out for the deepest one")
    return protocol


def _overridden(config: SegmentConfig) -> SegmentationProtocol:
    data, published = config.data, SEGMENTATION_PROTOCOLS[config.protocol]
    return overridden(
        replace(published, head=config.head or published.head, test_scales=tuple(config.test_scales or ())),
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
