"""One pass of a frozen backbone over images, whose features go to files."""

import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from pretext.broken_files import BrokenFiles
from pretext.runtime.command_line import RunFailedError, StoppedError
from pretext.runtime.distributed import World
from pretext.runtime.progress import Progress
from pretext.runtime.stop_signal import StopSignal
from transfer.backbone import OpenedBackbone, TransferBackbone, frozen
from transfer.classification.feature_files import FeatureFile, Unreadable
from transfer.classification.protocols import LinearProtocol
from transfer.config import DataConfig, FeaturesConfig
from transfer.data.batches import LabelledBatch, test_batches
from transfer.data.crops import central_crop
from transfer.data.labelled import LabelledImages

SHOW_EVERY = 10  # batches


def write_features(
    opened: OpenedBackbone,
    images: LabelledImages,
    protocol: LinearProtocol,
    config: FeaturesConfig,
    files: Mapping[str, FeatureFile],
    *,
    data: DataConfig,
    world: World,
    stop: StopSignal,
) -> list[Unreadable]:
    """Write all rows of the files, which rank 0 created; the unreadable images that all processes met.

    Raises:
        RunFailedError: too many images are unreadable, or a feature is NaN or infinite.
        StoppedError: a signal came.
    """
    rows = {stage: file.open_rows() for stage, file in files.items()}
    network = opened.network.to(world.device).to(memory_format=torch.channels_last)
    num_images = len(images.source)
    batches = test_batches(
        images,
        partial(central_crop, image_size=protocol.image_size, crop_size=protocol.crop_size),
        batch_size=config.batch_size,
        world=world,
        num_workers=data.num_workers,
        short_side=protocol.image_size,
    )
    autocast = torch.autocast(world.device.type, torch.bfloat16, enabled=config.precision == "bfloat16")
    broken = BrokenFiles({}, num_images=num_images, max_share=data.max_broken_share)
    mine: list[Unreadable] = []
    num_rounds = -(-num_images // (config.batch_size * world.size))
    start = time.perf_counter()
    with (
        Progress(num_rounds, unit="batch", visible=world.is_main) as progress,
        frozen(network),
        torch.inference_mode(),
    ):
        progress.say(
            f"extracts {', '.join(files)} of {num_images} images into {next(iter(files.values())).path.parent}"
        )
        computed = _computed(network, batches, protocol, files, autocast, world.device)
        for done in range(1, num_rounds + 1):
            found = next(computed, None)  # another process may have one batch more than this one
            if found is not None:
                batch, features = found
                _write(rows, batch, features)
                broken_indices = batch.indices[batch.broken].tolist()
                mine += [(i, *error) for i, error in zip(broken_indices, batch.errors, strict=True)]
            if stop.agreed():
                raise stopped(stop)
            progress.advance()
            if done % SHOW_EVERY == 0 or done == num_rounds:
                unreadable = list(chain.from_iterable(world.gather(mine)))
                for line in broken.add((name, reason) for _, name, reason in unreadable):
                    progress.say(line)
                num_done = min(done * config.batch_size * world.size, num_images)
                broken.check(num_done)
                rate = num_done / (time.perf_counter() - start)
                progress.show(done, {"images/s": rate}, (num_images - num_done) / rate)
    for row_map in rows.values():
        row_map.flush()
    world.wait()
    return unreadable


def stopped(stop: StopSignal) -> StoppedError:
    """What every process raises after a signal."""
    return StoppedError(
        "stopped; stages that are wholly extracted are kept, give the same command to go on", stop.agreed()
    )


def _computed(
    network: TransferBackbone,
    batches: Iterable[LabelledBatch],
    protocol: LinearProtocol,
    stages: Collection[str],
    autocast: torch.autocast,
    device: torch.device,
) -> Iterator[tuple[LabelledBatch, dict[str, Tensor]]]:
    """The batches with their features, on the CPU; one behind, so that a GPU is at the next while one is written."""
    on_gpu = device.type == "cuda"
    on_the_way: deque[tuple[LabelledBatch, dict[str, Tensor], torch.cuda.Event | None]] = deque()
    for batch in batches:
        rgb = (batch.rgb.pin_memory() if on_gpu else batch.rgb).to(device, non_blocking=True)
        with autocast:
            outputs = network.forward_stages(rgb / 255, stages)
        features = {
            stage: protocol.pool(stage, network.stages[stage], output.float())
            .flatten(1)
            .to("cpu", non_blocking=True)  # into page-locked memory
            for stage, output in outputs.items()
        }
        arrival = torch.cuda.current_stream().record_event() if on_gpu else None
        on_the_way.append((batch, features, arrival))
        if len(on_the_way) > 1:
            yield _arrived(*on_the_way.popleft())
    if on_the_way:
        yield _arrived(*on_the_way.popleft())


def _arrived(
    batch: LabelledBatch, features: dict[str, Tensor], arrival: torch.cuda.Event | None
) -> tuple[LabelledBatch, dict[str, Tensor]]:
    if arrival is not None:
        arrival.synchronize()
    return batch, features


def _write(rows: Mapping[str, np.memmap], batch: LabelledBatch, features: Mapping[str, Tensor]) -> None:
    """Raises RunFailedError if a feature is NaN or infinite."""
    for stage, values in features.items():
        if not values.sum().isfinite():
            raise RunFailedError(
                f"{stage} has features that are NaN or infinite (images {batch.indices[0]} to {batch.indices[-1]}); "
                "take other weights, or --features.precision float32"
            )
        rows[stage][batch.indices] = values.numpy()
