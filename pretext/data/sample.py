"""The bundled sample: seven photographs that scikit-image and scikit-learn carry in their packages.

Five are cut in two: training sees one side, validation a strip of the other that shows the scene's colours
too. Two are held out whole. All other pictures there are grey, micrographs, star fields or drawings, but for
motorcycle_right, which shows the scene of motorcycle_left.

The files are read from the installed packages: `skimage.data` would import more, and may download.
"""

import importlib.util
from pathlib import Path
from typing import Literal, NamedTuple

from PIL import Image

from pretext.data.images import open_rgb

Box = tuple[int, int, int, int]


class _Divided(NamedTuple):
    """A photograph and its two disjoint regions: left, top, right, bottom in pixels."""

    file: str
    seen: Box
    unseen: Box


_DIVIDED = {
    "astronaut": _Divided("skimage/data/astronaut.png", (170, 0, 512, 512), (0, 0, 170, 512)),
    "coffee": _Divided("skimage/data/coffee.png", (0, 0, 380, 400), (380, 0, 600, 400)),
    "motorcycle": _Divided("skimage/data/motorcycle_left.png", (0, 0, 480, 500), (480, 0, 741, 500)),
    "china": _Divided("sklearn/datasets/images/china.jpg", (210, 0, 640, 427), (0, 0, 210, 427)),
    "flower": _Divided("sklearn/datasets/images/flower.jpg", (0, 0, 350, 427), (350, 0, 640, 427)),
}
_HELD_OUT = {"chelsea": "skimage/data/chelsea.png", "rocket": "skimage/data/rocket.jpg"}


class SampleSource:
    """Pictures held in memory, decoded once: 4 MB in all."""

    def __init__(self, pictures: dict[str, Image.Image]) -> None:
        self._names = list(pictures)
        self._pictures = list(pictures.values())

    def __len__(self) -> int:
        return len(self._names)

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """One group: memory can be read in any order."""
        return (len(self),)

    def name(self, index: int) -> str:
        """The photograph's name and what of it is shown, such as `coffee (unseen region)`."""
        return self._names[index]

    def open(self, index: int, short_side: int | None = None) -> Image.Image:
        """The picture in RGB, in full size whatever `short_side` is."""
        return self._pictures[index]


def sample_source(split: Literal["train", "validation"]) -> SampleSource:
    """The bundled sample's side for training or for validation.

    Raises ValueError if an installed package does not bring its photographs.
    """
    if split == "train":
        return SampleSource(
            {f"{name} (training region)": _photograph(p.file).crop(p.seen) for name, p in _DIVIDED.items()}
        )
    unseen = {f"{name} (unseen region)": _photograph(p.file).crop(p.unseen) for name, p in _DIVIDED.items()}
    held_out = {f"{name} (held-out photograph)": _photograph(file) for name, file in _HELD_OUT.items()}
    return SampleSource(unseen | held_out)


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
