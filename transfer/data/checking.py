"""Checks of annotated images that must hold before anything is trained on them."""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar, runtime_checkable

Item = TypeVar("Item")
Checked = TypeVar("Checked")


def read_all(read: Callable[[Item], Checked], items: Iterable[Item]) -> tuple[Checked, ...]:
    """`read` of every item, several at a time.

    Raises:
        ValueError: the first that `read` raised, and how many more there are.
    """

    def result_or_error(item: Item) -> Checked | ValueError:
        try:
            return read(item)
        except ValueError as error:
            return error

    with ThreadPoolExecutor() as threads:
        results = list(threads.map(result_or_error, items))
    errors = [of for of in results if isinstance(of, ValueError)]
    if errors:
        more = f" (and {len(errors) - 1} more images are wrong)" if len(errors) > 1 else ""
        raise ValueError(f"{errors[0]}{more}")
    return tuple(of for of in results if not isinstance(of, ValueError))


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
