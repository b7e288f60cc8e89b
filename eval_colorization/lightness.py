"""Whether a colorized picture shows the photograph that it is compared with: colorization keeps the lightness.

The measure and its bound were chosen on 1,500 photographs, short side 128 pixels. The correlation fell below 0.9

- never after JPEG at quality 30, reducing to a quarter, enlarging, noise, a shift by half a pixel, a gamma of 0.7 or
  1.4, halving the contrast, or taking the ab channels of another photograph, clipped to the gamut;
- for 0.3 % after taking the chroma of another photograph at the same luma, as a system that works in YUV might;
- for every other photograph (0.77 at most), black picture and negative, 99.5 % of the pictures turned by 90 or 180
  degrees, and 95 % of those mirrored: the rest are nearly symmetrical.
"""

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from eval_colorization.squares import Box
from pretext.color.lab import rgb_to_lab
from pretext.images.crops import to_tensor

SAME_PICTURE = 0.9
GRID = 16
FLAT = 3.0


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
