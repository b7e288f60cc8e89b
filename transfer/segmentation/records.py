"""The results of a segmentation network: of its last test, and of its best."""

from collections.abc import Mapping, Sequence
from typing import Any

from transfer.backbone import OpenedBackbone
from transfer.config import SegmentConfig
from transfer.frameworks import module_version
from transfer.results import Record, last_and_best, package_versions
from transfer.schedule import settings
from transfer.segmentation.data import SegmentationImages, data_name
from transfer.segmentation.evaluation import METRICS
from transfer.segmentation.protocols import SEGMENTATION_PROTOCOLS, described, resolve_protocol


def segmentation_records(
    config: SegmentConfig,
    backbone: OpenedBackbone,
    stage: str,
    train: Sequence[SegmentationImages],
    test: SegmentationImages,
    rows: Sequence[Mapping[str, Any]],
) -> list[Record]:
    """For each metric a record of the last test, and one of that with the highest value, the first of equals.

    Args:
        rows: of `PeriodicEvaluation`.
    """
    details = {
        "train_images": sum(len(images.images) for images in train),
        "test_images": len(test.images),
        "classes": len(test.shown_classes),
        "notes": [note for images in (*train, test) for note in images.notes()],
    }
    protocol, schedule = resolve_protocol(config)
    versions = package_versions() | {name: module_version(name) for name in ("mmseg", "mmengine", "mmcv")}
    return last_and_best(
        rows,
        METRICS,
        details,
        task="segment",
        data=data_name(config.data),
        protocol=described(config, stage),
        backbone=backbone.name,
        weights=backbone.sha256,
        stage=config.train_from,
        seed=config.seed,
        settings=settings(schedule, protocol.batch_norm, SEGMENTATION_PROTOCOLS[config.protocol]),
        versions=versions,
    )
