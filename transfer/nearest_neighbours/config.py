"""The keys of `transfer knn`."""

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from transfer.config import BackboneConfig, DataConfig, DownstreamTest, LinearProtocolName


@dataclass(frozen=True, kw_only=True)
class KnnConfig:
    """Classify each test image by its nearest training images: cosine similarity, votes weighted by exp(s / T).

    Args:
        out: folder of the results; the same command on the same folder resumes.
        cache: folder where features are kept, shared by all commands; what lies there of other images, weights or
            protocols is not used. null keeps none.
        protocol: whose crop, pooling and feature dimensions are taken; see `transfer linear`.
        stages: which ones; null takes all.
        batch_size: images in one forward pass of a process.
        precision: of the backbone's arithmetic; bfloat16 autocasts.
        k: numbers of neighbours, each gives a result.
        temperature: T of the votes.
        memory: MiB that features and similarities may take at one time.
        seed: of a random backbone.
        device: auto takes a GPU where there is one.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = ("out", "device", "cache", "memory")

    backbone: BackboneConfig
    data: DataConfig
    out: str
    cache: str | None = "features"
    protocol: LinearProtocolName = "zhang16"
    stages: list[str] | None = None
    batch_size: int = 64
    precision: Literal["float32", "bfloat16"] = "float32"
    k: list[int] = field(default_factory=lambda: [10, 20, 100, 200])
    temperature: float = 0.07
    memory: int = 1024
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"


KNN = DownstreamTest(
    config=KnnConfig,
    run="transfer.nearest_neighbours.run:run",
    help="nearest neighbours in the features of every stage",
    title="Nearest neighbours",
    headline=("top1",),
)
