"""Draw the figures of docs/method.md with the code that trains and decodes.

python docs/method/draw.py docs/method
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont
from skimage.data import rocket
from sklearn.datasets import load_sample_image

from pretext.color.bins import AbBins
from pretext.color.lab import lab_to_rgb
from pretext.color.rebalancing import class_weights
from pretext.colorize_files import colorize
from pretext.figure_style import WIDTH, house_style, save_figure

GRID = np.arange(-115, 116, 10)  # borders of the bins
TEMPERATURES = (1.0, 0.58, 0.38, 0.14, 0.01)
SIDE, GAP, BAND = 160, 4, 22


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    with house_style():
        draw_bins(folder / "bins")
        draw_weights(folder / "weights")
    draw_temperatures(folder / "temperatures.jpg")


def cells(bins: AbBins, values: torch.Tensor) -> np.ndarray:
    """Values of the bins on the grid of ab, rows of a, NaN where there is no bin."""
    grid = np.full((len(GRID) - 1, len(GRID) - 1), np.nan)
    for (a, b), value in zip(bins.centres.round().int().tolist(), values.tolist(), strict=True):
        grid[a // 10 + 11, b // 10 + 11] = value
    return grid


def draw_bins(stem: Path) -> None:
    """The bins in their colours at L = 50, their prior, and the weights that balance it."""
    bins = AbBins.published()
    lab = torch.cat([torch.full((len(bins.centres), 1), 50.0), bins.centres], dim=1)
    rgb = lab_to_rgb(lab.T[None, :, :, None])[0, :, :, 0].T
    colours = np.ones((len(GRID) - 1, len(GRID) - 1, 3))
    for channel in range(3):
        of_bins = cells(bins, rgb[:, channel])
        colours[..., channel] = np.where(np.isnan(of_bins), 1, of_bins)
    figure = Figure(figsize=(WIDTH, 3.0), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    extent = (GRID[0], GRID[-1], GRID[-1], GRID[0])
    axes[0].imshow(colours, extent=extent)
    axes[0].set_title("313 bins, at L = 50")
    for place, title, values in (
        (axes[1], "prior of ImageNet", bins.prior),
        (axes[2], "weight of the loss", class_weights(bins.prior)),
    ):
        shown = place.imshow(cells(bins, values), extent=extent, norm=LogNorm(), cmap="viridis")
        figure.colorbar(shown, ax=place, shrink=0.8)
        place.set_title(title)
    for place in axes:
        place.set_xlabel("b")
        place.grid(visible=False)
    axes[0].set_ylabel("a")
    save_figure(figure, stem, pdf=False)


def draw_weights(stem: Path) -> None:
    """The weight of a bin against its prior, for some shares of the uniform distribution."""
    prior = AbBins.published().prior.sort().values
    figure = Figure(figsize=(WIDTH, 2.6), layout="constrained")
    axes = figure.subplots()
    for share in (0.0, 0.1, 0.5, 0.9, 1.0):
        axes.loglog(prior, class_weights(prior, share), label=f"λ = {share:g}")
    axes.set_xlabel("prior of the bin")
    axes.set_ylabel("weight of the loss")
    axes.legend()
    save_figure(figure, stem, pdf=False)


def draw_temperatures(path: Path) -> None:
    """Photographs decoded at temperatures from 1, the mean, towards 0, the mode."""
    photographs = [
        Image.fromarray(load_sample_image("china.jpg")).crop((100, 0, 527, 427)),
        Image.fromarray(rocket()).crop((110, 0, 537, 427)),
    ]
    truth = [photograph.resize((SIDE, SIDE), Image.Resampling.LANCZOS) for photograph in photographs]
    columns = {"grey": [square.convert("L").convert("RGB") for square in truth]}
    columns |= {f"T = {of:g}": colorize(truth, temperature=of) for of in TEMPERATURES}
    columns["true colours"] = truth
    step = SIDE + GAP
    sheet = Image.new("RGB", (len(columns) * step - GAP, BAND + len(truth) * step - GAP), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (heading, pictures) in enumerate(columns.items()):
        draw.text((place * step, 3), heading, fill="#606060", font=ImageFont.load_default(14))
        for row, picture in enumerate(pictures):
            sheet.paste(picture, (place * step, BAND + row * step))
    sheet.save(path, quality=88)


if __name__ == "__main__":
    main()
