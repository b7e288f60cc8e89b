"""Effective rank of the features of every stage, and linear CKA between the stages of two networks."""

from collections.abc import Mapping

import numpy as np

from pretext.runtime.aligned import aligned
from transfer.features.extraction import feature_folder
from transfer.features.files import Features
from transfer.features.run import make_extractor, open_images
from transfer.geometry.config import GeometryConfig
from transfer.geometry.measures import effective_rank, linear_cka
from transfer.results import Record
from transfer.runs import start_run


def run(config: GeometryConfig) -> list[Record]:
    """Measure, and write a record for each stage, and with a second network for each pair of stages.

    Raises:
        ValueError: a key means nothing, a stage does not exist, or the folder holds another run.
        RunFailedError: too many images are unreadable, or a feature is NaN or infinite.
        StoppedError: SIGINT or SIGTERM came while features were extracted.
    """
    images = open_images(config)
    with start_run(config) as run:
        extractors = [
            make_extractor(config, network, images, run.world)
            for network in (config.backbone, config.other)
            if network
        ]
        tested, *others = (extractor.backbone for extractor in extractors)
        if records := run.finished(tested, len(images.source)):
            return run.finish(records, _table(records))
        folder, fingerprint = feature_folder(config.cache, run), images.fingerprint()
        features = [extractor.extract_cached(images, folder, fingerprint) for extractor in extractors]
        if not run.world.is_main:
            return []
        kept = next(iter(features[0].values())).kept
        for of_network in features:
            for of_stage in of_network.values():
                kept = kept & of_stage.kept
        details = {
            "images": int(kept.sum()),
            "broken_images": int((~kept).sum()),
            "precision": config.precision,
        }

        def record(
            stage: str, metric: str, value: float, settings: Mapping[str, str], dimensions: int
        ) -> Record:
            return Record(
                task="geometry",
                data=images.name,
                protocol=extractors[0].protocol.described(),
                backbone=tested.name,
                weights=tested.sha256,
                stage=stage,
                metric=metric,
                value=value,
                seed=config.seed,
                settings=settings,
                details=details | {"dimensions": dimensions},
            )

        records = []
        for stage, of_stage in features[0].items():
            rows = _rows(of_stage, kept)
            records.append(record(stage, "effective_rank", effective_rank(rows), {}, rows.shape[1]))
        for other, of_other in zip(others, features[1:], strict=True):
            for other_stage, other_features in of_other.items():
                other_rows = _rows(other_features, kept)
                settings = {"other": other.name, "other_stage": other_stage}
                for stage, of_stage in features[0].items():
                    rows = _rows(of_stage, kept)
                    value = 100 * linear_cka(rows, other_rows)
                    records.append(record(stage, "cka", value, settings, rows.shape[1]))
        return run.finish(records, _table(records))


def _rows(features: Features, kept: np.ndarray) -> np.ndarray:
    """The features of the readable images; a memory map where all are readable."""
    rows = features.open()
    return rows if kept.all() else rows[kept]


def _table(records: list[Record]) -> str:
    """A line for each stage: its effective rank, and its CKA with each stage of the other network."""
    columns = list(dict.fromkeys(record.settings.get("other_stage", "effective rank") for record in records))
    values = {(r.stage, r.settings.get("other_stage", "effective rank")): r.value for r in records}
    stages = list(dict.fromkeys(record.stage for record in records))
    heads = [column if column == "effective rank" else f"CKA {column}" for column in columns]
    return aligned(
        [("stage", *heads), *((stage, *(f"{values[stage, c]:.1f}" for c in columns)) for stage in stages)]
    )
