"""The gallery: grey | painted | truth, one labelled row an image."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from pretext.color.lab import lab_to_rgb, rgb_to_lab

COLUMNS = ("grey", "painted", "truth")
GAP, BAND = 6, 22  # pixels between pictures, and for a line of text


def grey_of(rgb: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch 3 height width"]:
    """The same lightness without colour, RGB in [0, 1]."""
    lightness = rgb_to_lab(rgb)[:, :1]
    return lab_to_rgb(torch.cat([lightness, torch.zeros_like(lightness).expand(-1, 2, -1, -1)], dim=1))


def draw_gallery(
    truth: Float[Tensor, "batch 3 height width"],
    painted: Float[Tensor, "batch 3 height width"],
    labels: Sequence[str],
    title: str,
    side: int = 192,
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Pictures in three columns with a label under each row, two images abreast.

    Args:
        truth, painted: RGB in [0, 1].
        labels: one a picture.
        title: line above all.
        side: pixels to which each picture is scaled.
    """
    abreast = 2 if len(labels) > 3 else 1
    row_width, row_height = 3 * (side + GAP), side + BAND + GAP
    rows = -(-len(labels) // abreast)
    sheet = Image.new("RGB", (abreast * row_width + (abreast - 1) * 3 * GAP + GAP, 2 * BAND + rows * row_height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    draw.text((GAP, 4), title, fill="black", font=ImageFont.load_default(15))
    for column in range(abreast):
        for position, name in enumerate(COLUMNS):
            left = GAP + column * (row_width + 3 * GAP) + position * (side + GAP)
            draw.text((left, BAND + 2), name, fill="#666666", font=font)
    for index, pictures in enumerate(zip(grey_of(truth), painted, truth, strict=True)):
        left = GAP + (index % abreast) * (row_width + 3 * GAP)
        top = 2 * BAND + (index // abreast) * row_height
        for position, picture in enumerate(pictures):
            sheet.paste(_to_image(picture).resize((side, side), Image.Resampling.BICUBIC), (left + position * (side + GAP), top))
        draw.text((left, top + side + 2), labels[index], fill="black", font=font)
    return np.asarray(sheet)


def _to_image(rgb: Float[Tensor, "3 height width"]) -> Image.Image:
    return Image.fromarray((rgb.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy())
