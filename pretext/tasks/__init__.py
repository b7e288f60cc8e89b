"""The pretext tasks, by name. A new one is a file in this folder and a line in TASKS, or `module:Name`."""

from collections.abc import Mapping
from typing import Any

from pretext.outside import construct, look_up
from pretext.tasks.adversarial_colorization import AdversarialColorization
from pretext.tasks.colorization import Colorization, ColorizationRegression
from pretext.tasks.cross_channel import LightnessPrediction, SplitBrain
from pretext.tasks.hinted_colorization import HintedColorization
from pretext.tasks.hue_chroma_colorization import HueChromaColorization
from pretext.tasks.patches import Jigsaw, RelativePosition
from pretext.tasks.reconstruction import Autoencoder, Inpainting
from pretext.tasks.rgb_colorization import RgbColorization
from pretext.tasks.rotation import Rotation
from pretext.tasks.scene_context_colorization import SceneContextColorization
from pretext.tasks.task import Losses, Panel, Task
from pretext.tasks.uv_colorization import UvColorization
from pretext.tasks.views import SimCLR, VICReg

__all__ = ["TASKS", "Colorization", "ColorizationRegression", "Losses", "Panel", "Task", "build_task"]

TASKS: dict[str, type[Task]] = {
    "colorization": Colorization,
    "colorization_regression": ColorizationRegression,
    "hinted_colorization": HintedColorization,
    "rgb_colorization": RgbColorization,
    "adversarial_colorization": AdversarialColorization,
    "uv_colorization": UvColorization,
    "hue_chroma_colorization": HueChromaColorization,
    "scene_context_colorization": SceneContextColorization,
    "lightness_prediction": LightnessPrediction,
    "split_brain": SplitBrain,
    "autoencoder": Autoencoder,
    "inpainting": Inpainting,
    "rotation": Rotation,
    "relative_position": RelativePosition,
    "jigsaw": Jigsaw,
    "simclr": SimCLR,
    "vicreg": VICReg,
}


def build_task(name: str, args: Mapping[str, Any]) -> Task:
    """The task of that name in TASKS, or `module:Name` of your own.

    Args:
        args: arguments of its constructor.

    Raises:
        ValueError: there is no such task, or it does not take these arguments.
    """
    return construct("task", name, look_up("task", name, TASKS), args)
