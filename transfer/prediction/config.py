"""The keys of `transfer predict`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class PredictConfig:
    """What a trained linear probe sees in images: classes and probabilities, as a CSV file and a page.

    Args:
        results: --out folder of a finished `transfer linear` run; its probes and its backbone are used.
        images: a folder, flat or nested, or whatever else `pretext train` takes as images.
        out: folder of predictions.csv and index.html.
        stage: whose probe; null takes the one that the run chose on its validation images.
        top: classes of each image that are kept.
        batch_size: images in one forward pass.
        num_workers: processes that read images.
        device: auto takes a GPU where there is one.
    """

    results: Path
    images: str
    out: Path
    stage: str | None = None
    top: int = 5
    batch_size: int = 64
    num_workers: int = 2
    device: Literal["auto", "cpu", "cuda"] = "auto"
