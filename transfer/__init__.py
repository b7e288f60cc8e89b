"""What features are worth: the public interface, which is imported when it is used, since it needs torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transfer.backbone import LiveBackbone, OpenedBackbone, frozen, open_backbone
    from transfer.config import BackboneConfig, DataConfig, DownstreamTest
    from transfer.data.labelled import LabelledImages, label_images, open_labelled
    from transfer.detection.run import detect
    from transfer.finetuning.run import finetune
    from transfer.linear_probes.run import linear
    from transfer.linear_svms.run import svm
    from transfer.nearest_neighbours.run import knn
    from transfer.results import Record
    from transfer.segmentation.run import segment

__all__ = [
    "BackboneConfig",
    "DataConfig",
    "DownstreamTest",
    "LabelledImages",
    "LiveBackbone",
    "OpenedBackbone",
    "Record",
    "detect",
    "finetune",
    "frozen",
    "knn",
    "label_images",
    "linear",
    "open_backbone",
    "open_labelled",
    "segment",
    "svm",
]

_MODULES = {
    "LiveBackbone": "transfer.backbone",
    "OpenedBackbone": "transfer.backbone",
    "frozen": "transfer.backbone",
    "open_backbone": "transfer.backbone",
    "BackboneConfig": "transfer.config",
    "DataConfig": "transfer.config",
    "DownstreamTest": "transfer.config",
    "LabelledImages": "transfer.data.labelled",
    "label_images": "transfer.data.labelled",
    "open_labelled": "transfer.data.labelled",
    "Record": "transfer.results",
    "detect": "transfer.detection.run",
    "finetune": "transfer.finetuning.run",
    "knn": "transfer.nearest_neighbours.run",
    "linear": "transfer.linear_probes.run",
    "segment": "transfer.segmentation.run",
    "svm": "transfer.linear_svms.run",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
