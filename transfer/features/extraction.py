"""Features of a frozen backbone: one pass over the images for all commands that need them."""

import re
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from pretext.broken_files import BrokenFiles
from pretext.images.loader import Batch, batches_in_order
from pretext.runtime.command_line import RunFailedError, StoppedError
from pretext.runtime.distributed import World
from pretext.runtime.progress import Progress
from pretext.runtime.stop_signal import StopSignal
from transfer.backbone import OpenedBackbone
from transfer.config import FeatureConfig
from transfer.data.labelled import LabelledImages
from transfer.features.files import FeatureFile, Features, Unreadable, check_space, claimed
from transfer.features.protocols import LinearProtocol
from transfer.partial_training import frozen
from transfer.runs import Run
from transfer.stages import choose_stages

HASH_LENGTH = 10  # of the hashes in the names of folders; the whole ones are in the files' descriptions
SHOW_EVERY = 10  # batches


def extract_all(
    config: FeatureConfig,
    run: Run,
    backbone: OpenedBackbone,
    protocol: LinearProtocol,
    sets: Sequence[LabelledImages],
) -> list[dict[str, Features]]:
    """The features of several sets of images; without `config.cache` they are gone after `run`.

    Raises as `FeatureExtractor.extract`.
    """
    extractor = FeatureExtractor(
        backbone=backbone,
        protocol=protocol,
        stages=config.stages,
        batch_size=config.batch_size,
        precision=config.precision,
        num_workers=config.data.num_workers,
        max_broken_share=config.data.max_broken_share,
        world=run.world,
    )
    folder = Path(config.cache or run.world.on_main(lambda: run.held.enter_context(TemporaryDirectory())))
    # Fingerprints are expensive for images in memory, and needless in a folder that no other command sees.
    return [
        extractor.extract(images, folder, images.fingerprint() if config.cache else f"set {number}")
        for number, images in enumerate(sets)
    ]


