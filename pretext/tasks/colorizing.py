"""What all tasks have in common whose networks colorize, in whichever colours they answer."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from math import isnan, nan
from typing import Any

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from pretext.colorizer import to_8_bits
from pretext.networks.backbone import Backbone
from pretext.picture_colorizer import PictureColorizer
from pretext.tasks.gallery import draw_gallery
from pretext.tasks.task import Panel, Task


class ColorizingTask(Task):
    """A task whose network colorizes.

    Samples may have more channels behind those of RGB.

    Attributes:
        loss_digits: of the losses, behind the point, in the line of text about a validation.
    """

    panel = Panel(
        "validation PSNR in RGB (dB)",
        {"validation_psnr": "colorized", "validation_psnr_grey": "left grey"},
    )
    loss_digits: int = 3

    @abstractmethod
    def colorizer(self, network: Backbone, size: int | None = None) -> PictureColorizer:
        """What colorizes pictures with `network`, as this task decodes its answers; None takes the usual size."""

    @abstractmethod
    def as_rgb(
        self, images: UInt8[Tensor, "batch 3 height width"], output: Any, network: Backbone
    ) -> Float[Tensor, "batch 3 height width"]:
        """RGB in [0, 1] of images of which the network answers `output`."""

    @abstractmethod
    def left_grey(
        self, images: UInt8[Tensor, "batch 3 height width"], network: Backbone
    ) -> Float[Tensor, "batch 3 height width"]:
        """RGB in [0, 1] of images without their colours."""

    def measure(
        self, images: UInt8[Tensor, "batch channels height width"], output: Any, network: Backbone
    ) -> dict[str, Float[Tensor, "batch"]]:
        """PSNR in dB, in RGB, of the colorized images, and of leaving them grey."""
        pictures = images[:, :3]
        return {
            "psnr": psnr(self.as_rgb(pictures, output, network), pictures / 255),
            "psnr_grey": psnr(self.left_grey(pictures, network), pictures / 255),
        }

    def describe(self, row: Mapping[str, float]) -> str:
        # Without an image that can be read there are no numbers.
        loss, answer, psnr_colorized, psnr_grey = (
            row.get(f"validation_{name}", nan) for name in ("loss", "constant_answer", "psnr", "psnr_grey")
        )
        beside = "" if isnan(answer) else f" ({self.constant_answer_name}: {answer:.{self.loss_digits}f})"
        return f"loss {loss:.{self.loss_digits}f}{beside}, PSNR {psnr_colorized:.2f} dB (left grey: {psnr_grey:.2f})"

    def draw(
        self,
        images: UInt8[Tensor, "batch channels height width"],
        names: Sequence[str],
        title: str,
        network: Backbone,
        head: nn.Module | None,
    ) -> Image.Image:
        """grey | colorized | truth for each image."""
        images = images[:, :3]
        device = next(network.parameters()).device
        colorized = []
        for part in images.split(8):
            there = part.to(device)
            output = network(network.see(there / 255))
            colorized.append(to_8_bits(self.as_rgb(there, output, network)).cpu())
        columns = {
            "grey": to_8_bits(self.left_grey(images, network)),
            "colorized": torch.cat(colorized),
            "truth": images,
        }
        return draw_gallery({name: as_pictures(rgb) for name, rgb in columns.items()}, names, title)


def as_pictures(rgb: UInt8[Tensor, "batch 3 height width"]) -> list[Image.Image]:
    """Images as PIL's."""
    return [Image.fromarray(pixels) for pixels in rgb.permute(0, 2, 3, 1).contiguous().cpu().numpy()]


def psnr(
    image: Float[Tensor, "batch 3 height width"], truth: Float[Tensor, "batch 3 height width"]
) -> Float[Tensor, " batch"]:
    """Peak signal-to-noise ratio in dB of RGB in [0, 1], for each image; at most 100 (equal images)."""
    return -10 * (image - truth).square().mean(dim=(1, 2, 3)).clamp_min(1e-10).log10()
