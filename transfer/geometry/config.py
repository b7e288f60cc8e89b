"""The keys of `transfer geometry`."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from transfer.config import BackboneConfig, DownstreamTest, LinearProtocolName


@dataclass(frozen=True, kw_only=True)
class GeometryConfig:
    """The effective rank of every stage's features (RankMe), and their alignment with those of a second network (CKA).

    Args:
        other: a second network; each of its stages is compared with each of the first one's.
        images: as `data.train` of other commands; classes are not looked at.
        split: of `sample` and `torchvision:NAME`.
        name: what results call the images; null makes one of `images`.
        out: folder of the results.
        cache: folder where features are kept, shared by all commands; null keeps none.
        protocol: whose crop and pooling are taken; dino21, dinov2 and mae22 average maps over all positions.
        stages: which ones, of both networks; null takes all.
        image_size: length in pixels to which an image's short side is resized; null takes the protocol's.
        crop_size: side in pixels of the central square that the networks see; null takes the protocol's.
        batch_size: images in one forward pass of a process.
        precision: of the networks' arithmetic; bfloat16 autocasts.
        num_workers: processes that read images, for each process.
        max_broken_share: share of unreadable images above which the command stops; up to five never stop it, unless
            the share is 0.
        torchvision_root: folder of the torchvision data sets.
        download: let torchvision download the data set.
        seed: of a random backbone.
        device: auto takes a GPU where there is one.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = (
        "out", "device", "num_workers", "max_broken_share", "download", "cache"
    )  # fmt: skip

    backbone: BackboneConfig
    other: BackboneConfig | None = None
    images: str
    split: Literal["train", "validation"] = "train"
    name: str | None = None
    out: str
    cache: str | None = "features"
    protocol: LinearProtocolName = "dino21"
    stages: list[str] | None = None
    image_size: int | None = None
    crop_size: int | None = None
    batch_size: int = 64
    precision: Literal["float32", "bfloat16"] = "float32"
    num_workers: int = 2
    max_broken_share: float = 0.01
    torchvision_root: str = "data"
    download: bool = False
    seed: int = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"


GEOMETRY = DownstreamTest(
    config=GeometryConfig,
    run="transfer.geometry.run:run",
    help="effective rank of the features, and their alignment with another network's",
    title="Geometry of features",
    headline=("effective_rank",),
)
