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
from transfer.backbone import AnyBackbone, OpenedBackbone, open_backbone
from transfer.config import FeatureConfig
from transfer.data.labelled import LabelledImages
from transfer.features.files import FeatureFile, Features, Unreadable, check_space, claimed
from transfer.features.folder import ExtractedBackbone
from transfer.features.protocols import LinearProtocol
from transfer.partial_training import frozen
from transfer.runs import Run, Tested
from transfer.stages import choose_stages

HASH_LENGTH = 10  # of the hashes in the names of folders; the whole ones are in the files' descriptions
SHOW_EVERY = 10  # batches
MARK_EVERY = 30.0  # seconds that a killed extraction loses at most


def extract_all(
    config: FeatureConfig,
    run: Run,
    backbone: Tested,
    protocol: LinearProtocol,
    sets: Sequence[LabelledImages],
) -> list[dict[str, Features]]:
    """The features of several sets of images; without `config.cache` they are gone after `run`.

    Raises as `FeatureExtractor.extract` and `FeatureSource.choose`.
    """
    if isinstance(backbone, ExtractedBackbone):
        return [images.features.choose(config.stages) for images in sets if images.features]
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
    folder = feature_folder(config.cache, run)
    # Fingerprints are expensive for images in memory, and needless in a folder that no other command sees.
    return [
        extractor.extract_cached(images, folder, images.fingerprint() if config.cache else f"set {number}")
        for number, images in enumerate(sets)
    ]


def feature_folder(cache: str | None, run: Run) -> Path:
    """The folder for features: the cache, or one that is gone after `run`."""
    return Path(cache or run.world.on_main(lambda: run.held.enter_context(TemporaryDirectory())))


def open_tested(
    config: FeatureConfig,
    backbone: AnyBackbone | None,
    protocol: LinearProtocol,
    sets: Sequence[LabelledImages],
) -> tuple[Tested, str]:
    """The backbone whose features are tested, and of which protocol they are, as results describe it.

    Args:
        backbone: None where the sets, the training images first, are folders of features.

    Raises:
        ValueError: a backbone and features, neither, or features of several backbones, protocols or sets of stages.
    """
    train, *others = sets
    if backbone is not None:
        for images in sets:
            if images.features:
                raise ValueError(
                    f"{images.features.folder} holds features already; leave the backbone out, or give images"
                )
        opened = open_backbone(
            backbone, config.seed, lambda: train.random_crops(protocol.train_cut(), config.seed)
        )
        return opened, protocol.described()
    if train.features is None:
        raise ValueError("there is no backbone; give --backbone.model, or features:FOLDER as data")
    ours = train.features
    for images in others:
        theirs = images.features
        if (
            theirs is None
            or theirs.backbone != ours.backbone
            or theirs.features.keys() != ours.features.keys()
        ):
            found = f"{theirs.folder} has {theirs.described()}" if theirs else f"{images.name} are images"
            raise ValueError(
                f"{ours.folder} has {ours.described()}, but {found}; extract all sets with the same backbone, protocol "
                "and stages"
            )
    return ours.backbone, ours.backbone.protocol


