"""What is done of a film, in a folder beside it."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from pretext.film.smoothing import ColourSmoother
from pretext.picture_colorizer import PictureColorizer
from pretext.runtime.whole_file import make_folder, whole_file, write_whole


def open_record(parts: Path, described: Mapping[str, object]) -> None:
    """Make the folder of what is done, or check that what is in it is of the same colorization.

    Args:
        described: what decides the result.

    Raises:
        ValueError: it is of another one.
    """
    make_folder(parts)
    record, text = parts / "colorization.json", json.dumps(described, indent=2)
    if not record.exists():
        write_whole(record, text)
    elif record.read_text(encoding="utf-8") != text:
        raise ValueError(
            f"{parts} holds part of this in other colours (other weights or options, or other frames); delete that "
            "folder, or choose another --out"
        )


def save_progress(path: Path, num_frames: int, smoother: ColourSmoother) -> None:
    """Write how many frames are done, and what the next one needs."""
    with whole_file(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, frames=num_frames, **smoother.state())


def load_progress(path: Path, smoother: ColourSmoother, colorizer: PictureColorizer) -> int:
    """How many frames were done, after giving `smoother` what the next one needs."""
    with np.load(path) as state:
        smoother.load_state(state, next(colorizer.network.parameters()).device)
        return int(state["frames"])


def describe_flicker(smoother: ColourSmoother) -> str:
    """How many shots there were, and how much colours change where the picture does not."""
    before, after = smoother.flicker
    shots = "1 shot" if smoother.num_shots == 1 else f"{smoother.num_shots} shots"
    return (
        f"{shots}; from frame to frame the colours of what stays change by {after:.2f} ab units, without smoothing by "
        f"{before:.2f}"
    )
