"""Features of a frozen backbone, extracted once for all commands that need them."""

import re
from pathlib import Path

import torch

from pretext.broken_files import BrokenFiles
from pretext.runtime.distributed import World
from pretext.runtime.stop_signal import StopSignal
from transfer.backbone import OpenedBackbone, choose_stages, open_backbone
from transfer.classification.feature_extraction import stopped, write_features
from transfer.classification.feature_files import FeatureFile, Features, check_space, claimed
from transfer.classification.protocols import LinearProtocol
from transfer.classification.training_crops import draw_training_crops
from transfer.config import BackboneConfig, DataConfig, FeaturesConfig
from transfer.data.labelled import LabelledImages

__all__ = ["Features", "extract_features", "open_backbone_for_features"]

HASH_LENGTH = 10  # of the hashes in the names of folders; the whole ones are in the files' descriptions


def extract_features(
    opened: OpenedBackbone,
    images: LabelledImages,
    protocol: LinearProtocol,
    config: FeaturesConfig,
    *,
    data: DataConfig,
    world: World,
) -> dict[str, Features]:
    """The pooled, flattened features of the images' central crops: stage -> features, in order of depth.

    What lies in `config.cache` is used, the rest is extracted in one pass over the images; every process writes
    its share of the rows.

    Raises:
        ValueError: there is no such stage.
        RunFailedError: too many images are unreadable, a feature is NaN or infinite, or the disk is full.
        StoppedError: SIGINT or SIGTERM came.
    """
    folder, files = _feature_files(opened, images, protocol, config)
    with StopSignal(world) as stop, claimed(folder, world, stop) as is_claimed:
        if not is_claimed:
            raise stopped(stop)
        flaws = world.gather({stage: flaw for stage, file in files.items() if (flaw := file.flaw())})[0]
        missing = {stage: files[stage] for stage in flaws}
        if missing:
            if world.is_main:
                for stage, file in missing.items():
                    if file.is_there:
                        print(f"extracts {file.path} again: {flaws[stage]}", flush=True)
                check_space(missing.values(), folder)
                for file in missing.values():
                    file.create()
            world.wait()
            unreadable = write_features(
                opened, images, protocol, config, missing, data=data, world=world, stop=stop
            )
            if world.is_main:
                for file in missing.values():
                    file.finish(unreadable)
            world.wait()
        broken = BrokenFiles({}, num_images=len(images.source), max_share=data.max_broken_share)
        broken.add((name, reason) for file in files.values() for _, name, reason in file.unreadable())
        broken.check(len(images.source))
        if broken.reasons and world.is_main:
            print(f"{len(broken.reasons)} of {len(images.source)} images are left out: {broken.listing()}")
    return {stage: file.features() for stage, file in files.items()}


def open_backbone_for_features(
    config: BackboneConfig, seed: int, train: LabelledImages, protocol: LinearProtocol
) -> OpenedBackbone:
    """The backbone, where that is asked for rescaled on crops of the training images.

    Raises as `open_backbone`.
    """
    return open_backbone(config, seed, lambda: draw_training_crops(train, protocol.train_cut(), seed))


def _feature_files(
    opened: OpenedBackbone, images: LabelledImages, protocol: LinearProtocol, config: FeaturesConfig
) -> tuple[Path, dict[str, FeatureFile]]:
    """The folder in the cache, and stage -> the file that is or will be there."""
    stages = {name: opened.network.stages[name] for name in choose_stages(opened.network, config.stages)}
    fingerprint = images.fingerprint()
    folder = (
        Path(config.cache)
        / _file_name(opened.name, opened.sha256)
        / _file_name(images.name, fingerprint)
        / f"{protocol.name}-{protocol.crop_size}-of-{protocol.image_size}-{config.precision}"
    )
    identity = {
        "weights": opened.sha256,
        "images": fingerprint,
        "protocol": protocol.name,
        "pooling": protocol.pooling,
        "image_size": protocol.image_size,
        "crop_size": protocol.crop_size,
        "precision": config.precision,
        "torch": torch.__version__,
    }
    files = {}
    for name, spec in stages.items():
        grid = protocol.grid(name, spec)
        shape = (len(images.source), spec.channels * grid**2)
        files[name] = FeatureFile(folder, name, shape, identity | {"grid": grid})
    return folder, files


def _file_name(name: str, sha256: str) -> str:
    return re.sub(r"[^\w.+]+", "-", name).strip("-.") + "-" + sha256[:HASH_LENGTH]
