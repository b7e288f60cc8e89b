"""Every key of `transfer detect`, with its default."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from transfer.config import DownstreamTest, FrameworkConfig

DetectionProtocolName = Literal[
    "zhang16", "goyal19_voc07", "goyal19_voc0712", "moco_24k", "coco_1x", "coco_2x", "plain"
]
DetectorName = Literal["dc5", "c4", "fpn"]


@dataclass(frozen=True, kw_only=True)
class DetectionDataConfig:
    """Images with boxes.

    Args:
        train: `voc:FOLDER:SPLIT` (PASCAL VOC's layout, such as voc:VOCdevkit/VOC2007:trainval) or
            `coco:IMAGES:ANNOTATIONS.json`; a list for several, as VOC07+12.
        test: one of these.
        classes: their names; null takes classes.txt in the folder, else VOC's twenty, and COCO's from its file.
        name: what the results table calls the data set; null makes one of `test`.
        train_proposals: boxes for Fast R-CNN, a .pkl file in Detectron2's format for each of `train`; null trains
            Faster R-CNN, which proposes its own.
        test_proposals: the same for `test`.
        image_sizes: lengths in pixels to which an image's short side is resized in training, one chosen at random;
            null takes the protocol's.
        test_image_size: the same in testing; null takes the protocol's.
        max_image_size: what the long side may have after resizing; null takes the protocol's.
        num_workers: processes that read images, for each process.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = ("num_workers",)

    train: list[str] | str
    test: str
    classes: list[str] | None = None
    name: str | None = None
    train_proposals: list[str] | str | None = None
    test_proposals: str | None = None
    image_sizes: list[int] | None = None
    test_image_size: int | None = None
    max_image_size: int | None = None
    num_workers: int = 2


@dataclass(frozen=True, kw_only=True)
class DetectConfig(FrameworkConfig):
    """Train a detector on a backbone with Detectron2.

    Args:
        protocol: zhang16, goyal19_voc07, goyal19_voc0712, moco_24k, coco_1x, coco_2x, or plain (a short recipe for
            small data).
        masks: learn the objects' masks too (Mask R-CNN), of COCO's layout or a data set whose targets have them.
        detector: dc5 (R-CNN on one stage), c4 (ResNets: layer3, and layer4 for each box) or fpn (ResNets: a pyramid
            of all stages); null takes c4 for ResNets and dc5 for the others.
        stage: that dc5 looks at; null takes the deepest of stride 8 or more, but no fully connected layer.
        average_precision: `area`, or `11_point` as of VOC2007; COCO's data have COCO's own.
    """

    data: DetectionDataConfig
    protocol: DetectionProtocolName = "plain"
    masks: bool = False
    detector: DetectorName | None = None
    stage: str | None = None
    average_precision: Literal["area", "11_point"] = "area"


DETECT = DownstreamTest(
    config=DetectConfig,
    run="transfer.detection.run:run",
    help="train a detector on the backbone, with Detectron2",
    title="Object detection",
    headline=("AP50", "AP50_11_point"),
    saved="checkpoints/last.pt",
    trains_backbone=True,
)
