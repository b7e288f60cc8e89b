"""The class of each pixel, from masks beside the images as in PASCAL VOC's layout."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pretext.images.image_file import BrokenImageError
from pretext.images.image_source import ImageSource, SameImages

VOID = 255
MASK_MODES = ("1", "L", "P")  # Pillow's: one channel of up to 8 bits, and indices of a palette
DECODED_SMALLER = (1, 2, 4, 8)  # times, as `open_rgb` may


class MaskedImages(SameImages):
    """Images with the masks of their names: RGBA pictures whose fourth channel is the class of each pixel, or VOID.

    Of `JPEGImages/2007_000032.jpg` the mask is `2007_000032.png` in the first of the folders that has it; an image
    without one is VOID all over.

    Args:
        images: to which the masks belong.
        folders: of the masks.
        num_classes: 0 to one less are the values that masks may have beside VOID.

    Raises:
        ValueError: a folder is missing.
    """

    def __init__(self, images: ImageSource, folders: Sequence[Path], num_classes: int) -> None:
        super().__init__(images)
        self._folders, self._num_classes = folders, num_classes
        for folder in folders:
            if not folder.is_dir():
                raise ValueError(f"there is no folder of masks {folder}")

    @property
    def remark(self) -> str:  # type: ignore[override]
        """The remark of the images, and how many have a mask, which is counted when it is asked for."""
        num_masks = sum(map(self.has_mask, range(len(self))))
        count = f"{num_masks} of {len(self)} images have a mask"
        return f"{super().remark}; {count}" if super().remark else count

    def has_mask(self, index: int) -> bool:
        """Whether there is a mask of an image."""
        return self._mask(index) is not None

    def _mask_name(self, index: int) -> PurePosixPath:
        key = self._source.name(index).rpartition(":")[2]  # behind the name of a shard
        return PurePosixPath(key).with_suffix(".png")

    def _mask(self, index: int) -> Path | None:
        name = self._mask_name(index)
        return next((path for folder in self._folders if (path := folder / name).is_file()), None)

    def open(self, index: int, short_side: int | None = None) -> Image.Image:
        """The picture with its mask in the same size. Raises BrokenImageError, also where the mask does not fit."""
        picture, labels = self._source.open(index, short_side), self.labels(index)
        if labels is None:
            mask = Image.new("L", picture.size, VOID)
        else:
            mask = Image.fromarray(labels)
            smaller = [tuple(-(-side // factor) for side in mask.size) for factor in DECODED_SMALLER]
            if picture.size not in smaller:
                sizes = " and ".join(f"{of.width} x {of.height}" for of in (picture, mask))
                raise BrokenImageError(f"it and its mask {self._mask(index)} have other sizes: {sizes}")
            mask = mask.resize(picture.size, Image.Resampling.NEAREST)
        return Image.merge("RGBA", (*picture.split(), mask))

    def labels(self, index: int) -> UInt8[np.ndarray, "height width"] | None:
        """The classes in the mask of an image; None where it has none. Raises BrokenImageError."""
        path = self._mask(index)
        if path is None:
            return None
        try:
            labels = read_mask(path)
        except ValueError as error:
            raise BrokenImageError(str(error)) from error
        unknown = np.setdiff1d(labels, [*range(self._num_classes), VOID])
        if len(unknown):
            raise BrokenImageError(
                f"its mask {path} has the class {unknown[0]}, expected 0 to {self._num_classes - 1}, or {VOID} for void"
            )
        return labels


def read_mask(path: Path) -> UInt8[np.ndarray, "height width"]:
    """The labels in a mask; raises ValueError if there is none or it is a picture of another kind."""
    try:
        with Image.open(path) as mask:
            kind, mode = mask.format, mask.mode
            if kind == "PNG" and mode in MASK_MODES:
                return np.array(mask).astype(np.uint8)
    except FileNotFoundError:
        raise ValueError(f"{path} is missing, but its image is listed") from None
    except Exception as error:  # Pillow lets through whatever its parsers trip over
        raise ValueError(f"{path} cannot be read as a mask ({error})") from error
    raise ValueError(
        f"{path} is a {kind} of mode {mode}, expected a PNG of one 8-bit channel, or with a palette, whose values are "
        "the labels: write each pixel's class as its number, not as a colour, and without alpha"
    )
