"""Recipes for training detectors, by name."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from transfer.detection.config import DetectConfig
from transfer.schedule import FrameworkProtocol, Schedule, overridden


@dataclass(frozen=True, kw_only=True)
class DetectionProtocol(FrameworkProtocol):
    """How a detector is trained, by SGD with momentum 0.9, and tested.

    Attributes:
        lr_decays: share of the steps that is done -> what the learning rate is multiplied by from there on.
        weight_decay: of all weights but those of normalisation.
        boxes_per_image: drawn for the loss of the box head.
        image_sizes: lengths in pixels to which the short side is resized in training, one of them at random.
        test_image_size: the same in testing.
        max_image_size: what the long side may have.
    """

    lr_decays: Mapping[float, float]
    weight_decay: float
    boxes_per_image: int = 512
    image_sizes: tuple[int, ...]
    test_image_size: int
    max_image_size: int

    def recipe(self) -> str:
        few = (
            f"{self.image_sizes[0]} to {self.image_sizes[-1]}"
            if len(self.image_sizes) > 1
            else self.image_sizes[0]
        )
        return "; ".join(
            [
                self.schedule.in_words("SGD"),
                f"weight decay {self.weight_decay:g}",
                f"short sides of {few} px, {self.test_image_size} in testing",
                f"{self.boxes_per_image} boxes an image",
                f"BatchNorm {'trained' if self.batch_norm == 'train' else 'frozen'}",
            ]
        )


_GOYAL19_VOC07 = DetectionProtocol(
    source="Goyal et al. 2019, their published configurations of Fast R-CNN on ResNet-50 C4; what these leave out has "
    "Detectron's defaults",
    schedule=Schedule(steps=30_000, batch_size=4, lr=2e-3, warmup_steps=500),
    lr_decays={22 / 30: 0.1},
    weight_decay=5e-4,
    boxes_per_image=64,
    batch_norm="frozen",
    image_sizes=(600,),
    test_image_size=600,
    max_image_size=1000,
)

_COCO_1X = DetectionProtocol(
    source="MoCo, He et al. 2020, for COCO, with Detectron2's schedules",
    schedule=Schedule(steps=90_000, batch_size=16, lr=0.02, warmup_steps=1000),
    lr_decays={60 / 90: 0.1, 80 / 90: 0.01},
    weight_decay=1e-4,
    batch_norm="train",
    image_sizes=tuple(range(640, 801, 32)),
    test_image_size=800,
    max_image_size=1333,
)

DETECTION_PROTOCOLS = {
    "zhang16": DetectionProtocol(
        source="Zhang, Isola, Efros 2016, section 3.2, by way of Krahenbuhl et al. 2016: Fast R-CNN with the scales "
        "and solver of Girshick 2015, 150k steps and a tenth every 50k",
        differs="their box head is fc6 and fc7 of the pretrained network, here it is new",
        schedule=Schedule(steps=150_000, batch_size=2, lr=1e-3),
        lr_decays={1 / 3: 0.1, 2 / 3: 0.01},
        weight_decay=5e-4,
        boxes_per_image=64,
        batch_norm="frozen",
        image_sizes=(480, 576, 688, 864, 1200),
        test_image_size=600,
        max_image_size=2000,
    ),
    "goyal19_voc07": _GOYAL19_VOC07,
    "goyal19_voc0712": replace(
        _GOYAL19_VOC07,
        schedule=Schedule(steps=80_000, batch_size=4, lr=2e-3, warmup_steps=500),
        lr_decays={66 / 80: 0.1},
    ),
    "moco_24k": DetectionProtocol(
        source="MoCo, He et al. 2020: their published pascal_voc_R_50_C4_24k",
        schedule=Schedule(steps=24_000, batch_size=16, lr=0.02, warmup_steps=100),
        lr_decays={18 / 24: 0.1, 22 / 24: 0.01},
        weight_decay=1e-4,
        batch_norm="train",
        image_sizes=tuple(range(480, 801, 32)),
        test_image_size=800,
        max_image_size=1333,
    ),
    "coco_1x": _COCO_1X,
    "coco_2x": replace(
        _COCO_1X,
        schedule=replace(_COCO_1X.schedule, steps=180_000),
        lr_decays={120 / 180: 0.1, 160 / 180: 0.01},
    ),
    "plain": DetectionProtocol(
        source="this project: a short recipe for small images and few of them",
        schedule=Schedule(steps=2000, batch_size=8, lr=0.01, warmup_steps=100),
        lr_decays={3 / 4: 0.1},
        weight_decay=1e-4,
        boxes_per_image=128,
        batch_norm="train",
        image_sizes=(224, 240, 256, 272, 288),
        test_image_size=256,
        max_image_size=448,
    ),
}


def resolve_protocol(config: DetectConfig) -> DetectionProtocol:
    """The protocol that `config` names, with the user's values; raises ValueError as `overridden` does."""
    data = config.data
    return overridden(
        DETECTION_PROTOCOLS[config.protocol],
        config,
        image_sizes=data.image_sizes or None,
        test_image_size=data.test_image_size,
        max_image_size=data.max_image_size,
    )


def described(config: DetectConfig, detector: str) -> str:
    """Such as `moco_24k, c4 layer3`, or `plain, dc5 conv7, Fast R-CNN, 320 px` where the user chose so.

    Args:
        detector: and what it looks at, such as `dc5 conv7`.
    """
    published, protocol = DETECTION_PROTOCOLS[config.protocol], resolve_protocol(config)
    parts = [config.protocol, detector]
    if config.masks:
        parts.append("Mask R-CNN")
    if config.data.train_proposals is not None:
        parts.append("Fast R-CNN")
    if any(
        getattr(protocol, key) != getattr(published, key)
        for key in ("image_sizes", "test_image_size", "max_image_size")
    ):
        parts.append(f"{protocol.test_image_size} px")
    return ", ".join(parts)
