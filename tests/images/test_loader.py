import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from multiprocessing import active_children
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pretext.images.crops import central_square, random_crop_and_mirror
from pretext.images.folder import FolderSource
from pretext.images.loader import Batch, batches_in_order, shuffled_batches
from pretext.images.order import DataOrder, augmentation_rng
from pretext.images.workers import LostWorkerError

STEPS, BATCH = 6, 4


def crops(folder: Path, **options: Any) -> Iterator[Batch]:
    given = {"seed": 5, "num_steps": STEPS, "batch_size": BATCH} | options
    cut = partial(random_crop_and_mirror, image_size=64, crop_size=48)
    return shuffled_batches(FolderSource(folder), cut, short_side=64, **given)


def joined(batches: Iterator[Batch] | list[Batch]) -> tuple[torch.Tensor, list[int], list[int]]:
    listed = list(batches)
    return (
        torch.cat([batch.rgb for batch in listed]),
        [i for batch in listed for i in batch.positions.tolist()],
        [i for batch in listed for i in batch.indices.tolist()],
    )


def test_batches_follow_the_data_order_across_epochs(photo_folder: Path) -> None:
    """24 samples of 11 images: more than two epochs."""
    rgb, positions, indices = joined(crops(photo_folder))
    expected = DataOrder([11], seed=5).samples(range(24))
    assert positions == list(range(24))
    assert indices == [sample.index for sample in expected]
    source = FolderSource(photo_folder)
    for image, sample in zip(rgb, expected, strict=True):
        rng = augmentation_rng(5, sample)
        assert torch.equal(image, random_crop_and_mirror(source.open(sample.index), rng, 64, 48))


@pytest.mark.parametrize("options", [{"num_workers": 2}, {"micro_batches": 2}, {"micro_batches": 4}])
def test_workers_and_micro_batches_do_not_change_a_byte(options: dict[str, int], photo_folder: Path) -> None:
    expected, got = joined(crops(photo_folder)), joined(crops(photo_folder, **options))
    assert torch.equal(got[0], expected[0])
    assert got[1:] == expected[1:]


@pytest.mark.parametrize("start_step", [1, 4])
def test_a_run_resumed_in_mid_epoch_goes_on_as_if_it_had_not_stopped(
    start_step: int, photo_folder: Path
) -> None:
    rgb, positions, indices = joined(crops(photo_folder))
    rest = joined(crops(photo_folder, start_step=start_step))
    done = start_step * BATCH
    assert torch.equal(rest[0], rgb[done:])
    assert rest[1:] == (positions[done:], indices[done:])


def test_from_one_process_to_two_in_mid_epoch_the_global_batches_stay_the_same(photo_folder: Path) -> None:
    alone = list(crops(photo_folder))
    first, second = (crops(photo_folder, start_step=2, rank=rank, world_size=2) for rank in range(2))
    for whole, *halves in zip(alone[2:], first, second, strict=True):
        rgb, positions, indices = joined(halves)
        assert torch.equal(rgb, whole.rgb)
        assert positions == whole.positions.tolist()
        assert indices == whole.indices.tolist()


@pytest.mark.parametrize("num_workers", [0, 2])
def test_a_broken_file_keeps_its_place_and_is_named_each_time_it_comes(
    num_workers: int, photo_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(photo_folder, tmp_path / "photos")
    whole = joined(crops(photo_folder))
    (tmp_path / "photos/part0/photo04.jpg").write_bytes(b"\xff\xd8 truncated")
    batches = list(crops(tmp_path / "photos", num_workers=num_workers))
    broken = np.concatenate([batch.broken for batch in batches])
    rgb, positions, indices = joined(batches)
    assert (positions, indices) == whole[1:]
    assert np.array_equal(broken, np.array(indices) == 2)  # the third of part0
    assert torch.equal(rgb[~broken], whole[0][~broken])
    assert rgb[broken].max() == 0
    errors = [error for batch in batches for error in batch.errors]
    assert len(errors) == broken.sum() >= 2
    assert set(errors) == {("part0/photo04.jpg", "not an image in any format that Pillow reads")}


def test_a_loader_leaves_the_random_state_of_the_run_alone(photo_folder: Path) -> None:
    before = torch.get_rng_state()
    list(crops(photo_folder))
    squares = partial(central_square, size=16)
    list(batches_in_order(FolderSource(photo_folder), squares, short_side=16, batch_size=4))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("world_size", "num_workers"), [(1, 0), (1, 2), (3, 0), (16, 0)])
