"""Photographs inside scikit-image, with two simple ways to falsify their colours."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import skimage
from PIL import Image

from eval_colorization.turing.key import Key

PHOTOS = [
    f"{corner} of {name}"
    for name in ("astronaut.png", "coffee.png", "chelsea.png", "rocket.jpg", "motorcycle_left.png")
    for corner in ("upper left", "lower right")
]
METHODS = ["all grey", "red <for> blue"]


class Exported(NamedTuple):
    """A folder that `write_test` made, and the key that it returned."""

    folder: Path
    key: Key


def colorize(photo: str) -> Mapping[str, np.ndarray]:
    """256 x 256 pixels of a photograph; the same in grey; the same with red and blue exchanged."""
    corner, name = photo.split(" of ")
    with Image.open(Path(skimage.__file__).parent / "data" / name) as file:
        picture = file.convert("RGB")
    left, top = (0, 0) if corner == "upper left" else (picture.width - 256, picture.height - 256)
    truth = picture.crop((left, top, left + 256, top + 256))
    grey = np.asarray(truth.convert("L").convert("RGB"))
    return {"truth": np.asarray(truth), METHODS[0]: grey, METHODS[1]: np.asarray(truth)[..., ::-1]}
