"""The results of a detector: of its last test, and of its best."""

from collections.abc import Mapping, Sequence
from typing import Any

from transfer.backbone import OpenedBackbone
from transfer.config import DetectConfig
from transfer.detection.annotated import DetectionImages
from transfer.detection.data import data_name
from transfer.detection.protocols import DETECTION_PROTOCOLS, DetectionProtocol
from transfer.frameworks import module_version
from transfer.results import Record, last_and_best, package_versions
from transfer.schedule import Schedule, settings


def detection_records(
    config: DetectConfig,
    protocol: DetectionProtocol,
    schedule: Schedule,
    backbone: OpenedBackbone,
    detector: str,
    train: Sequence[DetectionImages],
    test: DetectionImages,
    rows: Sequence[Mapping[str, Any]],
) -> list[Record]:
    """For each metric a record of the last test, and one of that with the highest value, the first of equals.

    Args:
        detector: and what it looks at, such as `dc5 conv7`.
        rows: of `PeriodicEvaluation`.
    """
    published = DETECTION_PROTOCOLS[config.protocol]
    details = {
        "train_images": sum(len(images.images) for images in train),
        "train_boxes": sum(sum(images.boxes_by_class().values()) for images in train),
        "test_images": len(test.images),
        "test_boxes": sum(test.boxes_by_class().values()),
        "notes": [note for images in (*train, test) for note in images.notes()],
    }
    return last_and_best(
        rows,
        [name for name in rows[-1] if name != "step"],
        details,
        task="detect",
        data=data_name(config.data),
        protocol=_described(config, protocol, published, detector),
        backbone=backbone.name,
        weights=backbone.sha256,
        stage=config.train_from,
        seed=config.seed,
        settings=settings(schedule, protocol.batch_norm, published),
        versions=package_versions() | {"detectron2": module_version("detectron2")},
    )


def _described(
    config: DetectConfig, protocol: DetectionProtocol, published: DetectionProtocol, detector: str
) -> str:
    """Such as `moco_24k, c4 layer3`, or `plain, dc5 conv7, Fast R-CNN, 320 px` where the user chose so."""
    parts = [config.protocol, detector]
    if config.data.train_proposals is not None:
        parts.append("Fast R-CNN")
    sizes = (protocol.image_sizes, protocol.test_image_size, protocol.max_image_size)
    if sizes != (published.image_sizes, published.test_image_size, published.max_image_size):
        parts.append(f"{protocol.test_image_size} px")
    return ", ".join(parts)