@dataclass(frozen=True, kw_only=True)
class FeatureExtractor:
    """Extracts the pooled, flattened features of the central crops of images, and keeps them on disk.

    Args:
        stages: which ones; None takes all.
        batch_size: images in one forward pass of a process.
        precision: float32, or bfloat16, which autocasts.
        dtype: of the kept features, float32 or float16.
        visible: whether it says what it does.
    """

    backbone: OpenedBackbone
    protocol: LinearProtocol
    stages: Sequence[str] | None
    batch_size: int
    precision: str
    dtype: str = "float32"
    num_workers: int
    max_broken_share: float
    world: World
    visible: bool = True

    def extract_cached(self, images: LabelledImages, cache: Path, fingerprint: str) -> dict[str, Features]:
        """`extract` into a folder of a cache, whose name says of which network, images and protocol it is."""
        backbone, protocol = self.backbone, self.protocol
        folder = (
            cache
            / _file_name(backbone.name, backbone.sha256)
            / _file_name(images.name, fingerprint)
            / f"{protocol.name}-{protocol.crop_size}-of-{protocol.image_size}-{self.precision}"
        )
        return self.extract(images, folder, fingerprint)

    def extract(self, images: LabelledImages, folder: Path, fingerprint: str) -> dict[str, Features]:
        """Stage -> features, in order of depth.

        What lies in `folder` is used, the rest is extracted in one pass over the images, from where an interrupted
        extraction had got to; every process writes its share of the rows.

        Args:
            fingerprint: of the images; features of images with another one are not used.

        Raises:
            ValueError: there is no such stage.
            RunFailedError: too many images are unreadable, a feature is NaN or infinite, or the disk is full.
            StoppedError: SIGINT or SIGTERM came.
        """
        num_images = len(images.source)
        world, broken = self.world, self._broken_files(images)
        files = self._files(images, folder, fingerprint)
        with StopSignal(world) as stop, claimed(folder, world, stop) as is_claimed:
            if not is_claimed:
                raise _stopped(stop)
            rows_done = world.gather({stage: file.rows_done for stage, file in files.items()})[0]
            missing = {stage: files[stage] for stage, rows in rows_done.items() if rows < num_images}
            if missing:
                if world.is_main:
                    _make(missing.values(), folder)
                world.wait()
                # A batch is always of the same images, so that its features are the same to the last bit.
                rows_at_once = self.batch_size * world.size
                start = min(rows_done[stage] for stage in missing) // rows_at_once * rows_at_once
                self._write(images, missing, start, stop)
                world.wait()
            broken.add((name, reason) for file in files.values() for _, name, reason in file.unreadable())
            broken.check(num_images)
            if broken.reasons and world.is_main and self.visible:
                print(f"{len(broken.reasons)} of {num_images} images are left out: {broken.listing()}")
        return {stage: file.features() for stage, file in files.items()}

    def _broken_files(self, images: LabelledImages) -> BrokenFiles:
        return BrokenFiles({}, num_images=len(images.source), max_share=self.max_broken_share)

    def _files(self, images: LabelledImages, folder: Path, fingerprint: str) -> dict[str, FeatureFile]:
        """Stage -> the file that is or will be there."""
        backbone, protocol = self.backbone, self.protocol
        identity = {
            "backbone": backbone.name,
            "weights": backbone.sha256,
            "images": fingerprint,
            "protocol": protocol.name,
            "described": protocol.described(),
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
            own = {"grid": grid, "depth": list(backbone.network.specs).index(name)}
            files[name] = FeatureFile(folder, name, shape, self.dtype, identity | own)
        return files

    def _write(
        self, images: LabelledImages, files: Mapping[str, FeatureFile], start: int, stop: StopSignal
    ) -> None:
        """Write the rows of the files from `start` on.

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
            start=start,
            rank=world.rank,
            world_size=world.size,
            num_workers=self.num_workers,
        )
        unreadable = {error for file in files.values() for error in file.unreadable() if error[0] < start}
        broken = self._broken_files(images)
        broken.add((name, reason) for _, name, reason in unreadable)
        mine: list[Unreadable] = []

        def mark(num_done: int) -> None:
            """Say what is on disk, so that an interrupted extraction resumes from there."""
            for row_map in rows.values():
                row_map.flush()
            new = chain.from_iterable(world.gather(mine))  # when all have written theirs
            unreadable.update(new)
            if world.is_main:
                for file in files.values():
                    file.mark(num_done, unreadable)

        first_round, num_rounds = (
            -(-count // (self.batch_size * world.size)) for count in (start, num_images)
        )
        begin = marked = time.perf_counter()
        with (
            Progress(
                num_rounds, initial=first_round, unit="batch", visible=world.is_main and self.visible
            ) as progress,
            frozen(network),
            torch.inference_mode(),
        ):
            where = next(iter(files.values())).path.parent
            resumed = f", from image {start} on" if start else ""
            progress.say(f"extracts {', '.join(files)} of {num_images} images into {where}{resumed}")
            computed = self._computed(batches, files)
            for done in range(first_round + 1, num_rounds + 1):
                pair = next(computed, None)  # another process may have one batch more than this one
                if pair is not None:
                    batch, features = pair
                    _write_rows(rows, batch, features)
                    broken_indices = batch.indices[batch.broken].tolist()
                    mine += [(i, *error) for i, error in zip(broken_indices, batch.errors, strict=True)]
                num_done = min(done * self.batch_size * world.size, num_images)
                if stop.agreed():
                    mark(num_done)
                    raise _stopped(stop)
                progress.advance()
                if done % SHOW_EVERY == 0 or done == num_rounds:
                    is_time = time.perf_counter() - marked > MARK_EVERY
                    gathered = world.gather((mine, is_time))
                    for line in broken.add(
                        (name, reason) for errors, _ in gathered for _, name, reason in errors
                    ):
                        progress.say(line)
                    broken.check(num_done)
                    if gathered[0][1] or done == num_rounds:
                        mark(num_done)
                        marked = time.perf_counter()
                    rate = (num_done - start) / (time.perf_counter() - begin)
                    progress.show(done, {"images/s": rate}, (num_images - num_done) / rate)

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


def _make(files: Iterable[FeatureFile], folder: Path) -> None:
    """Create those that cannot be used as far as they go, and say why."""
    files = [file for file in files if file.flaw()]
    for file in files:
        if file.is_there:
            print(f"extracts {file.path} again: {file.flaw()}", flush=True)
    check_space(files, folder)
    for file in files:
        file.create()


def _file_name(name: str, sha256: str) -> str:
    return re.sub(r"[^\w.+]+", "-", name).strip("-.") + "-" + sha256[:HASH_LENGTH]


def _stopped(stop: StopSignal) -> StoppedError:
    """What every process raises after a signal."""
    return StoppedError("stopped; what is extracted is kept, the same command resumes", stop.agreed())


def _arrived(
    batch: Batch, features: dict[str, Tensor], arrival: torch.cuda.Event | None
) -> tuple[Batch, dict[str, Tensor]]:
    if arrival is not None:
        arrival.synchronize()
    return batch, features


def _write_rows(rows: Mapping[str, np.memmap], batch: Batch, features: Mapping[str, Tensor]) -> None:
    """Write a row for each image, NaN for one that could not be read.

    Raises:
        RunFailedError: a feature is NaN, infinite or too large for the file's type.
    """
    for stage, values in features.items():
        dtype = rows[stage].dtype
        with np.errstate(over="ignore"):
            written = values.numpy().astype(dtype)
        if not np.isfinite(written.sum(dtype=np.float32)):
            raise RunFailedError(
                f"{stage} has features that are NaN, infinite or too large for {dtype} (images {batch.indices[0]} to "
                f"{batch.indices[-1]}); take other weights, or --precision float32 and --dtype float32"
            )
        written[batch.broken] = np.nan
        rows[stage][batch.indices] = written
