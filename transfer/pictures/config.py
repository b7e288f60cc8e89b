"""The keys of `transfer pictures`."""

from dataclasses import dataclass, field
from typing import ClassVar

from transfer.config import BackboneConfig
from transfer.features.config import ImagesConfig


@dataclass(frozen=True, kw_only=True)
class PicturesConfig(ImagesConfig):
    """One page to look at networks: filters, principal components of maps, nearest neighbours, a plane of all images.

    Args:
        others: networks that stand beside `backbone`. Of the `stages` asked for each network shows those that it has;
            neighbours and planes are those of its deepest one.
        labels: a CSV file of image,class instead of the folders' names.
        batch_size: images in one forward pass of a process; few, as memory matters more than speed here.
        num_shown: images whose maps and neighbours are shown, evenly spaced over all.
        cache: folder where features are kept, shared by all commands; null keeps none.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = (*ImagesConfig.FREE_KEYS, "cache")

    others: list[BackboneConfig] = field(default_factory=list)
    labels: str | None = None
    batch_size: int = 8
    num_shown: int = 8
    cache: str | None = "features"
