"""The figure that shows which colours each method uses."""

import math
from collections.abc import Sequence

import matplotlib
import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from scipy.ndimage import gaussian_filter

from eval_colorization.results import MethodResult
from pretext.color.bins import HISTOGRAM_ORIGIN, HISTOGRAM_SIDE, PUBLISHED_B_RANGES
from pretext.color.lab import fit_chroma_to_gamut, lab_to_rgb
from pretext.figure_style import INK, WIDTH, house_style, literal

# Without the darkest fifth, which a dark page swallows.
COUNTS = ListedColormap(matplotlib.colormaps["viridis"](np.linspace(0.2, 1, 256)))
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def draw_ab_histograms(methods: Sequence[MethodResult]) -> Figure:
    """Each method's pixels on the ab plane, the truth last, and the truth's outline in every panel.

    Drawn as the paper draws the plane: b to the right, a downwards.
    """
    # Grey has all pixels in one cell, which would take the scale for itself.
    reach = max(
        (m.ab_histogram.max() / max(m.ab_histogram.sum(), 1) for m in methods if m.kind != "grey"),
        default=1.0,
    )
    scale = LogNorm(vmin=reach * 1e-4, vmax=reach)
    truth = next((method for method in methods if method.kind == "truth"), None)
    outline = _published_outline()
    columns = min(4, len(methods))
    rows = -(-len(methods) // columns)
    ends = (HISTOGRAM_ORIGIN - 0.5, HISTOGRAM_ORIGIN + HISTOGRAM_SIDE - 0.5)
    with house_style():
        figure = Figure(figsize=(WIDTH, 0.35 + rows * 2.15), layout="constrained")
        panels = list(figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).flat)
        for axes in panels[len(methods) :]:
            axes.set_axis_off()
        for axes, method in zip(panels, methods, strict=False):
            share = method.ab_histogram / max(method.ab_histogram.sum(), 1)
            shown = axes.imshow(
                np.ma.masked_equal(share, 0),
                norm=scale,
                cmap=COUNTS,
                extent=(*ends, ends[1], ends[0]),
                interpolation="nearest",
            )
            axes.add_collection(
                LineCollection(list(outline), colors=_hues(outline), linewidths=2.2, capstyle="round")
            )
            if truth is not None:
                _draw_outline_of(truth.ab_histogram, axes)
            axes.set_title(literal(method.name, 26))
            axes.set(xlim=(-122, 122), ylim=(122, -122), aspect="equal")
            axes.set(xticks=(-100, 0, 100), yticks=(-100, 0, 100))
        for axes in panels[::columns]:
            axes.set_ylabel("a")
        for axes in panels[-columns:]:
            axes.set_xlabel("b")
        bar = figure.colorbar(
            shown, ax=panels, label="share of pixels in one ab unit squared", shrink=0.8, pad=0.01
        )
        bar.ax.yaxis.set_major_formatter(FuncFormatter(_power_of_ten))
        bar.ax.minorticks_off()
        bar.outline.set_edgecolor(INK)
    return figure


def _published_outline() -> Float[np.ndarray, "segments 2 2"]:
    """The outer edge of the published bins' cells as segments (b, a) of 10 ab units."""
    cells = {(a, b) for a, (low, high) in PUBLISHED_B_RANGES.items() for b in range(low, high + 10, 10)}
    segments = []
    for a, b in cells:
        for da, db in ((10, 0), (-10, 0), (0, 10), (0, -10)):
            if (a + da, b + db) not in cells:
                middle, along = np.array([b + db / 2, a + da / 2]), np.array([da / 2, db / 2])
                segments.append((middle - along, middle + along))
    return np.array(sorted(segments, key=lambda segment: segment[0].tolist() + segment[1].tolist()))


def _hues(segments: Float[np.ndarray, "segments 2 2"]) -> Float[np.ndarray, "segments 3"]:
    """The colour of each segment's middle at L = 62."""
    b, a = torch.from_numpy(segments.mean(axis=1)).float().T
    lab = torch.stack([torch.full_like(a, 62.0), a, b])[:, None]
    return lab_to_rgb(fit_chroma_to_gamut(lab))[:, 0].T.numpy()


def _draw_outline_of(histogram: np.ndarray, axes: Axes) -> None:
    """The line around the densest 95 % of the pixels, smoothed by 2 ab units."""
    density = gaussian_filter(histogram.astype(float), 2)
    descending = np.sort(density.flat)[::-1]
    total = descending.cumsum()
    if total[-1] <= 0:
        return
    level = descending[np.searchsorted(total, 0.95 * total[-1])]
    grid = np.arange(HISTOGRAM_SIDE) + HISTOGRAM_ORIGIN
    axes.contour(grid, grid, density, levels=[level], colors=[INK], linewidths=0.7)


def _power_of_ten(value: float, _: int | None) -> str:
    return "10" + str(round(math.log10(value))).translate(SUPERSCRIPTS)
