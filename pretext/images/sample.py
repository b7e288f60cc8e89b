"""The bundled sample: seven photographs that scikit-image and scikit-learn carry in their packages.

Of five, one quarter is kept for validation: pixels that training never sees, of a scene that it knows. Two are
held out whole. All other pictures there are grey, micrographs, star fields or drawings, but for motorcycle_right,
which shows the scene of motorcycle_left.

The files are read from the installed packages: `skimage.data` would import more, and may download.
"""

import importlib.util
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image

from pretext.images.image_file import open_rgb
from pretext.images.image_source import ImageSource


class _Divided(NamedTuple):
    """A photograph, and which of its quarters training never sees."""

    file: str
    unseen: tuple[Literal["left", "right"], Literal["upper", "lower"]]


_DIVIDED = {
    "astronaut": _Divided("skimage/data/astronaut.png", ("right", "lower")),
    "coffee": _Divided("skimage/data/coffee.png", ("right", "upper")),
    "motorcycle": _Divided("skimage/data/motorcycle_left.png", ("left", "lower")),
    "china": _Divided("sklearn/datasets/images/china.jpg", ("left", "upper")),
    "flower": _Divided("sklearn/datasets/images/flower.jpg", ("right", "upper")),
}
_HELD_OUT = {"chelsea": "skimage/data/chelsea.png", "rocket": "skimage/data/rocket.jpg"}


class SampleSource(ImageSource):
    """Pictures held in memory, decoded once: 4 MB in all."""

    def __init__(self, pictures: dict[str, Image.Image]) -> None:
        self._names = list(pictures)
        self._pictures = list(pictures.values())

    def __len__(self) -> int:
        return len(self._names)

    def name(self, index: int) -> str:
        """The photograph's name and what of it is shown, such as `coffee (unseen region)`."""
        return self._names[index]

    def open(self, index: int, short_side: int | None = None) -> Image.Image:
        """The picture in RGB, in full size whatever `short_side` is."""
        return self._pictures[index]

    def stamp(self, index: int) -> str:
        """The picture's size: its name says all else."""
        return "{}x{}".format(*self._pictures[index].size)


def sample_source(part: Literal["train", "validation", "held-out", "unseen"]) -> SampleSource:
    """A part of the bundled sample; raises ValueError if an installed package does not bring its photographs.

    Args:
        part: train, validation (the quarters that training never sees), held-out (the photographs held out whole), or
            unseen (these and those of validation).
    """
    pictures = {}
    if part in ("held-out", "unseen"):
        pictures = {f"{name} (held-out photograph)": _photograph(file) for name, file in _HELD_OUT.items()}
    if part == "held-out":
        return SampleSource(pictures)
    for name, (file, (side, level)) in _DIVIDED.items():
        photograph = _photograph(file)
        width, height = photograph.size
        columns = {"left": (0, width // 2), "right": (width // 2, width)}
        rows = {"upper": (0, height // 2), "lower": (height // 2, height)}
        (left, right), (top, bottom) = columns.pop(side), rows.pop(level)
        if part != "train":
            pictures[f"{name} (unseen quarter)"] = photograph.crop((left, top, right, bottom))
            continue
        # The two halves without that quarter. Their short sides, which set the scale, are those of the quarter.
        (((seen_left, seen_right),), ((seen_top, seen_bottom),)) = columns.values(), rows.values()
        pictures[f"{name} (seen half, across)"] = photograph.crop((0, seen_top, width, seen_bottom))
        pictures[f"{name} (seen half, upright)"] = photograph.crop((seen_left, 0, seen_right, height))
    return SampleSource(pictures)


def bundled_photograph(name: str) -> Image.Image:
    """One of the photographs, whole: astronaut, coffee, motorcycle, china, flower, chelsea or rocket.

    Raises ValueError if an installed package does not bring it.
    """
    return _photograph(_HELD_OUT[name] if name in _HELD_OUT else _DIVIDED[name].file)


def _photograph(file: str) -> Image.Image:
    package, _, inside = file.partition("/")
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ValueError(f"the bundled sample needs the package {package}, which is not installed")
    path = Path(spec.origin).parent / inside
    if not path.is_file():
        raise ValueError(
            f"the installed {package} does not bring {path.name}, which the bundled sample needs; "
            "install another version of it, or train on a folder of your own"
        )
    return open_rgb(path)
