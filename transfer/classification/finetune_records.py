"""The results of a fine-tuning: of its last test, and of its best."""

from pretext.broken_files import BrokenFiles
from transfer.backbone import OpenedBackbone
from transfer.classification.finetune_protocols import FinetuneProtocol, user_settings
from transfer.classification.label_share import images_by_class
from transfer.classification.periodic_test import PeriodicTest
from transfer.config import FinetuneConfig
from transfer.data.labelled import LabelledImages
from transfer.results import Record, last_and_best


def finetune_records(
    config: FinetuneConfig,
    protocol: FinetuneProtocol,
    backbone: OpenedBackbone,
    train: LabelledImages,
    test: LabelledImages,
    broken: BrokenFiles,
    tests: PeriodicTest,
) -> list[Record]:
    """For each metric a record of the last test, and one of that with the highest value, the first of equals.

    Args:
        broken: the training images that could not be read.
    """
    last, by_class = tests.rows[-1], images_by_class(train)
    details = {
        "train_images": len(train.source),
        "train_images_by_class": [int(by_class.min()), int(by_class.max())],
        "test_images": len(test.source),
        "broken_train_images": len(broken.reasons),
        "broken_test_images": len(tests.broken.reasons),
    }
    return last_and_best(
        tests.rows,
        [name for name in last if name != "step"],
        details,
        task="finetune",
        data=test.name,
        protocol=protocol.described(config.label_share),
        backbone=backbone.name,
        weights=backbone.sha256,
        stage=config.train_from,
        seed=config.seed,
        settings=user_settings(config),
    )