@dataclass(frozen=True, kw_only=True)
class FeatureExtractor:
    """Extracts the pooled, flattened features of the central crops of images, and keeps them on disk.

    Args:
        stages: which ones; None takes all.
        batch_size: images in one forward pass of a process.
        precision: float32, or bfloat16, which autocasts.
    """

    backbone: OpenedBackbone
    protocol: LinearProtocol
    stages: Sequence[str] | None
    batch_size: int
    precision: str
    num_workers: int
    max_broken_share: float
    world: World

    def extract(self, images: LabelledImages, cache: Path, fingerprint: str) -> dict[str, Features]:
        """Stage -> features, in order of depth.

        What lies in `cache` is used, the rest is extracted in one pass over the images; every process writes its share
        of the rows.

        Args:
            fingerprint: of the images; features of images with another one are not used.

        Raises:
            ValueError: there is no such stage.
            RunFailedError: too many images are unreadable, a feature is NaN or infinite, or the disk is full.
            StoppedError: SIGINT or SIGTERM came.
        """
        num_images = len(images.source)
        world, broken = self.world, self._broken_files(images)
        folder, files = self._files(images, cache, fingerprint)
        with StopSignal(world) as stop, claimed(folder, world, stop) as is_claimed:
            if not is_claimed:
                raise _stopped(stop)
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
                unreadable = self._write(images, missing, self._broken_files(images), stop)
                if world.is_main:
                    for file in missing.values():
                        file.finish(unreadable)
                world.wait()
            broken.add((name, reason) for file in files.values() for _, name, reason in file.unreadable())
            broken.check(num_images)
            if broken.reasons and world.is_main:
                print(f"{len(broken.reasons)} of {num_images} images are left out: {broken.listing()}")
        return {stage: file.features() for stage, file in files.items()}

    def _broken_files(self, images: LabelledImages) -> BrokenFiles:
        return BrokenFiles({}, num_images=len(images.source), max_share=self.max_broken_share)

    def _files(
        self, images: LabelledImages, cache: Path, fingerprint: str
    ) -> tuple[Path, dict[str, FeatureFile]]:
        """The folder in the cache, and stage -> the file that is or will be there."""
        backbone, protocol = self.backbone, self.protocol
        folder = (
            cache
            / _file_name(backbone.name, backbone.sha256)
            / _file_name(images.name, fingerprint)
            / f"{protocol.name}-{protocol.crop_size}-of-{protocol.image_size}-{self.precision}"
        )
        identity = {
            "weights": backbone.sha256,
            "images": fingerprint,
            "protocol": protocol.name,
            "pooling": protocol.pooling,
            "image_size": protocol.image_size,
            "crop_size": protocol.crop_size,
            "precision": self.precision,
            "torch": torch.__version__,
        }
        files = {}
        for name in choose_stages(backbone.network, self.stages):
            spec = backbone.network.specs[name]
            grid = protocol.grid(name, spec)
            shape = (len(images.source), spec.channels * grid**2)
            files[name] = FeatureFile(folder, name, shape, identity | {"grid": grid})
        return folder, files

    def _write(
        self, images: LabelledImages, files: Mapping[str, FeatureFile], broken: BrokenFiles, stop: StopSignal
    ) -> list[Unreadable]:
        """Write all rows of the files, which rank 0 created; the unreadable images that all processes met.

        Raises:
            RunFailedError: too many images are unreadable, or a feature is NaN or infinite.
            StoppedError: a signal came.
        """
        world, protocol = self.world, self.protocol
        rows = {stage: file.open_rows() for stage, file in files.items()}
        network = self.backbone.network.to(world.device).to(memory_format=torch.channels_last)
        num_images = len(images.source)
        batches = batches_in_order(
            images.source,
            protocol.central_cut(),
            short_side=protocol.image_size,
            batch_size=self.batch_size,
            rank=world.rank,
            world_size=world.size,
            num_workers=self.num_workers,
        )
        mine: list[Unreadable] = []
        num_rounds = -(-num_images // (self.batch_size * world.size))
        start = time.perf_counter()
        with (
            Progress(num_rounds, unit="batch", visible=world.is_main) as progress,
            frozen(network),
            torch.inference_mode(),
        ):
            progress.say(
                f"extracts {', '.join(files)} of {num_images} images into {next(iter(files.values())).path.parent}"
            )
            computed = self._computed(batches, files)
            for done in range(1, num_rounds + 1):
                pair = next(computed, None)  # another process may have one batch more than this one
                if pair is not None:
                    batch, features = pair
                    _write_rows(rows, batch, features)
                    broken_indices = batch.indices[batch.broken].tolist()
                    mine += [(i, *error) for i, error in zip(broken_indices, batch.errors, strict=True)]
                if stop.agreed():
                    raise _stopped(stop)
                progress.advance()
                if done % SHOW_EVERY == 0 or done == num_rounds:
                    unreadable = list(chain.from_iterable(world.gather(mine)))
                    for line in broken.add((name, reason) for _, name, reason in unreadable):
                        progress.say(line)
                    num_done = min(done * self.batch_size * world.size, num_images)
                    broken.check(num_done)
                    rate = num_done / (time.perf_counter() - start)
                    progress.show(done, {"images/s": rate}, (num_images - num_done) / rate)
        for row_map in rows.values():
            row_map.flush()
        world.wait()
        return unreadable

    def _computed(
        self, batches: Iterable[Batch], stages: Collection[str]
    ) -> Iterator[tuple[Batch, dict[str, Tensor]]]:
        """The batches with their features on the CPU, one late: a GPU is at the next while one is written."""
        network, device = self.backbone.network, self.world.device
        on_gpu = device.type == "cuda"
        autocast = torch.autocast(device.type, torch.bfloat16, enabled=self.precision == "bfloat16")
        on_the_way = None
        for batch in batches:
            rgb = (batch.rgb.pin_memory() if on_gpu else batch.rgb).to(device, non_blocking=True)
            with autocast:
                outputs = network.forward_stages(rgb / 255, stages)
            features = {
                stage: self.protocol.pool(stage, network.specs[stage], output.float())
                .flatten(1)
                .to("cpu", non_blocking=True)  # into page-locked memory
                for stage, output in outputs.items()
            }
            arrival = torch.cuda.current_stream().record_event() if on_gpu else None
            if on_the_way is not None:
                yield _arrived(*on_the_way)
            on_the_way = (batch, features, arrival)
        if on_the_way is not None:
            yield _arrived(*on_the_way)


def _file_name(name: str, sha256: str) -> str:
    return re.sub(r"[^\w.+]+", "-", name).strip("-.") + "-" + sha256[:HASH_LENGTH]


def _stopped(stop: StopSignal) -> StoppedError:
    """What every process raises after a signal."""
    return StoppedError(
        "stopped; stages that are wholly extracted are kept, the same command resumes", stop.agreed()
    )


def _arrived(
    batch: Batch, features: dict[str, Tensor], arrival: torch.cuda.Event | None
) -> tuple[Batch, dict[str, Tensor]]:
    if arrival is not None:
        arrival.synchronize()
    return batch, features


def _write_rows(rows: Mapping[str, np.memmap], batch: Batch, features: Mapping[str, Tensor]) -> None:
    """Raises RunFailedError if a feature is NaN or infinite."""
    for stage, values in features.items():
        if not values.sum().isfinite():
            raise RunFailedError(
                f"{stage} has features that are NaN or infinite (images {batch.indices[0]} to {batch.indices[-1]}); "
                "take other weights, or --precision float32"
            )
        rows[stage][batch.indices] = values.numpy()
