"""Checks of annotated images that must hold before anything is trained on them, and remarks on what is left out."""

import math
import reprlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol, TypeVar, runtime_checkable

from pretext.images.image_file import BrokenImageError, open_rgb
from pretext.spelling import first_few

Item = TypeVar("Item")
Checked = TypeVar("Checked")


class Remark(NamedTuple):
    """Something in the annotations that is not used as it stands there.

    Attributes:
        what: was met and done, such as `boxes outside the image, left out`.
        where: such as `annotation 918 on 000000200365.jpg`.
    """

    what: str
    where: str


def remarks_by_kind(remarks: Iterable[Remark]) -> list[str]:
    """A line for each kind: how many there are, and where the first are."""
    places: dict[str, list[str]] = defaultdict(list)
    for remark in remarks:
        places[remark.what].append(remark.where)
    return [f"{what}: {len(where)} ({first_few(where)})" for what, where in places.items()]


def shown(value: object) -> str:
    """A value of a user's file for a message: as Python writes it, shortened, in one line."""
    return reprlib.repr(value)


def finite_number(value: object, what: str) -> float:
    """A number, or text that is one, as a float.

    Args:
        value: of a user's file.
        what: it is, and in which file.

    Raises:
        ValueError: it is something else, infinite or NaN.
    """
    try:
        number = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{what} is {shown(value)}, expected a number")
    return number


def read_all(read: Callable[[Item], Checked], items: Iterable[Item]) -> tuple[Checked, ...]:
    """`read` of every item, several at a time.

    Raises:
        ValueError: the first that `read` raised, in one line, and how many more there are.
    """

    def result_or_error(item: Item) -> Checked | ValueError:
        try:
            return read(item)
        except ValueError as error:
            return error

    with ThreadPoolExecutor() as threads:
        results = list(threads.map(result_or_error, items))
    errors = [result for result in results if isinstance(result, ValueError)]
    if errors:
        more = f" (and {len(errors) - 1} more images are wrong)" if len(errors) > 1 else ""
        raise ValueError(" ".join(f"{errors[0]}{more}".splitlines()))
    return tuple(result for result in results if not isinstance(result, ValueError))


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image as shown (after EXIF orientation); the whole file is read.

    Raises ValueError if there is no such image or it is broken.
    """
    try:
        return open_rgb(path).size
    except BrokenImageError as error:
        raise ValueError(f"{path} cannot be read as an image ({error}), but it is listed") from error


@runtime_checkable
class Split(Protocol):
    """Annotated images, where they are, and their classes."""

    @property
    def address(self) -> str: ...
    @property
    def classes(self) -> tuple[str, ...]: ...


def require_same_classes(train: Sequence[Split], test: Split) -> None:
    """Raises ValueError if a training split has other classes than the test split, or another order of them."""
    for images in train:
        if images.classes != test.classes:
            odd = sorted(set(images.classes) ^ set(test.classes))
            raise ValueError(
                f"{images.address} and {test.address} must have the same classes in the same order, but differ in "
                f"{', '.join(odd) or 'the order'}; give data.classes"
            )
