import contextlib
import json
import os
import signal
import subprocess
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pretext.color.bins import AbBins
from pretext.pretrained import load_pretrained
from pretext.prior import save_bins
from pretext.runtime.checkpoint import load_checkpoint
from tests.end_to_end.small_run import TORCHRUN, small, start, trained


def weights(run_dir):
    return load_checkpoint(run_dir / "checkpoints" / "last.pt")["network"]


def assert_same_weights(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A finished run of 12 steps."""
    return trained(tmp_path_factory.mktemp("undisturbed") / "run", steps=12)


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


@pytest.mark.slow
def test_a_run_killed_at_five_random_moments_ends_with_the_weights_of_one_that_was_not(tmp_path, undisturbed):
    seed = np.random.SeedSequence().entropy
    print(f"moments from seed {seed}")
    rng = np.random.default_rng(seed)
    for _ in range(5):
        with start(small(tmp_path / "run", steps=12)) as process:
            lines = int(rng.integers(1, 6))
            for line in process.stdout:
                lines -= line.startswith(("step", "resumes"))
                if lines == 0:
                    break
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=float(rng.uniform(0, 0.2)))
            process.kill()
    trained(tmp_path / "run", steps=12)
    assert_same_weights(weights(tmp_path / "run"), weights(undisturbed))
    steps = [
        json.loads(line)["step"] for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == sorted(steps)
    assert set(steps) == set(range(1, 13))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_save_at_the_next_step_and_the_same_command_goes_on(
    tmp_path, pretext, undisturbed, number, status
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
    assert "the same command resumes: pretext train" in output
    assert 3 <= load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["step"] < 12
    _, printed, _ = pretext(*arguments)
    assert "resumes after step" in printed
    assert_same_weights(weights(tmp_path / "run"), weights(undisturbed))


RECORD = """
import sys
import pretext.training
from pretext.config import TrainConfig
from pretext.runtime.command_line import parse_config

original, folder = pretext.training.shuffled_batches, sys.argv[1]

def recorded(*args, rank, **options):
    with open(f"{folder}/rank{rank}.txt", "a") as file:
        for batch in original(*args, rank=rank, **options):
            rows = zip(batch.positions.tolist(), batch.indices.tolist(), batch.rgb.flatten(1).sum(1).tolist())
            file.write("".join(f"{position} {index} {checksum}\\n" for position, index, checksum in rows))
            file.flush()
            yield batch

pretext.training.shuffled_batches = recorded
pretext.training.run(parse_config("test", TrainConfig, sys.argv[3:]))
"""


@pytest.mark.slow
def test_going_from_one_to_two_processes_in_mid_epoch_shows_the_same_sequence_of_samples(tmp_path):
    script = tmp_path / "record.py"
    script.write_text(RECORD)
    recorded = {}
    # The first process of the interrupted run is stopped by hand after step 3 (12 of the samples of epochs of 5).
    for name, processes in (("uninterrupted", [1]), ("interrupted", [1, 2])):
        (tmp_path / name).mkdir()
        argv = [str(tmp_path / name), *small(tmp_path / f"run_{name}", steps=6, save_every=1)]
        for count in processes:
            launcher = [*TORCHRUN[:-1], f"--nproc_per_node={count}", str(script)]
            output = ""
            with start(argv, launcher=launcher) as process:
                for line in process.stdout:
                    output += line
                    if name == "interrupted" and count == 1 and "step 3/6" in line:
                        process.send_signal(signal.SIGTERM)
        assert process.returncode == 0, output
        rows = {}
        for file in (tmp_path / name).iterdir():
            for line in file.read_text().splitlines():
                position, index, checksum = map(int, line.split())
                assert rows.setdefault(position, (index, checksum)) == (index, checksum)
        recorded[name] = rows
    assert "resumes after step" in output
    assert recorded["uninterrupted"].keys() == set(range(24))
    assert recorded["uninterrupted"] == recorded["interrupted"]


def test_sgd_moves_by_the_rate_times_its_sum_of_gradients(tmp_path):
    options = {"optim__optimizer": "sgd", "optim__lr": 0.01, "optim__momentum": 0.8}
    run = trained(tmp_path / "run", **options, steps=2, keep_every=1)
    before, after = (load_checkpoint(run / "checkpoints" / name) for name in ("step_0000001.pt", "last.pt"))
    assert after["optimizer"]["param_groups"][0]["momentum"] == 0.8
    learned = [name for name, of in load_pretrained(run).network.named_parameters() if of.requires_grad]
    assert len(learned) == len(after["optimizer"]["state"]) > 20
    for name, of in zip(learned, after["optimizer"]["state"].values(), strict=True):
        torch.testing.assert_close(
            after["network"][name], before["network"][name] - 0.01 * of["momentum_buffer"]
        )


def test_a_finished_run_given_more_steps_ends_as_one_that_was_given_them_at_once(
    tmp_path, pretext, undisturbed
):
    assert pretext(*small(tmp_path / "run", steps=7))[0] == 0
    assert pretext(*small(tmp_path / "run", steps=12, accumulation_steps=1, compile="false"))[0] == 0
    assert_same_weights(weights(tmp_path / "run"), weights(undisturbed))
    status, _, errors = pretext(*small(tmp_path / "run", steps=5))
    assert status == 2
    assert "already at step 12, beyond the 5 steps asked for" in errors


def test_a_run_with_the_cosine_schedule_cannot_be_given_more_steps(tmp_path, pretext):
    assert pretext(*small(tmp_path / "run", optim__schedule="cosine", steps=1))[0] == 0
    status, _, errors = pretext(*small(tmp_path / "run", optim__schedule="cosine", steps=2))
    assert status == 2
    assert "(steps: 1 there, 2 now, and the cosine schedule depends on it)" in errors


def test_a_run_is_not_resumed_on_as_many_other_images(tmp_path, pretext, monkeypatch):
    for name in ("a", "b", "c"):
        Image.fromarray(np.full((40, 40, 3), (90, 20, 30), np.uint8)).save(tmp_path / f"{name}.png")
    arguments = small("run", data__train=".", steps=1, batch_size=2)
    (tmp_path / "d.heic").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    status, output, _ = pretext(*arguments)
    assert status == 0
    assert ".: left out, as no images that Pillow reads: 1 .heic\n" in output
    (tmp_path / "b.png").rename(tmp_path / "d.png")
    status, _, errors = pretext(*arguments)
    assert status == 2
    assert ". no longer holds the images, by number and names, with which run was started" in errors


def test_a_second_start_on_a_run_is_refused_and_does_not_disturb_the_first(tmp_path, pretext):
    arguments = small(tmp_path / "run", steps=100_000, save_every=1)
    with start(arguments) as first:
        for line in first.stdout:
            if line.startswith("step 2/"):
                break
        status, _, errors = pretext(*arguments)
        assert status == 2
        assert f"{tmp_path / 'run'} is in use by process {first.pid} on " in errors
        for line in first.stdout:
            if line.startswith("step "):
                break
        first.send_signal(signal.SIGTERM)
        output = first.stdout.read()
    assert first.returncode == 143, output


def test_a_killed_reader_costs_nothing_that_was_learnt(tmp_path, pretext, undisturbed):
    arguments = small(tmp_path / "run", steps=12, save_every=1000, data__num_workers=1)
    with start(arguments) as process:
        readers = ""
        for line in process.stdout:
            if line.startswith("step 2/"):
                children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
                readers = children.read_text().split()
                for reader in readers:
                    os.kill(int(reader), signal.SIGKILL)
                break
        output = process.stdout.read()
    assert readers
    assert process.returncode == 1, output
    assert "Traceback" not in output
    assert "ended from outside (SIGKILL)" in output.splitlines()[-1]
    step = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["step"]
    assert f"saved after step {step} in" in output
    assert step >= 2
    assert pretext(*arguments)[0] == 0
    assert_same_weights(weights(tmp_path / "run"), weights(undisturbed))


@pytest.mark.parametrize("exported", [False, True])
def test_a_run_starts_from_the_weights_it_is_given(tmp_path, pretext, undisturbed, exported):
    init = undisturbed
    if exported:
        init = tmp_path / "weights.safetensors"
        assert pretext("export", undisturbed, "--out", init)[0] == 0
    status, output, errors = pretext(*small(tmp_path / "run", init=init, steps=1, optim__lr=0.0, seed=3))
    assert status == 0, errors
    assert (
        f"starts from the weights of {init / 'checkpoints/last.pt' if not exported else init} after step 12\n"
        in output
    )
    new, old = weights(tmp_path / "run"), weights(undisturbed)
    for name, value in old.items():
        if "running_" not in name and "num_batches" not in name:  # BatchNorm counts what it sees
            assert torch.equal(new[name], value), name


@pytest.mark.parametrize(
    ("changes", "new"),
    [
        ({"task": "colorization_regression"}, "model8.6.weight, model8.6.bias"),
        ({"task_args__bins": "BINS"}, "model8.6.weight, model8.6.bias, model_out.weight"),
    ],
)
def test_other_bins_or_another_task_start_from_all_other_layers(tmp_path, pretext, undisturbed, changes, new):
    """The 313 bins of the file lie elsewhere: the shapes are the same, but the logits stand for other colours."""
    bins = AbBins.published()
    save_bins(AbBins(centres=bins.centres.flip(0), prior=bins.prior.flip(0)), tmp_path / "bins.json")
    changes = {key: value.replace("BINS", str(tmp_path / "bins.json")) for key, value in changes.items()}
    status, output, errors = pretext(
        *small(tmp_path / "run", init=undisturbed, steps=1, optim__lr=0.0, seed=3, **changes)
    )
    assert status == 0, errors
    assert (
        f"starts from the weights of {undisturbed}/checkpoints/last.pt after step 12; new, for another output: {new}\n"
        in output
    )
    now, before = weights(tmp_path / "run"), weights(undisturbed)
    assert torch.equal(now["model7.4.weight"], before["model7.4.weight"])
    assert not torch.equal(now["model8.6.weight"].flatten()[:10], before["model8.6.weight"].flatten()[:10])


def test_weights_of_another_network_are_no_start(tmp_path, pretext, undisturbed):
    status, _, errors = pretext(*small(tmp_path / "run", init=undisturbed, network__width=0.25))
    assert status == 2
    assert "eccv16 (width 0.125), but eccv16 (width 0.25) is to be trained; set network.name" in errors
    status, _, errors = pretext(*small(tmp_path / "run", init="eccv16-photograps"))
    assert status == 2
    assert "did you mean 'eccv16-photographs'" in errors
    assert not (tmp_path / "run").exists()


def save_pictures(folder, colours):
    folder.mkdir()
    for name, colour in colours.items():
        pixels = np.random.default_rng(0).integers(0, 60, (40, 40, 1)) + np.array(colour)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{name}.png")


@pytest.mark.parametrize("bins", ["imagenet", "data"])
def test_grey_photographs_alone_are_refused_before_anything_is_made(tmp_path, pretext, bins):
    save_pictures(tmp_path / "old", dict.fromkeys("abcdef", (90, 90, 90)))
    status, _, errors = pretext(*small(tmp_path / "run", data__train=tmp_path / "old", task_args__bins=bins))
    assert status == 2
    assert f"there is no colour to learn in {tmp_path / 'old'}: all of 6 images looked at are grey" in errors
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("task", ["colorization", "colorization_regression"])
def test_grey_batches_and_grey_validation_leave_no_nan_in_the_metrics(tmp_path, pretext, task):
    """One photograph of six has colour, and steps take two: some see it, some do not."""
    save_pictures(tmp_path / "photos", dict.fromkeys("abcde", (90, 90, 90)) | {"f": (190, 30, 90)})
    save_pictures(tmp_path / "grey", {"a": (90, 90, 90)})
    status, _, errors = pretext(
        *small(
            tmp_path / "run",
            data__train=tmp_path / "photos",
            data__validation=tmp_path / "grey",
            task=task,
            batch_size=2,
            steps=6,
            validate_every=3,
        )
    )
    assert status == 0, errors
    text = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert "NaN" not in text
    rows = [json.loads(line) for line in text.splitlines()]
    trained = [row for row in rows if "grey_images" in row]
    assert [row["grey_images"] == 2 for row in trained] == ["loss" not in row for row in trained]
    assert {row["grey_images"] == 2 for row in trained} == {True, False}
    assert all("validation_loss" not in row for row in rows)
