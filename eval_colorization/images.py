"""The images of an evaluation: which ones, and each with its true, another's and its colorized colours."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from eval_colorization.colorized_folder import ColorizedFolder
from eval_colorization.config import Protocol, Subset
from eval_colorization.squares import SAME_PICTURE, compared_square
from pretext.images.image_file import BrokenImageError
from pretext.images.sources import ImageSource, open_source
from pretext.images.workers import GuardedLoader

CTEST10K = Path(__file__).parent / "assets" / "ctest10k.npy"
VAL5K_IMAGES = 5000


class ImageSet:
    """The images that are measured, in a fixed order, as squares of `size` pixels.

    Args:
        source: where they come from.
        indices: which of its images.
        protocol: see `compared_square`.
        folders: colorized images by method.
        leave_out: leave an image out whose colorized image cannot be read, instead of a ValueError.
        seed: decides whose colours an image lends for the random control.
    """

    def __init__(
        self,
        source: ImageSource,
        indices: Int64[np.ndarray, " images"],
        *,
        size: int,
        protocol: Protocol,
        folders: Mapping[str, ColorizedFolder],
        leave_out: bool,
        seed: int,
    ) -> None:
        self._source, self._indices, self.size, self.protocol = source, indices, size, protocol
        self.folders, self.leave_out = folders, leave_out
        # A shift around a shuffled circle: everyone lends to one other image and to none twice.
        shuffled = np.random.default_rng(seed).permutation(len(indices))
        self._circle, self._place = shuffled, np.argsort(shuffled)
        self.names = tuple(source.name(int(index)) for index in indices)

    def __len__(self) -> int:
        return len(self._indices)

    def truth(self, position: int) -> Image.Image:
        """The picture at a place of the set, whole. Raises BrokenImageError."""
        return self._source.open(int(self._indices[position]))

    def square(self, image: Image.Image) -> UInt8[Tensor, "3 size size"]:
        """What of a picture is compared."""
        return compared_square(image, self.size, self.protocol)

    def lender(self, position: int) -> UInt8[Tensor, "3 size size"]:
        """Another image of the set, whose colours the random control takes; a broken one is passed over.

        Raises BrokenImageError if no other image can be read.
        """
        for step in range(1, len(self)):
            other = self._circle[(self._place[position] + step) % len(self)]
            try:
                return self.square(self.truth(int(other)))
            except BrokenImageError:
                continue
        raise BrokenImageError("there is no other image whose colours it could take")


@dataclass(frozen=True, kw_only=True)
class ImageBatch:
    """Images of a set that could be read, RGB in 0..255.

    Attributes:
        positions: their places in the set.
        truth: the true images.
        lenders: the images whose colours the random control takes; None for a set of one image.
        colorized: by method of a folder.
        resized: by method, how many colorized images had another size than both the original and the square.
        lightness: by method of a folder, each colorized image's `lightness_correlation` with the truth.
        left_out: (position, reason) of those that could not be read.
    """

    positions: Int64[np.ndarray, " batch"]
    truth: UInt8[Tensor, "batch 3 size size"]
    lenders: UInt8[Tensor, "batch 3 size size"] | None
    colorized: dict[str, UInt8[Tensor, "batch 3 size size"]]
    resized: dict[str, int]
    lightness: dict[str, Float64[np.ndarray, " batch"]]
    left_out: list[tuple[int, str]]

    @property
    def other_lightness(self) -> list[tuple[int, str]]:
        """(position, method) of the colorized images that do not have the lightness of the truth."""
        return [
            (int(self.positions[place]), method)
            for method, correlations in self.lightness.items()
            for place in np.flatnonzero(correlations < SAME_PICTURE)
        ]


def read_batches(
    images: ImageSet, positions: Sequence[Sequence[int]], *, num_workers: int
) -> Iterator[ImageBatch]:
    """The batches that `positions` asks for, read ahead by `num_workers` processes (0: by this one).

    A true or colorized image that cannot be read leaves its image out, with the reason.
    Raises ValueError for a colorized image of another size or the other protocol.
    """
    loader = GuardedLoader(
        _Reader(images),
        batch_sampler=[list(batch) for batch in positions],
        collate_fn=_as_it_is,
        num_workers=num_workers,
    )
    for batch in loader:
        if isinstance(batch, ValueError):
            raise batch
        yield batch


class _Reader(Dataset[ImageBatch]):
    def __init__(self, images: ImageSet) -> None:
        self._images = images

    def __getitems__(self, positions: list[int]) -> "ImageBatch | ValueError":
        try:
            return read_batch(self._images, positions)
        except ValueError as error:  # a worker would wrap it in a traceback
            return error


def read_batch(images: ImageSet, positions: Sequence[int]) -> ImageBatch:
    """The images at `positions`; see `read_batches`."""
    kept, truths, lenders, left_out = [], [], [], []
    colorized: dict[str, list[Tensor]] = {name: [] for name in images.folders}
    resized = dict.fromkeys(images.folders, 0)
    lightness: dict[str, list[float]] = {name: [] for name in images.folders}
    for position in positions:
        try:
            truth = images.truth(position)
            pictures = _colorized(images, position, truth)
        except BrokenImageError as error:
            left_out.append((position, str(error)))
            continue
        kept.append(position)
        truths.append(images.square(truth))
        if len(images) > 1:
            lenders.append(images.lender(position))
        for name, (picture, correlation) in pictures.items():
            resized[name] += picture.size not in (truth.size, (images.size, images.size))
            colorized[name].append(images.square(picture))
            lightness[name].append(correlation)
    return ImageBatch(
        positions=np.array(kept, np.int64),
        truth=_stack(truths, images.size),
        lenders=_stack(lenders, images.size) if len(images) > 1 else None,
        colorized={name: _stack(pictures, images.size) for name, pictures in colorized.items()},
        resized=resized,
        lightness={name: np.array(correlations) for name, correlations in lightness.items()},
        left_out=left_out,
    )


def _colorized(images: ImageSet, position: int, truth: Image.Image) -> dict[str, tuple[Image.Image, float]]:
    try:
        return {
            name: folder.open(images.names[position], truth, images.protocol)
            for name, folder in images.folders.items()
        }
    except BrokenImageError as error:
        if images.leave_out:
            raise
        raise ValueError(f"{error}; repair it, or set missing: leave_out") from error


def _stack(pictures: list[Tensor], size: int) -> Tensor:
    return torch.stack(pictures) if pictures else torch.zeros(0, 3, size, size, dtype=torch.uint8)


def _as_it_is(batch: Any) -> Any:
    return batch


class PictureList(ImageSource):
    """PIL images in memory as a source, of any size and mode."""

    def __init__(self, pictures: Sequence[Image.Image]) -> None:
        self._pictures = [picture.convert("RGB") for picture in pictures]

    def __len__(self) -> int:
        return len(self._pictures)

    def open(self, index: int, short_side: int | None = None) -> Image.Image:
        """The picture in RGB."""
        return self._pictures[index]


Images = str | Path | ImageSource | Sequence[Image.Image]


def describe_images(images: Images) -> str:
    """The address of images, or what they are if they have none."""
    if isinstance(images, str | Path):
        return str(images)
    return f"{len(images)} images of {type(images).__qualname__}"


def choose_images(
    images: Images, *, subset: Subset, max_images: int | None
) -> tuple[ImageSource, Int64[np.ndarray, " images"]]:
    """The source that `images` names or is, and the indices in it of the images to measure.

    ctest10k and val5k find ImageNet's validation images by the number in their file names, wherever they lie.

    Raises:
        ValueError: no such source, or images of the subset are not in it.
    """
    if isinstance(images, str | Path):
        source = open_source(str(images), split="validation")
    else:
        source = images if isinstance(images, ImageSource) else PictureList(images)
    indices = np.arange(len(source))
    if subset != "all":
        numbers = np.load(CTEST10K) + 1 if subset == "ctest10k" else np.arange(1, VAL5K_IMAGES + 1)
        indices = _imagenet_validation(source, numbers, f"{describe_images(images)}, subset {subset}")
    if max_images is not None and max_images < len(indices):
        if max_images < 1:
            raise ValueError(f"max_images must be at least 1 but is {max_images}")
        indices = indices[np.linspace(0, len(indices) - 1, max_images).round().astype(int)]
    return source, indices


def _imagenet_validation(source: ImageSource, numbers: np.ndarray, what: str) -> np.ndarray:
    index_of = {}
    for index in range(len(source)):
        if match := re.search(r"ILSVRC2012_val_(\d{8})", source.name(index)):
            index_of[int(match[1])] = index
    missing = [int(number) for number in numbers if int(number) not in index_of]
    if missing:
        raise ValueError(
            f"{what}: {len(missing)} of {len(numbers)} images are not there, the first is "
            f"ILSVRC2012_val_{missing[0]:08d}.JPEG; give the folder of ImageNet's 50,000 validation images"
        )
    return np.array([index_of[int(number)] for number in numbers])
