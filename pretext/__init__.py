"""Learning without labels: the public interface, which is imported when it is used, since it needs torch."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pretext.colorize_files import colorize
    from pretext.images.image_file import BrokenImageError, open_rgb
    from pretext.images.image_source import ImageSource
    from pretext.networks import Backbone, StageSpec, build_network, output_layer
    from pretext.pretrained import Pretrained, load_pretrained
    from pretext.tasks import Colorization, ColorizationRegression, Losses, Panel, Task
    from pretext.training import train

__all__ = [
    "Backbone",
    "BrokenImageError",
    "Colorization",
    "ColorizationRegression",
    "ImageSource",
    "Losses",
    "Panel",
    "Pretrained",
    "StageSpec",
    "Task",
    "build_network",
    "colorize",
    "load_pretrained",
    "open_rgb",
    "output_layer",
    "train",
]

_MODULES = {
    "Backbone": "pretext.networks",
    "BrokenImageError": "pretext.images.image_file",
    "Colorization": "pretext.tasks",
    "ColorizationRegression": "pretext.tasks",
    "ImageSource": "pretext.images.image_source",
    "Losses": "pretext.tasks",
    "Panel": "pretext.tasks",
    "Pretrained": "pretext.pretrained",
    "StageSpec": "pretext.networks",
    "Task": "pretext.tasks",
    "build_network": "pretext.networks",
    "colorize": "pretext.colorize_files",
    "load_pretrained": "pretext.pretrained",
    "open_rgb": "pretext.images.image_file",
    "output_layer": "pretext.networks",
    "train": "pretext.training",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
