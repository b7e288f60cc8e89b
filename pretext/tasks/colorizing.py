"""What all tasks have in common whose networks colorize, in whichever colours they answer."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from pretext.hints import Hint
from pretext.networks.backbone import Backbone
from pretext.tasks.task import Task


@runtime_checkable
class PictureColorizer(Protocol):
    """Colorizes pictures of any size.

    Attributes:
        network: which does it.
        size: at which colours are predicted, in pixels.
        decoding: how colours come about, for descriptions.
    """

    network: Backbone
    size: int

    @property
    def decoding(self) -> str: ...

    def __call__(self, image: Image.Image, hints: Sequence[Hint] = ()) -> Image.Image:
        """Colorize `image` (RGB or RGBA): same size and mode. Raises ValueError for hints that are not taken."""
        ...

    def look(
        self, frames: UInt8[np.ndarray, "frames height width 3"]
    ) -> tuple[Float[Tensor, "frames 1 rows columns"], Float[Tensor, "frames 2 rows columns"]]:
        """Lightness and ab of some pictures where their colours are predicted."""
        ...


class ColorizingTask(Task):
    """A task whose network colorizes."""

    @abstractmethod
    def colorizer(self, network: Backbone, size: int | None = None) -> PictureColorizer:
        """What colorizes pictures with `network`, as this task decodes its answers; None takes the usual size."""
