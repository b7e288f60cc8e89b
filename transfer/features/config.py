"""The keys of `transfer features`, and those that it shares with other commands on images without classes."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from transfer.config import BackboneConfig, LinearProtocolName


@dataclass(frozen=True, kw_only=True)
class ImagesConfig:
    """What commands share that look at the features of images whether or not these have classes.

    Args:
        images: as `data.train` of other commands; the images of a folder may also have no classes.
        split: of `sample` and `torchvision:NAME`.
        name: what results call the images; null makes one of `images`.
        out: folder of the results; the same command on the same folder resumes.
        protocol: whose crop and pooling are taken; dino21, dinov2 and mae22 average maps over all positions, the others
            keep up to 9,600 numbers.
        stages: which ones; null takes all.
        image_size: length in pixels to which an image's short side is resized; null takes the protocol's.
        crop_size: side in pixels of the central square that the network sees; null takes the protocol's.
        batch_size: images in one forward pass of a process.
        precision: of the network's arithmetic; bfloat16 autocasts.
        num_workers: processes that read images, for each process.
        max_broken_share: share of unreadable images above which the command stops; up to five never stop it, unless
            the share is 0.
        torchvision_root: folder of the torchvision data sets.
        download: let torchvision download the data set.
        seed: of a random backbone.
        device: auto takes a GPU where there is one.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = ("out", "device", "num_workers", "max_broken_share", "download")

    backbone: BackboneConfig
    images: str
    split: Literal["train", "validation"] = "train"
    name: str | None = None
    out: str
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


@dataclass(frozen=True, kw_only=True)
class FeaturesConfig(ImagesConfig):
    """Extract the features of images by a frozen backbone into NumPy arrays, for tools of your own, `knn` and `svm`.

    The folder `out` has an array STAGE.npy for each stage, a row for each image in the order of `images.csv`, which
    gives each image's name and class; the row of an image that cannot be read is NaN.

    Args:
        labels: a CSV file of image,class instead of the folders' names.
        dtype: of the arrays.
    """

    labels: str | None = None
    dtype: Literal["float32", "float16"] = "float32"
