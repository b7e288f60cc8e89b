"""Colours that a user gives at places of an image, for a network that takes such hints."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from PIL import ImageColor
from torch import Tensor

from pretext.color.lab import rgb_to_lab
from pretext.runtime.command_line import read_yaml


@dataclass(frozen=True, kw_only=True)
class Hint:
    """A square patch of an image and its colour.

    Args:
        x, y: of its centre, in pixels from the left and the top.
        colour: as in CSS, such as `#b0302a` or `navy`; its lightness does not matter.
        size: side in pixels.

    Raises:
        ValueError: there is no such colour, or the size is not positive.
    """

    x: int | float
    y: int | float
    colour: str
    size: int | float = 9

    def __post_init__(self) -> None:
        ImageColor.getrgb(self.colour)
        if not self.size > 0:
            raise ValueError(f"the size of a hint must be positive, not {self.size:g}")

    @property
    def ab(self) -> Float[Tensor, "2 1 1"]:
        """In ab units."""
        rgb = torch.tensor(ImageColor.getrgb(self.colour)[:3]).view(1, 3, 1, 1)
        return rgb_to_lab(rgb / 255)[0, 1:]


def hint_map(
    hints: Sequence[Hint], image: tuple[int, int], seen: tuple[int, int]
) -> Float[Tensor, "1 3 rows columns"]:
    """ab of the hints and a mask of where they are, as a network sees them; a later one lies on an earlier one.

    Args:
        image: height and width in pixels, in which the hints are given.
        seen: height and width of what the network sees.

    Raises:
        ValueError: a hint lies outside of the image.
    """
    shown = torch.zeros(1, 3, *seen)
    scales = [small / large for small, large in zip(seen, image, strict=True)]
    for hint in hints:
        places = (hint.y, hint.x)
        if not all(0 <= place < length for place, length in zip(places, image, strict=True)):
            raise ValueError(
                f"the hint {hint.colour} at x {hint.x:g}, y {hint.y:g} lies outside of the image of "
                f"{image[1]} x {image[0]} pixels"
            )
        rows, columns = (
            _span(place * scale, hint.size * scale, length)
            for place, scale, length in zip(places, scales, seen, strict=True)
        )
        shown[0, :2, rows, columns] = hint.ab
        shown[0, 2, rows, columns] = 1
    return shown


def read_hints(file: Path, images: Sequence[Path]) -> dict[Path, list[Hint]]:
    """Image -> its hints, from a YAML or JSON file: `beach.jpg: [{x: 120, y: 40, colour: '#3a6ea5'}]`.

    Args:
        images: those that are meant by their names, or by the last parts of their paths.

    Raises:
        ValueError: the file is not there or holds something else, or a name is that of none or of several images.
    """
    found = {}
    for name, entries in read_yaml(file).items():
        parts = Path(str(name)).parts
        meant = [image for image in images if image.parts[-len(parts) :] == parts]
        if len(meant) != 1:
            count = f"{len(meant)} of the images are" if meant else "none of the images is"
            raise ValueError(f"{file}: {count} called {name}; name each by as much of its path as it takes")
        found[meant[0]] = [_hint(entry, f"{file}: {name}") for entry in _as_list(entries, f"{file}: {name}")]
    return found


def _as_list(entries: Any, place: str) -> list[Any]:
    if not isinstance(entries, list):
        raise ValueError(f"{place}: expected a list of hints such as {{x: 120, y: 40, colour: '#3a6ea5'}}")
    return entries


def _hint(entry: Any, place: str) -> Hint:
    names = [field.name for field in fields(Hint)]
    if not isinstance(entry, Mapping) or not {"x", "y", "colour"} <= entry.keys() <= set(names):
        raise ValueError(f"{place}: expected a hint with x, y, colour and maybe size, got {entry!r}")
    try:
        numbers = {name: float(value) for name, value in entry.items() if name != "colour"}
        return Hint(colour=str(entry["colour"]), **numbers)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{place}: {error}") from error


def _span(centre: float, size: float, length: int) -> slice:
    """Whole pixels around `centre`, at least one."""
    first = min(max(round(centre - size / 2), 0), length - 1)
    return slice(first, min(max(round(centre + size / 2), first + 1), length))
