"""What a network's first layer looks for, and the principal components of its maps as colours."""

from collections.abc import Sequence

import numpy as np
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from PIL import Image
from sklearn.utils.extmath import randomized_svd
from torch import Tensor, nn

MAX_FILTERS = 96
FILTERS_IN_A_ROW = 16
FILTER_SIDE = 24  # pixels of a filter on its sheet, or a little less
GAP = 2  # pixels between two filters
GRID = 32  # positions on a side of a map, at most, from which the components are computed
SHOWN_RANGE = (1, 99)  # percentiles of a component that are shown as the darkest and the lightest


def first_filters(network: nn.Module) -> Image.Image | None:
    """The filters of the first convolution, or of a transformer's patch embedding, on a transparent sheet.

    Each is drawn by itself: mid-grey is a weight of 0, and the largest weight white or black. None: the network's
    first convolution sees neither lightness nor RGB, or there is none.
    """
    first = next((module for module in network.modules() if isinstance(module, nn.Conv2d)), None)
    if first is None or first.in_channels not in (1, 3):
        return None
    weights = first.weight.detach().float().cpu()[:MAX_FILTERS]
    drawn = 0.5 + 0.5 * weights / weights.abs().amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
    scale = max(1, FILTER_SIDE // max(drawn.shape[2:]))
    pixels = (255 * drawn).round().byte().expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
    tiles = pixels.repeat_interleave(scale, dim=1).repeat_interleave(scale, dim=2).numpy()
    height, width = tiles.shape[1] + GAP, tiles.shape[2] + GAP
    rows = -(-len(tiles) // FILTERS_IN_A_ROW)
    sheet = Image.new("RGBA", (min(len(tiles), FILTERS_IN_A_ROW) * width - GAP, rows * height - GAP))
    for place, tile in enumerate(tiles):
        row, column = divmod(place, FILTERS_IN_A_ROW)
        sheet.paste(Image.fromarray(tile), (column * width, row * height))
    return sheet


def component_maps(
    maps: Sequence[Float[Tensor, "images _ _ _"]],
) -> list[UInt8[np.ndarray, "images _ _ 3"]]:
    """The maps of several networks as pictures whose red, green and blue are the first three principal components.

    The components are those of all networks together: their channels side by side at each position, those of a network
    scaled to a variance of 1 along its own first component, so that none outweighs another. This is multiple factor
    analysis (Escofier and Pagès 1994), and a colour means the same in all pictures.

    Args:
        maps: of each network, of the same images.
    """
    side = min(GRID, *(min(of.shape[2:]) for of in maps))
    blocks = [_rows(F.interpolate(of, size=(side, side), mode="area")) for of in maps]
    means = [block.mean(axis=0) for block in blocks]
    centred = [block - mean for block, mean in zip(blocks, means, strict=True)]
    scales = [max(float(_directions(of, 1)[0][0]) / len(of) ** 0.5, 1e-12) for of in centred]
    joint = np.hstack([of / scale for of, scale in zip(centred, scales, strict=True)])
    _, components = _directions(joint, 3)
    ends = np.cumsum([block.shape[1] for block in blocks])[:-1]
    scores = [
        (_rows(of) - mean) / scale @ own.T
        for of, mean, scale, own in zip(maps, means, scales, np.split(components, ends, axis=1), strict=True)
    ]
    # Every network has as much to say, however many positions.
    low, high = np.mean([np.percentile(of, SHOWN_RANGE, axis=0) for of in scores], axis=0)
    pictures = []
    for of, own in zip(maps, scores, strict=True):
        colours = np.full((len(own), 3), 0.5, np.float32)
        colours[:, : len(components)] = np.clip((own - low) / np.maximum(high - low, 1e-12), 0, 1)
        height, width = of.shape[2:]
        pictures.append((255 * colours).round().astype(np.uint8).reshape(len(of), height, width, 3))
    return pictures


def _directions(
    rows: Float[np.ndarray, "positions channels"], count: int
) -> tuple[Float[np.ndarray, " found"], Float[np.ndarray, "found channels"]]:
    """The first right singular vectors, and their singular values before them."""
    _, values, vectors = randomized_svd(rows, min(count, *rows.shape), random_state=0)
    return values, vectors


def _rows(maps: Tensor) -> Float[np.ndarray, "positions channels"]:
    return maps.float().permute(0, 2, 3, 1).flatten(0, 2).numpy()
