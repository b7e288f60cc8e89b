"""Colorization into RGB: how DeOldify's generators are trained before their critic comes."""

from collections.abc import Mapping, Sequence
from math import nan

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor, nn

from pretext.networks.backbone import Backbone, Output
from pretext.rgb_colorizer import USUAL_SIZE, RgbColorizer, rgb_to_yuv, yuv_to_rgb
from pretext.tasks.colorization import psnr
from pretext.tasks.colorizing import ColorizingTask
from pretext.tasks.gallery import draw_gallery
from pretext.tasks.task import Losses, Panel

STD = (0.229, 0.224, 0.225)  # of ImageNet's RGB
LEVELS = 256


class RgbColorization(ColorizingTask):
    """Regress RGB from luma: L1, in units of ImageNet's standard deviations.

    The first term of DeOldify's generator pre-training; the distance of VGG's features beside it is left out.
    """

    output: Output = "rgb"
    constant_answer_name = "the best single colour"
    panel = Panel(
        "validation PSNR in RGB (dB)",
        {"validation_psnr": "colorized", "validation_psnr_grey": "left grey"},
    )
    std: Float[Tensor, "3 1 1"]

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1), persistent=False)

    def colorizer(self, network: Backbone, size: int | None = None) -> RgbColorizer:
        return RgbColorizer(network, size=USUAL_SIZE if size is None else size)

    def split(
        self, images: UInt8[Tensor, "batch 3 height width"], network: Backbone
    ) -> tuple[Float[Tensor, "batch channels height width"], UInt8[Tensor, "batch 3 height width"]]:
        """What the network sees, and the images.

        Raises:
            ValueError: the network sees colours.
        """
        if network.input not in ("luma", "lightness"):
            raise ValueError(
                f"rgb_colorization gives a grey image its colours, but {type(network).__name__} sees {network.input}; "
                "train deoldify"
            )
        return network.see(images / 255), images

    def losses(
        self,
        output: Float[Tensor, "batch 3 height width"],
        targets: UInt8[Tensor, "batch 3 height width"],
    ) -> Losses:
        """The mean distance of RGB in [0, 1], in deviations, for each image."""
        distance = (output.float() - targets / 255).abs() / self.std
        loss = distance.mean((1, 2, 3))
        return Losses({"loss": loss}, torch.ones_like(loss, dtype=torch.bool))

    def statistics(self, targets: UInt8[Tensor, "batch 3 height width"]) -> Float[Tensor, "3 levels"]:
        """How often each level of R, G and B occurs (float64)."""
        levels = targets.transpose(0, 1).flatten(1).long()
        histogram = torch.zeros(3, LEVELS, dtype=torch.float64, device=targets.device)
        return histogram.scatter_add_(1, levels, torch.ones_like(levels, dtype=torch.float64))

    def constant_answer(
        self, learned: Float[Tensor, "3 levels"], asked: Float[Tensor, "3 levels"]
    ) -> dict[str, float]:
        """The loss on `asked` of the medians of `learned`, both summed statistics."""
        levels = torch.arange(LEVELS, device=learned.device, dtype=torch.float64)
        below = learned.cumsum(1) / learned.sum(1, keepdim=True)
        medians = (below < 0.5).sum(1, keepdim=True)
        distances = (levels - medians).abs() / 255 / self.std[:, :, 0].to(learned)
        return {"constant_answer": ((asked * distances).sum(1) / asked.sum(1)).mean().item()}

    def measure(
        self, images: UInt8[Tensor, "batch 3 height width"], output: Tensor, network: Backbone
    ) -> dict[str, Float[Tensor, "batch"]]:
        """PSNR in dB, in RGB, of the answers with the luma of the images, and of leaving them grey."""
        colorized, grey = (
            torch.from_numpy(
                np.stack([_with_luma_of(image, of) for image, of in zip(truth, answers, strict=True)])
            )
            for truth in [_as_pictures(images)]
            for answers in (_as_pictures((output.float().clamp(0, 1) * 255).byte()), [None] * len(images))
        )
        rgb = images.cpu() / 255
        return {
            name: psnr(pictures.permute(0, 3, 1, 2) / 255, rgb).to(images.device)
            for name, pictures in (("psnr", colorized), ("psnr_grey", grey))
        }

    def describe(self, row: Mapping[str, float]) -> str:
        return (
            f"loss {row.get('validation_loss', nan):.3f} (the best single colour: "
            f"{row.get('validation_constant_answer', nan):.3f}), PSNR {row['validation_psnr']:.2f} dB "
            f"(left grey: {row['validation_psnr_grey']:.2f})"
        )

    def draw(
        self,
        images: UInt8[Tensor, "batch 3 height width"],
        names: Sequence[str],
        title: str,
        network: Backbone,
        head: nn.Module | None,
    ) -> Image.Image:
        """grey | colorized | truth for each image."""
        device = next(network.parameters()).device
        answers = torch.cat(
            [
                (network(network.see(part.to(device) / 255)).clamp(0, 1) * 255).byte().cpu()
                for part in images.split(8)
            ]
        )
        truth = _as_pictures(images)
        columns = {
            "grey": [_with_luma_of(image, None) for image in truth],
            "colorized": [
                _with_luma_of(image, of) for image, of in zip(truth, _as_pictures(answers), strict=True)
            ],
            "truth": list(truth),
        }
        return draw_gallery(
            {name: list(map(Image.fromarray, pictures)) for name, pictures in columns.items()}, names, title
        )


def _as_pictures(
    images: UInt8[Tensor, "batch 3 height width"],
) -> UInt8[np.ndarray, "batch height width 3"]:
    return images.permute(0, 2, 3, 1).cpu().numpy()


def _with_luma_of(
    image: UInt8[np.ndarray, "height width 3"], answer: UInt8[np.ndarray, "height width 3"] | None
) -> UInt8[np.ndarray, "height width 3"]:
    """The answer's colours, or none, on the image's luma."""
    yuv = rgb_to_yuv(image)
    yuv[..., 1:] = 128 if answer is None else rgb_to_yuv(answer)[..., 1:]
    return yuv_to_rgb(yuv)
