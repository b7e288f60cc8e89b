"""A batch of images, and how a worker process decodes one."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from pretext.images.image_file import BrokenImageError
from pretext.images.image_source import ImageSource
from pretext.images.order import Sample


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Images of one size, RGB in 0..255.

    `positions` are places in the run's global sequence of samples (in validation, of images), `indices` those
    in the source. A broken file keeps its place, black, with `broken` set. `errors` holds its (name, reason),
    once for each time it comes. A cut may give several crops.
    """

    rgb: UInt8[Tensor, "batch *crops 3 size size"]
    positions: Int64[np.ndarray, " batch"]
    indices: Int64[np.ndarray, " batch"]
    broken: Bool[np.ndarray, " batch"]
    errors: list[tuple[str, str]]

    def pin_memory(self) -> "Batch":
        """The batch with its images in page-locked memory; called by the DataLoader."""
        return replace(self, rgb=self.rgb.pin_memory())


class Cuts(Dataset[Batch]):
    """Decodes whole batches; lives in the workers, so it is pickled where they are not forked."""

    def __init__(
        self, source: ImageSource, cut: Callable[[Image.Image, Sample], Tensor], short_side: int | None
    ) -> None:
        self._source = source
        self._cut = cut
        self._short_side = short_side

    def __getitems__(self, samples: list[Sample]) -> Batch:
        """Called by the DataLoader with one batch of the sampler."""
        images = []
        broken = np.zeros(len(samples), bool)
        errors = []
        for place, sample in enumerate(samples):
            try:
                image = self._source.open(sample.index, self._short_side)
            except BrokenImageError as error:
                image = Image.new("RGB", (1, 1))  # whose cut is black and of the shape of the others
                broken[place] = True
                errors.append((self._source.name(sample.index), str(error)))
            images.append(self._cut(image, sample))
        return Batch(
            rgb=default_collate(images),  # in a worker it stacks straight into shared memory
            positions=np.array([sample.position for sample in samples]),
            indices=np.array([sample.index for sample in samples]),
            broken=broken,
            errors=errors,
        )
