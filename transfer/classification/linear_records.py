"""The results of linear classification: of the last test, and of each classifier's best."""

from collections.abc import Sequence
from typing import Any

from pretext.broken_files import BrokenFiles
from transfer.backbone import OpenedBackbone
from transfer.classification.head_test_series import HeadTestSeries
from transfer.classification.heads import LinearHeads
from transfer.classification.protocols import LinearProtocol
from transfer.config import LinearConfig
from transfer.data.labelled import LabelledImages
from transfer.results import Record, Selection


def linear_records(
    config: LinearConfig,
    protocol: LinearProtocol,
    backbone: OpenedBackbone,
    heads: LinearHeads,
    train: LabelledImages,
    test: LabelledImages,
    broken: BrokenFiles,
    tests: HeadTestSeries,
) -> list[Record]:
    """For each stage, learning rate and metric a record of the last test, and one of the first of the best.

    What the user set otherwise than the protocol becomes a setting.

    Args:
        broken: the training images that could not be read.
    """
    details = {
        "train_images": len(train.source),
        "test_images": len(test.source),
        "broken_train_images": len(broken.reasons),
        "broken_test_images": len(tests.broken.reasons),
    }
    settings = {
        name: value
        for name in ("epochs", "batch_size")
        if (value := getattr(config, name)) not in (None, getattr(protocol, name))
    }
    records = []
    for stage in heads.stages:
        for rate, lr in enumerate(heads.learning_rates):
            series = [(row["epoch"], row["metrics"][stage][rate]) for row in tests.rows]
            for metric in series[-1][1]:
                best = max(series, key=lambda row: row[1][metric])
                chosen: tuple[tuple[Selection, tuple[int, Any]], ...] = (("last", series[-1]), ("best", best))
                records += [
                    Record(
                        task="linear",
                        data=test.name,
                        protocol=protocol.described(config.data),
                        backbone=backbone.name,
                        weights=backbone.sha256,
                        stage=stage,
                        metric=metric,
                        value=metrics[metric],
                        seed=config.seed,
                        selection=selection,
                        settings=settings | ({} if heads.learning_rates == [protocol.lr] else {"lr": lr}),
                        details={"epoch": epoch, **details},
                    )
                    for selection, (epoch, metrics) in chosen
                ]
    return records


def results_table(records: Sequence[Record]) -> str:
    """A line for each stage: the first metric after the last and the best epoch, of the best learning rate."""
    metric = records[0].metric
    width = max(len(record.stage) for record in records)
    lines = [f"{'':<{width}}  {metric:>6} last    best"]
    for stage in dict.fromkeys(record.stage for record in records):
        of_stage = [record for record in records if (record.stage, record.metric) == (stage, metric)]
        last, best = (
            max((record for record in of_stage if record.selection == selection), key=lambda r: r.value)
            for selection in ("last", "best")
        )
        rates = f"  lr {last.settings['lr']:g}, {best.settings['lr']:g}" if "lr" in last.settings else ""
        epoch = f"  epoch {last.details['epoch']}, {best.details['epoch']}"
        lines.append(f"{stage:<{width}}  {last.value:11.2f}  {best.value:6.2f}{epoch}{rates}")
    return "\n".join(lines)
