"""Every key of `transfer segment`, with its default."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from transfer.config import DownstreamTest, FrameworkConfig

SegmentationProtocolName = Literal["zhang16", "fcn_20k", "fcn_40k", "dinov2_linear", "plain"]


@dataclass(frozen=True, kw_only=True)
class SegmentationDataConfig:
    """Images with a class for each pixel.

    Args:
        train: `voc:FOLDER:SPLIT` (PASCAL VOC's layout; `voc:FOLDER:SPLIT:MASKS` where the masks are not in
            SegmentationClass, as of VOC12aug), `cityscapes:FOLDER:SPLIT` or `ade20k:FOLDER:SPLIT`; a list for several.
        test: one of these.
        classes: of VOC's layout, their names without the background; null takes classes.txt in the folder, else VOC's
            twenty.
        name: what the results table calls the data set; null makes one of `test`.
        image_size: width and height in pixels within which images are resized, before a random scale in training; null
            takes the protocol's.
        crop_size: side in pixels of the training crops; null takes the protocol's.
        num_workers: processes that read images, for each process.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = ("num_workers",)

    train: list[str] | str
    test: str
    classes: list[str] | None = None
    name: str | None = None
    image_size: tuple[int, int] | None = None
    crop_size: int | None = None
    num_workers: int = 2


@dataclass(frozen=True, kw_only=True)
class SegmentConfig(FrameworkConfig):
    """Train a segmentation network on a backbone with mmsegmentation.

    Args:
        protocol: zhang16 (FCN-32s), fcn_20k or fcn_40k (the FCN head of today), dinov2_linear (a linear head), or plain
            (the FCN head, a short recipe for small data).
        head: score (FCN-32s's), fcn, or linear: BatchNorm and a 1x1 convolution, a probe of a frozen backbone; null
            takes the protocol's.
        stages: several for a linear head, which concatenates them on the grid of the first; null takes `stage`.
        test_scales: scales of a test image whose answers are averaged, each also mirrored; null tests it once as it is.
    """

    data: SegmentationDataConfig
    protocol: SegmentationProtocolName = "plain"
    head: Literal["score", "fcn", "linear"] | None = None
    stages: list[str] | None = None
    test_scales: list[float] | None = None


SEGMENT = DownstreamTest(
    config=SegmentConfig,
    run="transfer.segmentation.run:run",
    help="train a segmentation network on the backbone, with mmsegmentation",
    title="Semantic segmentation",
    headline=("mIoU",),
    saved="checkpoints/last.pt",
    trains_backbone=True,
)
