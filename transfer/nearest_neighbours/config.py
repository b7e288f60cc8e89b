"""The keys of `transfer knn`."""

from dataclasses import dataclass, field
from typing import ClassVar

from transfer.config import DownstreamTest, FeatureConfig, LinearProtocolName, SelectionDataConfig


@dataclass(frozen=True, kw_only=True)
class KnnConfig(FeatureConfig):
    """Classify each test image by its nearest training images: cosine similarity, votes weighted by exp(s / T).

    Args:
        k: numbers of neighbours; of several one is chosen for each stage.
        temperature: T of the votes.
        memory: MiB that features and similarities may take at one time.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = (*FeatureConfig.FREE_KEYS, "memory")

    data: SelectionDataConfig
    protocol: LinearProtocolName = "zhang16"
    k: list[int] = field(default_factory=lambda: [10, 20, 100, 200])
    temperature: float = 0.07
    memory: int = 1024


KNN = DownstreamTest(
    config=KnnConfig,
    run="transfer.nearest_neighbours.run:run",
    help="nearest neighbours in the features of every stage",
    title="Nearest neighbours",
    headline=("top1",),
)
