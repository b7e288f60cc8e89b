"""Every key of `transfer detect`, with its default."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from transfer.config import BackboneConfig, DownstreamTest

DetectionProtocolName = Literal["zhang16", "goyal19_voc07", "goyal19_voc0712", "moco_24k", "coco_1x", "plain"]
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
class DetectConfig:
    """Train a detector on a backbone with Detectron2.

    Args:
        out: folder of the results; the same command on the same folder resumes.
        protocol: zhang16, goyal19_voc07, goyal19_voc0712, moco_24k, coco_1x, or plain (a short recipe for small data).
        detector: dc5 (R-CNN on one stage), c4 (ResNets: layer3, and layer4 for each box) or fpn (ResNets: a pyramid
            of all stages); null takes c4 for ResNets and dc5 for the others.
        stage: that dc5 looks at; null takes the deepest of stride 8 or more, but no fully connected layer.
        train_from: the first stage that is trained: `head` (the detector alone), a stage, or `all`.
        batch_norm: `train`, with statistics over all processes, or `frozen`; null takes the protocol's.
        colour_input: let a network of this project see ab too, by weights that start at zero (the paper's "colour").
        average_precision: `area`, or `11_point` as of VOC2007; COCO's data have COCO's own.
        steps: optimiser steps in all; null takes the protocol's, times its batch over yours.
        batch_size: images of one step, over all processes; null takes the protocol's.
        lr: null takes the protocol's, times your batch over its own.
        seed: of the head, of the order and scales of the images, of the boxes drawn for a loss, of a random backbone.
        save_every: steps between two checkpoints.
        evaluate_every: steps between two tests; the last step is always tested.
        device: auto takes a GPU where there is one.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = ("out", "device", "save_every", "evaluate_every")

    backbone: BackboneConfig
    data: DetectionDataConfig
    out: str
    protocol: DetectionProtocolName = "plain"
    detector: DetectorName | None = None
    stage: str | None = None
    train_from: str = "all"
    batch_norm: Literal["train", "frozen"] | None = None
    colour_input: bool = False
    average_precision: Literal["area", "11_point"] = "area"
    steps: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    seed: int = 0
    save_every: int = 1000
    evaluate_every: int = 5000
    device: Literal["auto", "cpu", "cuda"] = "auto"


DETECT = DownstreamTest(
    config=DetectConfig,
    run="transfer.detection.run:run",
    help="train a detector on the backbone, with Detectron2",
    title="Object detection",
    headline=("AP50", "AP50_11_point"),
    saved="checkpoints/last.pt",
    trains_backbone=True,
)
