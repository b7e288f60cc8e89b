"""Whether a checkpoint may be gone on from."""

from collections.abc import Mapping
from typing import Any

from transfer.backbone import OpenedBackbone
from transfer.config import FinetuneConfig, LinearConfig
from transfer.detection.config import DetectConfig
from transfer.segmentation.config import SegmentConfig


def refuse_another(
    state: Mapping[str, Any],
    config: LinearConfig | FinetuneConfig | DetectConfig | SegmentConfig,
    backbone: OpenedBackbone,
    num_images: int,
) -> None:
    """Raises ValueError if a checkpoint began from other weights or is of other data."""
    if state["backbone"] != backbone.sha256:
        raise ValueError(
            f"{config.backbone.model} has other weights now than when {config.out} was begun; restore them, or begin "
            "a new out folder"
        )
    if state["num_images"] != num_images:
        raise ValueError(
            f"{config.data.train} gave {state['num_images']} training images when {config.out} was begun and gives "
            f"{num_images} now; restore it, or begin a new out folder"
        )
