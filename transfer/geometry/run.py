"""Effective rank of the features of every stage, and linear CKA between the stages of two networks."""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from pretext.runtime.aligned import aligned
from transfer.backbone import OpenedBackbone, open_backbone
from transfer.config import BackboneConfig, DataConfig
from transfer.data.labelled import LabelledImages, open_any
from transfer.features.extraction import FeatureExtractor
from transfer.features.files import Features
from transfer.features.protocols import LinearProtocol, resolve
from transfer.geometry.config import GeometryConfig
from transfer.geometry.measures import effective_rank, linear_cka
from transfer.results import Record
from transfer.runs import Run, start_run


def run(config: GeometryConfig) -> list[Record]:
    """Measure, and write a record for each stage, and with a second network for each pair of stages.

    Raises:
        ValueError: a key means nothing, a stage does not exist, or the folder holds another run.
        RunFailedError: too many images are unreadable, or a feature is NaN or infinite.
        StoppedError: SIGINT or SIGTERM came while features were extracted.
    """
    recipe = resolve(config.protocol, config.image_size, config.crop_size)
    data = DataConfig(
        train=config.images,
        test="",
        name=config.name,
        torchvision_root=config.torchvision_root,
        download=config.download,
    )
    images = open_any(data, config.split)
    with start_run(config) as run:
        networks = [
            _open(network, images, recipe, config.seed)
            for network in (config.backbone, config.other)
            if network
        ]
        if records := run.finished(networks[0], len(images.source)):
            return run.finish(records, _table(records))
        features = [_extract(config, run, network, recipe, images) for network in networks]
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
                protocol=recipe.described(),
                backbone=networks[0].name,
                weights=networks[0].sha256,
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
        for other, of_other in zip(networks[1:], features[1:], strict=True):
            for other_stage, other_features in of_other.items():
                other_rows = _rows(other_features, kept)
                settings = {"other": other.name, "other_stage": other_stage}
                for stage, of_stage in features[0].items():
                    rows = _rows(of_stage, kept)
                    value = 100 * linear_cka(rows, other_rows)
                    records.append(record(stage, "cka", value, settings, rows.shape[1]))
        return run.finish(records, _table(records))


def _open(
    config: BackboneConfig, images: LabelledImages, recipe: LinearProtocol, seed: int
) -> OpenedBackbone:
    return open_backbone(config, seed, lambda: images.random_crops(recipe.train_cut(), seed))


def _extract(
    config: GeometryConfig, run: Run, backbone: OpenedBackbone, recipe: LinearProtocol, images: LabelledImages
) -> dict[str, Features]:
    extractor = FeatureExtractor(
        backbone=backbone,
        protocol=recipe,
        stages=config.stages,
        batch_size=config.batch_size,
        precision=config.precision,
        num_workers=config.num_workers,
        max_broken_share=config.max_broken_share,
        world=run.world,
    )
    folder = Path(config.cache or run.world.on_main(lambda: run.held.enter_context(TemporaryDirectory())))
    return extractor.extract_cached(images, folder, images.fingerprint())


def _rows(features: Features, kept: np.ndarray) -> np.ndarray:
    """Of the readable images; a memory map where all are."""
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
