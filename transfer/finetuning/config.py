"""The keys of `transfer finetune`."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from transfer.config import BackboneConfig, ClassificationConfig, DownstreamTest

FinetuneProtocolName = Literal["voc07", "semi_supervised", "mae22", "folder"]


@dataclass(frozen=True, kw_only=True)
class FinetuneConfig(ClassificationConfig):
    """Train a backbone, or its last layers, with labels.

    Args:
        protocol: voc07 (Zhang et al. 2016: scale jitter 0.5-2, 10-crop test), semi_supervised (20 epochs on a share
            of the labels), mae22 (vision transformers: AdamW, layer decay, mixed images), or folder (a plain recipe for
            any image folder).
        train_from: the first stage that is trained: `head` (fc8), a stage (fc6 for fc6-8), or `all`.
        label_share: share of each class's training images that is used: 0.01 and 0.1 for semi_supervised.
        steps: optimiser steps in all; null takes the protocol's. The decays of the learning rate keep their share.
        batch_size: images of one step, over all processes; null takes the protocol's.
        lr: null takes the protocol's; that of mae22 is for 256 images a step, and grows with `batch_size`.
        head_lr_factor: learning rate of the new head, as a multiple of lr; null takes the protocol's: 1 for
            voc07 and mae22, else 10.
        colour_input: let a network of this project see ab too, by weights that start at zero (the paper's "colour").
        save_every: steps between two checkpoints.
        evaluate_every: steps between two tests, for the log; the one after the last step is the result.
    """

    FREE_KEYS: ClassVar[tuple[str, ...]] = (*ClassificationConfig.FREE_KEYS, "save_every", "evaluate_every")

    backbone: BackboneConfig
    protocol: FinetuneProtocolName = "voc07"
    train_from: str = "all"
    label_share: float = 1.0
    steps: int | None = None
    batch_size: int | None = None
    lr: float | None = None
    head_lr_factor: float | None = None
    colour_input: bool = False
    save_every: int = 1000
    evaluate_every: int = 5000


FINETUNE = DownstreamTest(
    config=FinetuneConfig,
    run="transfer.finetuning.run:run",
    help="train the backbone or its last layers with labels",
    title="Fine-tuning",
    headline=("mAP", "mAP_11_point", "top1"),
    saved="checkpoints/last.pt",
    trains_backbone=True,
)
