"""How a photograph and its colorized picture are compared: which square of each, and whether they show the same thing.

Colorization keeps the lightness, so the correlation of the two lightnesses tells. The measure and its bound were chosen
on 1,500 photographs, short side 128 pixels. The correlation fell below 0.9

- never after JPEG at quality 30, reducing to a quarter, enlarging, noise, a shift by half a pixel, a gamma of 0.7 or
  1.4, halving the contrast, or taking the ab channels of another photograph, clipped to the gamut;
- for 0.3 % after taking the chroma of another photograph at the same luma, as a system that works in YUV might;
- for every other photograph (0.77 at most), black picture and negative, 99.5 % of the pictures turned by 90 or 180
  degrees, and 95 % of those mirrored: the rest are nearly symmetrical.
"""

import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from eval_colorization.config import Protocol
from pretext.color.lab import rgb_to_lab
from pretext.images.crops import resized_box, to_tensor

Box = tuple[float, float, float, float]

COMPARED = {"central_crop": "the central square", "resize": "the whole photograph squeezed into a square"}
SAME_PICTURE = 0.9
GRID = 16
FLAT = 3.0


def compared_box(image: Image.Image, protocol: Protocol) -> Box:
    """What of a picture is compared: left, top, right and bottom in pixels."""
    if protocol == "resize":
        return 0.0, 0.0, float(image.width), float(image.height)
    side = float(min(image.size))
    left, top = (image.width - side) / 2, (image.height - side) / 2
    return left, top, left + side, top + side


def compared_square(image: Image.Image, size: int, protocol: Protocol) -> UInt8[Tensor, "3 size size"]:
    """The part of an RGB picture that is compared, resized to `size` x `size`; in 0..255."""
    return to_tensor(resized_box(image, compared_box(image, protocol), size))


def describe_resizing(protocol: Protocol) -> str:
    """The filter, and what it is applied to."""
    return f"Pillow bilinear, antialiased, of {COMPARED[protocol]}"


def lightness_grid(image: Image.Image, box: Box | None = None) -> Float[Tensor, "256"]:
    """CIE L, in 0..100, of the means over 16 x 16 equal cells of an RGB picture or of its `box`."""
    cells = image.resize((GRID, GRID), Image.Resampling.BOX, box=box)
    return rgb_to_lab(to_tensor(cells) / 255)[0].flatten()


def lightness_correlation(one: Float[Tensor, "cells"], other: Float[Tensor, "cells"]) -> float:
    """Pearson's correlation of two lightness grids, in [-1, 1]; a change of brightness or contrast does not lower it.

    1 where both are flat (standard deviations below 3), since nothing tells them apart; 0 where one alone is constant.
    """
    deviations = [float(grid.std(correction=0)) for grid in (one, other)]
    if max(deviations) < FLAT:
        return 1.0
    if min(deviations) == 0:
        return 0.0
    return float(torch.corrcoef(torch.stack([one, other]))[0, 1])
