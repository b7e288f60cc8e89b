"""Splits of annotated images, checked before anything is trained on them, and remarks on what is left out."""

import math
import reprlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from PIL import Image

from pretext.images.image_file import BrokenImageError, open_rgb
from pretext.images.torchvision_images import DatasetSource
from pretext.spelling import first_few

Item = TypeVar("Item")
Checked = TypeVar("Checked")
Purpose = Literal["training", "test"]


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


def open_listed(path: Path) -> Image.Image:
    """An image in RGB, as shown (after EXIF orientation). Raises ValueError if there is none or it is broken."""
    try:
        return open_rgb(path)
    except BrokenImageError as error:
        raise ValueError(f"{path} cannot be read as an image ({error}), but it is listed") from error


@dataclass(frozen=True, kw_only=True)
class Split(Generic[Item]):
    """Annotated images.

    Attributes:
        address: where they lie; of a user's own data set what messages call it.
        classes: their names; an index there is a label.
        remarks: on the split as a whole.
    """

    address: str
    classes: tuple[str, ...]
    images: tuple[Item, ...]
    remarks: tuple[Remark, ...] = ()

    def notes(self) -> list[str]:
        """What of the annotations is not used as it stands there, a line for each kind."""
        return [f"{self.address}: {line}" for line in remarks_by_kind(self.remarks)]

    def summary(self) -> str:
        """The images and what they show, in one line."""
        raise NotImplementedError


AnySplit = TypeVar("AnySplit", bound=Split[Any])


def open_splits(
    train: Any, test: Any, open_split: Callable[[Any, Purpose], AnySplit]
) -> tuple[list[AnySplit], AnySplit]:
    """The training splits and the test split.

    Args:
        train: an address, a list of addresses, or a data set.
        test: an address or a data set.

    Raises:
        ValueError: a training split has other classes than the test split, or another order of them.
    """
    parts = train if isinstance(train, list) and all(isinstance(part, str) for part in train) else [train]
    splits, tested = [open_split(part, "training") for part in parts], open_split(test, "test")
    for split in splits:
        if split.classes != tested.classes:
            odd = sorted(set(split.classes) ^ set(tested.classes))
            raise ValueError(
                f"{split.address} and {tested.address} must have the same classes in the same order, but differ in "
                f"{', '.join(odd) or 'the order'}; give data.classes"
            )
    return splits, tested


def open_data_set(
    data_set: Any, class_names: Sequence[str] | None, purpose: Purpose, first_label: int
) -> tuple[str, tuple[str, ...], DatasetSource]:
    """A user's own data set: what messages call it, the names of its classes, and its images.

    Args:
        class_names: None takes those that the data set has.
        first_label: of the first class.

    Raises:
        ValueError: nothing names the classes.
    """
    name = type(data_set).__name__
    names = tuple(class_names or getattr(data_set, "classes", None) or ())
    if not names:
        raise ValueError(
            f"{name} does not name its classes; give classes, the names of the labels {first_label}, "
            f"{first_label + 1}, ..."
        )
    return f"{purpose} data {name}", names, DatasetSource(data_set, name)


def existing_folder(address: str, folder: str) -> Path:
    """The folder in an address. Raises ValueError if there is none."""
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise ValueError(f"{address}: there is no folder {root}")
    return root
