"""Every key of `transfer segment`, with its default."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from transfer.config import BackboneConfig, DownstreamTest

SegmentationProtocolName = Literal["zhang16", "fcn_20k", "fcn_40k", "plain"]


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
class SegmentConfig:
    """Train a segmentation network on a backbone with mmsegmentation.

    Args:
        out: folder of the results; the same command on the same folder resumes.
        protocol: zhang16 (FCN-32s), fcn_20k or fcn_40k (the FCN head of today), or plain (that head, a short recipe for
            small data).
        stage: that the head looks at; null takes the deepest of stride 8 or more.
        train_from: the first stage that is trained: `head` (the FCN head alone), a stage, or `all`.
        batch_norm: of the backbone, `train`, with statistics over all processes, or `frozen`; null takes the
            protocol's.
        colour_input: let a network of this project see ab too, by weights that start at zero (the paper's "colour").
        steps: optimiser steps in all; null takes the protocol's, times its batch over yours.
        batch_size: images of one step, over all processes; null takes the protocol's.
        lr: null takes the protocol's, times your batch over its own.
        seed: of the head, of the order and crops of the images, and of a random backbone.
        save_every: steps between two checkpoints.
        evaluate_every: steps between two tests; the last step is always tested.
        device: auto takes a GPU where there is one.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = ("out", "device", "save_every", "evaluate_every")

    backbone: BackboneConfig
    data: SegmentationDataConfig
    out: str
    protocol: SegmentationProtocolName = "plain"
    stage: str | None = None
    train_from: str = "all"
    batch_norm: Literal["train", "frozen"] | None = None
    colour_input: bool = False
    steps: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    seed: int = 0
    save_every: int = 1000
    evaluate_every: int = 5000
    device: Literal["auto", "cpu", "cuda"] = "auto"


SEGMENT = DownstreamTest(
    config=SegmentConfig,
    run="transfer.segmentation.run:run",
    help="train a segmentation network on the backbone, with mmsegmentation",
    title="Semantic segmentation",
    headline=("mIoU",),
    saved="checkpoints/last.pt",
    trains_backbone=True,
)
