"""The keys of `transfer linear`."""

from dataclasses import dataclass

from transfer.config import (
    BackboneConfig,
    ClassificationConfig,
    DownstreamTest,
    LinearProtocolName,
    SelectionDataConfig,
)


@dataclass(frozen=True, kw_only=True)
class LinearConfig(ClassificationConfig):
    """Train a linear classifier on each stage of a frozen backbone, all of them in one pass over the images.

    Args:
        protocol: zhang16, goyal19, deepcluster18, rotnet18, or of vision transformers dino21, dinov2 or mae22; results
            of two are not comparable.
        stages: which ones; null takes the protocol's, or all.
        learning_rates: trained side by side; of several one is chosen for each stage. null takes the protocol's.
        epochs: passes over the training images; null takes the protocol's. The decays of the learning rate keep their
            share of it.
        batch_size: images of one step, over all processes; null takes the protocol's.
        evaluate_every: epochs between two looks at the validation images, after one of which the probe of each stage is
            chosen; null looks after the last epoch alone.
    """

    backbone: BackboneConfig
    data: SelectionDataConfig
    protocol: LinearProtocolName = "zhang16"
    stages: list[str] | None = None
    learning_rates: list[float] | None = None
    epochs: int | None = None
    batch_size: int | None = None
    evaluate_every: int | None = None


LINEAR = DownstreamTest(
    config=LinearConfig,
    run="transfer.linear_probes.run:run",
    help="linear probes on every stage of a frozen backbone",
    title="Linear classifiers",
    headline=("top1", "mAP"),
    saved="checkpoints/last.pt",
)
