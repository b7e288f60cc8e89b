"""Which images a report shows, and their pictures."""

from collections.abc import Sequence

import numpy as np
import torch

from eval_colorization.comparison import Comparison
from eval_colorization.images import read_batch
from eval_colorization.methods import on_device
from eval_colorization.results import CONTROLS, GalleryImage, Results

CHOSEN_BY = "ciede2000"
"""A colour difference made for eyes, defined for every method and image."""


def choose_images_to_show(results: Results, num_images: int) -> list[int]:
    """Places in `results.images` of at most `num_images`: all, or the best, worst and median of each method in turn.

    By CIEDE2000, controls aside. In the order of the images.
    """
    if len(results.images) <= num_images:
        return list(range(len(results.images)))
    rows = [place for place, method in enumerate(results.methods) if method.name not in CONTROLS]
    orders = np.argsort(results.values[CHOSEN_BY][rows], axis=1, kind="stable")
    middle_out = sorted(range(orders.shape[1]), key=lambda rank: abs(rank - orders.shape[1] // 2))
    chosen: dict[int, None] = {}
    for step in range(orders.shape[1]):
        for order in orders:
            for rank in (step, -1 - step, middle_out[step]):
                if len(chosen) < num_images:
                    chosen[int(order[rank])] = None
    return sorted(chosen)


def paint_gallery(
    comparison: Comparison, positions: Sequence[int], shown: Sequence[int], device: torch.device
) -> list[GalleryImage]:
    """The pictures of the images at the places `shown`, which are at `positions` of the comparison's set."""
    gallery = []
    for index, position in zip(shown, positions, strict=True):
        canvas = on_device(read_batch(comparison.images, [position]), device)
        gallery.append(
            GalleryImage(
                index=index,
                pictures={
                    name: method.paint(canvas)[0].permute(1, 2, 0).cpu().numpy()
                    for name, method in comparison.methods.items()
                },
            )
        )
    return gallery
