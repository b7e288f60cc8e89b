import contextlib
import json
import signal
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pretext.runtime.checkpoint import load_checkpoint
from tests.end_to_end.small_run import finish, small, start


def weights(run_dir):
    return load_checkpoint(run_dir / "checkpoints" / "last.pt")["network"]


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A finished run of 12 steps."""
    run_dir = tmp_path_factory.mktemp("undisturbed") / "run"
    finish(small(run_dir, steps=12))
    return run_dir


def test_a_run_leaves_all_that_the_run_directory_promises(undisturbed):
    assert yaml.safe_load((undisturbed / "config.yaml").read_text())["network"]["width"] == 0.125
    assert json.loads((undisturbed / "environment.json").read_text())["packages"]["torch"] == version("torch")
    rows = [json.loads(line) for line in (undisturbed / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "loss" in row] == list(range(1, 13))
    validation = rows[-1]
    assert validation["step"] == 12
    assert {
        "validation_loss",
        "validation_loss_unweighted",
        "validation_constant_answer",
    } <= validation.keys()
    for picture in ("curves.png", "samples/step_0000012.png"):
        assert np.asarray(Image.open(undisturbed / picture)).std() > 0
    events = EventAccumulator(str(undisturbed / "tensorboard")).Reload()
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 13))
    assert [event.step for event in events.Images("gallery")] == [12]


def test_a_run_killed_at_five_random_moments_ends_with_the_weights_of_one_that_was_not(tmp_path, undisturbed):
    seed = np.random.SeedSequence().entropy
    print(f"moments from seed {seed}")
    rng = np.random.default_rng(seed)
    for _ in range(5):
        with start(small(tmp_path / "run", steps=12)) as process:
            lines = int(rng.integers(1, 6))
            for line in process.stdout:
                lines -= line.startswith(("step", "going on"))
                if lines == 0:
                    break
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=float(rng.uniform(0, 0.2)))
            process.kill()
    finish(small(tmp_path / "run", steps=12))
    assert_same_weights(weights(tmp_path / "run"), weights(undisturbed))
    steps = [
        json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == sorted(steps)
    assert set(steps) == set(range(1, 13))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_save_at_the_next_step_and_the_same_command_goes_on(
    tmp_path, undisturbed, number, status
):
    arguments = small(tmp_path / "run", steps=12, save_every=1000, data__num_workers=1)
    with start(arguments) as process:
        for line in process.stdout:
            if line.startswith("step 3/"):
                process.send_signal(number)
                break
        output = process.stdout.read()
    assert process.returncode == status, output
    assert f"stopped by {number.name} after step" in output
    assert "the same command goes on: pretext train" in output
    assert 3 <= load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["step"] < 12
    assert "going on after step" in finish(arguments)
    assert_same_weights(weights(tmp_path / "run"), weights(undisturbed))


RECORD = """
import sys
import pretext.train
from pretext.config import TrainConfig
from pretext.runtime.command_line import parse_config

original, folder = pretext.train.training_batches, sys.argv[1]

def recorded(*args, rank, **options):
    with open(f"{folder}/rank{rank}.txt", "a") as file:
        for batch in original(*args, rank=rank, **options):
            rows = zip(batch.positions.tolist(), batch.indices.tolist(), batch.rgb.flatten(1).sum(1).tolist())
            file.write("".join(f"{position} {index} {checksum}\\n" for position, index, checksum in rows))
            file.flush()
            yield batch

pretext.train.training_batches = recorded
pretext.train.train(parse_config("test", TrainConfig, sys.argv[3:]))
"""


def test_going_from_one_to_two_processes_in_mid_epoch_shows_the_same_sequence_of_samples(tmp_path):
    script = tmp_path / "record.py"
    script.write_text(RECORD)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    recorded = {}
    for name, processes in (("one", [1, 1]), ("two", [1, 2])):
        (tmp_path / name).mkdir()
        for steps, count in zip((3, 6), processes, strict=True):
            # The first part is stopped by hand after step 3 (12 of the samples of epochs of 5).
            argv = small(tmp_path / f"run_{name}", steps=6, save_every=1, log_every=1)
            launcher = [*torchrun, f"--nproc_per_node={count}", str(script)]
            output = ""
            with start([str(tmp_path / name), *argv], launcher=launcher) as process:
                for line in process.stdout:
                    output += line
                    if steps == 3 and "step 3/6" in line:
                        process.send_signal(signal.SIGTERM)
            if steps == 6:
                assert process.returncode == 0, output
                assert "going on after step" in output
        rows = {}
        for file in (tmp_path / name).iterdir():
            for line in file.read_text().splitlines():
                position, index, checksum = map(int, line.split())
                assert rows.setdefault(position, (index, checksum)) == (index, checksum)
        recorded[name] = rows
    assert recorded["one"].keys() == set(range(24))
    assert recorded["one"] == recorded["two"]
