"""Pictures of numbers: the curves of a run, a prior on the ab plane."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib.colors
import numpy as np
import torch
from matplotlib.figure import Figure

from pretext.color.bins import AbBins
from pretext.color.lab import lab_to_rgb
from pretext.runtime.whole_file import whole_file


def draw_curves(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Training and validation loss beside the constant answer, and PSNR, over the steps of metrics.jsonl."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    losses, psnr = figure.subplots(1, 2)
    for name, label, style in (
        ("loss", "training", {"color": "0.7", "linewidth": 1}),
        ("validation_loss", "validation", {"color": "C0", "marker": "."}),
        (
            "validation_constant_answer",
            "validation, answering the training prior",
            {"color": "C3", "linestyle": "--"},
        ),
    ):
        losses.plot(*_series(rows, name), label=label, **style)
    losses.set(xlabel="step", ylabel="loss (optimised)")
    losses.legend(frameon=False)
    psnr.plot(*_series(rows, "validation_psnr"), color="C0", marker=".", label="colorized")
    psnr.plot(*_series(rows, "validation_psnr_grey"), color="C3", linestyle="--", label="left grey")
    psnr.set(xlabel="step", ylabel="validation PSNR in RGB (dB)")
    psnr.legend(frameon=False)
    for axes in (losses, psnr):
        axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def draw_prior(bins: AbBins, path: Path, title: str) -> None:
    """The bins on the ab plane: in their own colours, and coloured by the logarithm of their prior."""
    figure = Figure(figsize=(11, 4.8), layout="constrained")
    colours, prior = figure.subplots(1, 2)
    a, b = bins.centres.T.cpu().numpy()
    lab = torch.cat([torch.full((len(bins.centres), 1), 65.0), bins.centres.cpu()], dim=1)
    # A square an ab unit wide would have 0.6 points²: each bin fills the way to its nearest neighbour.
    spacing = torch.cdist(bins.centres, bins.centres).fill_diagonal_(torch.inf).amin(dim=1)
    area = (0.6 * spacing.square()).clamp(6, 60).cpu().numpy()
    colours.scatter(b, a, c=lab_to_rgb(lab[:, :, None, None])[:, :, 0, 0].numpy(), s=area, marker="s")
    colours.set_title(f"{len(bins.centres)} bins, in their colours at L = 65", fontsize=10)
    shown = prior.scatter(
        b, a, c=bins.prior.clamp_min(1e-8).cpu().numpy(), s=area, marker="s", norm=matplotlib.colors.LogNorm()
    )
    figure.colorbar(shown, ax=prior, label="prior probability")
    prior.set_title(title, fontsize=10)
    for axes in (colours, prior):
        axes.set(xlabel="b", ylabel="a", xlim=(-120, 120), ylim=(120, -120), aspect="equal")
    _save(figure, path)


def _series(rows: Sequence[dict[str, Any]], name: str) -> tuple[np.ndarray, np.ndarray]:
    points = [(row["step"], row[name]) for row in rows if name in row]
    return np.array([step for step, _ in points]), np.array([value for _, value in points])


def _save(figure: Figure, path: Path) -> None:
    with whole_file(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")
