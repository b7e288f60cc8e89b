"""Numbered frames of a film, each in a file of its own."""

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from pretext.film.progress import describe_flicker, load_progress, open_record, save_progress
from pretext.film.smoothing import ColourSmoother, colorized_in_order
from pretext.images.image_file import on_white
from pretext.picture_colorizer import PictureColorizer


class FrameSequence:
    """Colorizes one frame after the other, as those of a film; what is done is recorded in a folder.

    Args:
        colorizer: of single pictures.
        parts: the folder, which is there until `finish`.
        smoother: a new one.
        described: what decides the result.

    Attributes:
        num_done: how many frames are done, also by an earlier process.

    Raises:
        ValueError: the folder is of other frames or another colorization.
    """

    def __init__(
        self,
        colorizer: PictureColorizer,
        smoother: ColourSmoother,
        parts: Path,
        described: Mapping[str, object],
    ) -> None:
        open_record(parts, described)
        self._colorizer, self._smoother, self._parts = colorizer, smoother, parts
        self._state = parts / "frames.npz"
        self.num_done = load_progress(self._state, self._smoother, colorizer) if self._state.exists() else 0

    def __call__(self, image: Image.Image) -> Image.Image:
        """The next frame, colorized; transparency becomes white."""
        (rgb,) = colorized_in_order(self._colorizer, self._smoother, np.array(on_white(image))[None])
        return Image.fromarray(rgb)

    def record(self) -> None:
        """One more frame is done, or cannot be colorized."""
        self.num_done += 1
        save_progress(self._state, self.num_done, self._smoother)

    def finish(self) -> str:
        """Remove the folder; what is to be said of the frames."""
        shutil.rmtree(self._parts)
        return f"{self.num_done} frames, {describe_flicker(self._smoother)}"


def in_order(name: str) -> list[str | int]:
    """Key by which numbered frames sort: frame_9 before frame_10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]
