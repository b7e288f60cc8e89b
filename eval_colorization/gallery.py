"""Which images a report shows, and their pictures."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from eval_colorization.comparison import Comparison
from eval_colorization.images import read_batch
from eval_colorization.methods import on_device
from eval_colorization.results import CONTROLS, GalleryImage, Results


def choose_images_to_show(results: Results, num_images: int) -> list[int]:
    """Places in `results.images` of the images to show, in order: see `best_worst_median`.

    Chosen by CIEDE2000, a colour difference made for eyes and defined for every image; controls have no say.
    """
    rows = [place for place, method in enumerate(results.methods) if method.name not in CONTROLS]
    return best_worst_median(results.values["ciede2000"][rows], num_images)


def best_worst_median(differences: Float[np.ndarray, "methods images"], num_images: int) -> list[int]:
    """At most `num_images` images, in order: all, or in turn each method's best, worst and median ones."""
    if differences.shape[1] <= num_images:
        return list(range(differences.shape[1]))
    orders = np.argsort(differences, axis=1, kind="stable")
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
