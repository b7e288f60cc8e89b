"""What features are worth: the public interface, which is imported when it is used, since it needs torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transfer.backbone import LiveBackbone, OpenedBackbone, frozen, open_backbone
    from transfer.config import BackboneConfig, DataConfig
    from transfer.data.labelled import LabelledImages, label_images
    from transfer.results import Record

__all__ = [
    "BackboneConfig",
    "DataConfig",
    "LabelledImages",
    "LiveBackbone",
    "OpenedBackbone",
    "Record",
    "frozen",
    "label_images",
    "open_backbone",
]

_MODULES = {
    "LiveBackbone": "transfer.backbone",
    "OpenedBackbone": "transfer.backbone",
    "frozen": "transfer.backbone",
    "open_backbone": "transfer.backbone",
    "BackboneConfig": "transfer.config",
    "DataConfig": "transfer.config",
    "LabelledImages": "transfer.data.labelled",
    "label_images": "transfer.data.labelled",
    "Record": "transfer.results",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