def test_validation_sees_the_central_square_of_each_image_once_over_all_ranks(
    world_size: int, num_workers: int, photo_folder: Path
) -> None:
    source = FolderSource(photo_folder)
    seen: list[int] = []
    for rank in range(world_size):
        for batch in batches_in_order(
            source,
            partial(central_square, size=40),
            short_side=40,
            batch_size=4,
            rank=rank,
            world_size=world_size,
            num_workers=num_workers,
        ):
            for image, index in zip(batch.rgb, batch.indices.tolist(), strict=True):
                assert torch.equal(image, central_square(source.open(index, 40), 40))
                seen.append(index)
    assert sorted(seen) == list(range(11))
    assert world_size > 1 or seen == sorted(seen)


def test_a_batch_that_cannot_be_shared_evenly_is_refused(photo_folder: Path) -> None:
    with pytest.raises(ValueError, match=r"a batch of 4 cannot be shared by 3 processes .* multiple of 6"):
        crops(photo_folder, world_size=3, micro_batches=2)


SIGNALLED_RUN = """
import signal, sys
from pathlib import Path
from pretext.images.folder import FolderSource
from functools import partial
from pretext.images.crops import random_crop_and_mirror
from pretext.images.loader import shuffled_batches

if __name__ == "__main__":
    cut = partial(random_crop_and_mirror, image_size=32, crop_size=32)
    batches = shuffled_batches(FolderSource(Path(sys.argv[1])), cut, short_side=32, seed=0, num_steps=10**6,
                               batch_size=4, num_workers=2)
    for _ in range(2):  # both workers have begun
        next(batches)
    received = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: received.append(number))
    print("running", flush=True)
    while len(received) < 2:
        next(batches)
    for _ in range(100):
        next(batches)
    print("still fed", flush=True)
    signal.pause()
"""


def test_workers_outlive_signals_to_the_group_but_not_their_killed_parent(photo_folder: Path) -> None:
    run = subprocess.Popen(
        [sys.executable, "-c", SIGNALLED_RUN, str(photo_folder)],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert run.stdout is not None
    assert run.stdout.readline() == b"running\n"
    os.killpg(run.pid, signal.SIGINT)
    os.killpg(run.pid, signal.SIGTERM)
    assert run.stdout.readline() == b"still fed\n"
    os.kill(run.pid, signal.SIGKILL)
    # The workers hold the pipe too: its end is theirs.
    assert run.communicate(timeout=30) == (b"", None)


def test_a_source_and_its_batches_pass_between_processes(photo_folder: Path) -> None:
    """Where processes are not forked, the source is pickled into the workers."""
    import pickle

    source = pickle.loads(pickle.dumps(FolderSource(photo_folder)))
    assert source.name(10) == "part1/photo09.jpg"
    np.testing.assert_array_equal(np.asarray(source.open(10)).shape, (100, 150, 3))


def test_a_killed_worker_is_named_where_a_batch_is_asked_for_and_nowhere_else(photo_folder: Path) -> None:
    before = signal.getsignal(signal.SIGCHLD)
    others = set(active_children())
    batches = crops(photo_folder, num_steps=1000, num_workers=2)
    next(batches)
    assert signal.getsignal(signal.SIGCHLD) is before, "a handler could raise in the middle of a step"
    workers = set(active_children()) - others
    for worker in workers:
        worker.kill()
        worker.join()
    with pytest.raises(LostWorkerError, match=r"ended from outside \(SIGKILL\).*give fewer data.num_workers"):
        for _ in batches:
            pass
