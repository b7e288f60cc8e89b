"""The networks, by name. A new one is a file in this folder and a line in NETWORKS, `timm:NAME`, or `module:Name`."""

from collections.abc import Mapping
from inspect import signature
from typing import Any

from pretext.networks.alexnet import AlexNet
from pretext.networks.backbone import Backbone, Output, StageSpec, output_layer
from pretext.networks.dahl import Dahl
from pretext.networks.deoldify import DeOldify
from pretext.networks.eccv16 import Eccv16
from pretext.networks.larsson import Larsson
from pretext.networks.resnet import ResNet50
from pretext.networks.scene_context import SceneContext
from pretext.networks.siggraph17 import Siggraph17
from pretext.networks.split_brain import SplitBrainNetwork
from pretext.networks.timm_network import TimmNetwork
from pretext.outside import construct, look_up

__all__ = ["NETWORKS", "TIMM", "Backbone", "Output", "StageSpec", "build_network", "output_layer"]

TIMM = "timm:"

NETWORKS: dict[str, type[Backbone]] = {
    "eccv16": Eccv16,
    "siggraph17": Siggraph17,
    "alexnet": AlexNet,
    "resnet50": ResNet50,
    "split_brain": SplitBrainNetwork,
    "deoldify": DeOldify,
    "dahl": Dahl,
    "larsson": Larsson,
    "scene_context": SceneContext,
}


def build_network(
    name: str, *, output: Output, width: float = 1.0, args: Mapping[str, Any] | None = None
) -> Backbone:
    """A freshly initialised network.

    Args:
        name: in NETWORKS, `timm:NAME`, or `module:Name` of your own.
        output: the number of ab bins to classify into, "ab" to regress ab / 110, several heads by name, or None
            for the stages alone.
        width: factor on every hidden channel count; a network without this argument has only the width 1.
        args: further arguments of the network's constructor, such as what it sees: input `lightness`, `luma`,
            `intensity`, `ab`, `lab` or `rgb`.

    Raises:
        ValueError: there is no network of that name, or it does not take these arguments.
    """
    args = args or {}
    cls: type[Backbone]
    if name.startswith(TIMM):
        cls, args = TimmNetwork, {"architecture": name.removeprefix(TIMM), **args}
    elif name.startswith("torchvision:"):
        raise ValueError(f"{name} is not trained here; timm has torchvision's networks: give {TIMM}NAME")
    else:
        cls = look_up("network", name, NETWORKS)
    sizes = {"width": width} if width != 1 or "width" in signature(cls).parameters else {}
    return construct("network", name, cls, {"output": output, **sizes, **args})
