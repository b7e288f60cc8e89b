"""The networks, by name. A new one is a file in this folder and a line in NETWORKS."""

from pretext.networks.alexnet import AlexNet
from pretext.networks.backbone import Backbone, StageSpec
from pretext.networks.eccv16 import Eccv16
from pretext.networks.resnet import ResNet50
from pretext.networks.siggraph17 import Siggraph17
from pretext.spelling import unknown_name

__all__ = ["NETWORKS", "Backbone", "StageSpec", "build_network"]

NETWORKS: dict[str, type[Backbone]] = {
    "eccv16": Eccv16,
    "siggraph17": Siggraph17,
    "alexnet": AlexNet,
    "resnet50": ResNet50,
}


def build_network(name: str, *, num_bins: int | None, width: float = 1.0) -> Backbone:
    """A freshly initialised network: `num_bins` ab bins to classify into, or None to regress ab / 110.

    Raises:
        ValueError: if there is no network of that name.
    """
    if name not in NETWORKS:
        raise ValueError(unknown_name("network", name, NETWORKS))
    return NETWORKS[name](num_bins=num_bins, width=width)
