"""torchvision's data sets as sources of images: by name, labels ignored."""

import difflib
import inspect
from pathlib import Path
from typing import Any, Literal

from PIL import Image

from pretext.data.images import BrokenImageError, to_rgb

_SPLIT_NAMES = {"train": ("train", "trainval", "train-standard"), "validation": ("val", "valid", "test")}


class TorchvisionSource:
    """A data set of `torchvision.datasets`, such as CIFAR10, Flowers102, ImageNet or ImageFolder.

    `split` chooses the part by whatever argument the data set has for it: `train=True`, or the first of the
    usual names of `split=` that it knows (train, trainval; val, valid, test). `part` names it instead, as the
    data set calls it (`unlabeled` of STL10, `extra` of SVHN). A data set of one part is taken whole.

    Raises ValueError for an unknown name or part, a data set that is not under `root` and not downloaded, and
    one whose items are not images.
    """

    def __init__(
        self,
        name: str,
        *,
        root: Path,
        split: Literal["train", "validation"],
        part: str | None = None,
        download: bool = False,
    ) -> None:
        self._name = name
        self._dataset = _dataset(name, root=root, split=split, part=part, download=download)
        if not isinstance(_first(self._dataset[0]), Image.Image):
            raise ValueError(f"torchvision:{name} does not hold images; choose an image data set")

    def __len__(self) -> int:
        return len(self._dataset)

    @property
    def group_sizes(self) -> tuple[int, ...]:
        """One group: these data sets are made to be read in any order."""
        return (len(self),)

    def name(self, index: int) -> str:
        """The data set's name and the index, such as `CIFAR10:00042`."""
        return f"{self._name}:{index:05}"

    def open(self, index: int, short_side: int | None = None) -> Image.Image:
        """The picture in RGB, in full size whatever `short_side` is. Raises BrokenImageError."""
        try:
            return to_rgb(_first(self._dataset[index]))
        except Exception as error:  # data sets decode, unpickle and seek in ways of their own
            raise BrokenImageError(f"{type(error).__name__}: {error}") from error


def _first(item: Any) -> Any:
    return item[0] if isinstance(item, tuple) else item


def _dataset(name: str, *, root: Path, split: str, part: str | None, download: bool) -> Any:
    from torchvision import datasets

    if name not in datasets.__all__:
        close = difflib.get_close_matches(name, datasets.__all__, n=1, cutoff=0.4)
        hint = f"did you mean torchvision:{close[0]}?" if close else "names are those of torchvision.datasets"
        raise ValueError(f"torchvision has no data set {name}; {hint}")
    constructor = getattr(datasets, name)
    parameters = inspect.signature(constructor).parameters
    common: dict[str, Any] = {"root": root} if "root" in parameters else {}
    if download and "download" in parameters:
        common["download"] = True
    choices = _choices_of_part(name, set(parameters), split, part)
    for choice in choices:
        try:
            return constructor(**common, **choice)
        except Exception as error:  # each data set has its own exceptions for missing files and bad arguments
            # torchvision's wording for a split that this data set does not have: try the next usual name.
            if "Unknown value" in str(error) and choice is not choices[-1]:
                continue
            way_out = "" if download else " (download: true fetches it, where torchvision can)"
            raise ValueError(f"torchvision:{name} cannot be opened in {root}{way_out}: {error}") from error
    raise AssertionError("choices of a part are never empty")


def _choices_of_part(name: str, parameters: set[str], split: str, part: str | None) -> list[dict[str, Any]]:
    """The arguments to try, in order, that choose the part of the data set."""
    for argument in ("split", "image_set"):
        if argument in parameters:
            return [{argument: part}] if part else [{argument: known} for known in _SPLIT_NAMES[split]]
    if "train" in parameters:
        if part not in (None, "train", "test"):
            raise ValueError(f"torchvision:{name} has the parts train and test, not {part}")
        return [{"train": part == "train" if part else split == "train"}]
    if part:
        raise ValueError(f"torchvision:{name} has no parts; write torchvision:{name} without :{part}")
    return [{}]
