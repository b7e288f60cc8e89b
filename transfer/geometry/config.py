"""The keys of `transfer geometry`."""

from dataclasses import dataclass
from typing import ClassVar

from transfer.config import BackboneConfig, DownstreamTest
from transfer.features.config import ImagesConfig


@dataclass(frozen=True, kw_only=True)
class GeometryConfig(ImagesConfig):
    """The effective rank of every stage's features (RankMe), and their alignment with those of a second network (CKA).

    Args:
        other: a second network; each of its stages is compared with each of the first one's.
        cache: folder where features are kept, shared by all commands; null keeps none.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = (*ImagesConfig.FREE_KEYS, "cache")

    other: BackboneConfig | None = None
    cache: str | None = "features"


GEOMETRY = DownstreamTest(
    config=GeometryConfig,
    run="transfer.geometry.run:run",
    help="effective rank of the features, and their alignment with another network's",
    title="Geometry of features",
    headline=("effective_rank",),
)
