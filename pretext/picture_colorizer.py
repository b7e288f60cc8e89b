"""What every colorizer of pictures can do, and what those have in common that look at whole pictures."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from pretext.colorizer import require_hints
from pretext.config import Decoding
from pretext.hints import Hint
from pretext.images.image_file import on_white
from pretext.networks.backbone import Backbone


@runtime_checkable
class PictureColorizer(Protocol):
    """Colorizes pictures of any size.

    Attributes:
        network: which does it.
        size: at which colours are predicted, in pixels.
        decoding: how colours come about, for descriptions.
        decodings: that `decode_by` takes.
    """

    network: Backbone
    size: int

    @property
    def decoding(self) -> str: ...

    @property
    def decodings(self) -> tuple[Decoding, ...]: ...

    def decode_by(self, decoding: Decoding) -> None:
        """Decode the network's answers so from now on. Raises ValueError if it is not one of `decodings`."""
        ...

    def __call__(self, image: Image.Image, hints: Sequence[Hint] = ()) -> Image.Image:
        """Colorize `image` (RGB or RGBA): same size and mode. Raises ValueError for hints that are not taken."""
        ...

    def look(
        self, frames: UInt8[np.ndarray, "frames height width 3"]
    ) -> tuple[Float[Tensor, "frames 1 rows columns"], Float[Tensor, "frames 2 rows columns"]]:
        """Lightness and ab of some pictures where their colours are predicted."""
        ...


class WholePictureColorizer(ABC):
    """Colorizes pictures with a network that takes no hints.

    Args:
        network: in evaluation mode, on the device where it shall run.
        size: at which colours are predicted, in pixels; the nearest multiple of `multiple` is taken.

    Attributes:
        multiple: sizes are multiples of it.
        decodings: that `decode_by` takes.

    Raises:
        ValueError: a size below 1.
    """

    multiple: int = 1
    decodings: tuple[Decoding, ...] = ()

    def __init__(self, network: Backbone, *, size: int) -> None:
        if size < 1:
            raise ValueError(
                f"the size at which colours are predicted must be at least 1 pixel but is {size}"
            )
        self.network, self.size = network, max(1, round(size / self.multiple)) * self.multiple

    @property
    @abstractmethod
    def decoding(self) -> str:
        """How colours come about, for descriptions."""

    def decode_by(self, decoding: Decoding) -> None:
        """Decode the network's answers so from now on.

        Raises:
            ValueError: it is not one of `decodings`.
        """
        if decoding not in self.decodings:
            network = type(self.network).__name__
            others = f"give {' or '.join(self.decodings)}, or " if self.decodings else ""
            raise ValueError(f"{network} answers nothing that is decoded by {decoding}; {others}leave it out")

    @torch.inference_mode()
    def __call__(self, image: Image.Image, hints: Sequence[Hint] = ()) -> Image.Image:
        """Colorize `image` (RGB or RGBA): same size and mode, alpha kept.

        Raises:
            ValueError: there are hints.
        """
        if hints:
            require_hints(self.network)
        if image.mode not in ("RGB", "RGBA"):
            image = image.convert("RGB")
        result = Image.fromarray(self.colorized(on_white(image)))
        if image.mode == "RGBA":
            result.putalpha(image.getchannel("A"))
        return result

    @abstractmethod
    def colorized(self, image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
        """The colorized RGB picture."""

    def as_tensor(
        self, pictures: UInt8[np.ndarray, "batch height width 3"]
    ) -> Float[Tensor, "batch 3 height width"]:
        """RGB in [0, 1], where the network is."""
        device = next(self.network.parameters()).device
        return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2) / 255


def as_picture(rgb: UInt8[Tensor, "1 3 height width"]) -> UInt8[np.ndarray, "height width 3"]:
    """The only image of a batch."""
    return rgb[0].permute(1, 2, 0).cpu().numpy()
