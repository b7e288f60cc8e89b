import json
import os
import signal
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import transfer.linear_probes.run
from pretext.runtime.checkpoint import load_checkpoint
from pretext.runtime.command_line import RunFailedError, StoppedError
from tests.end_to_end.small_run import TORCHRUN, finish
from transfer.backbone import open_backbone, state_hash
from transfer.classification import answers_to_all
from transfer.config import BackboneConfig, SelectionDataConfig
from transfer.linear_probes.config import LinearConfig
from transfer.linear_probes.run import epoch_ends, epochs_to_look_after, run
from transfer.results import read_records

BACKBONE = BackboneConfig(model="random:eccv16", width=0.125)
SAMPLE = SelectionDataConfig(train="sample", test="sample", image_size=40, crop_size=32, num_workers=0)
STAGES = ["conv1", "conv3"]


def small(out, **changes):
    config = LinearConfig(
        backbone=BACKBONE, data=SAMPLE, out=str(out), stages=STAGES, epochs=3, batch_size=4, device="cpu"
    )
    return replace(config, **changes)


def results(out):
    return {(r.stage, r.metric): r.value for r in read_records([out])}


def assert_same_checkpoint(one, other, **tolerance):
    one, other = (load_checkpoint(out / "checkpoints" / "last.pt") for out in (one, other))
    assert one["tests"] == other["tests"]
    for name, tensor in one["heads"].items():
        torch.testing.assert_close(tensor, other["heads"][name], **({"rtol": 0, "atol": 0} | tolerance))


@pytest.fixture
def classes(tmp_path):
    """Folders of training and of test images of a class each: one dark, one bright."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for name, light in (("dark", 40), ("bright", 200)):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number in range(4):
                pixels = light + rng.integers(-30, 30, size=(40, 44, 3))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png")
    return SelectionDataConfig(
        train=str(tmp_path / "train"), test=str(tmp_path / "val"), image_size=40, crop_size=32, num_workers=0
    )


def test_dark_and_bright_images_are_classified_in_every_protocol(tmp_path, classes):
    for protocol in ("zhang16", "goyal19", "deepcluster18", "rotnet18"):
        out = tmp_path / protocol
        run(small(out, data=classes, protocol=protocol, epochs=4, learning_rates=[0.001]))
        assert results(out)["conv1", "top1"] == 100


def test_every_stage_has_a_record_that_says_what_was_chosen(tmp_path, capsys):
    out = tmp_path / "out"
    run(small(out, learning_rates=[0.01, 0.1]))
    records = read_records([out])
    assert [(r.stage, r.metric, r.chosen_on) for r in records] == [
        (stage, "top1", "validation") for stage in STAGES
    ]
    (looked,) = load_checkpoint(out / "checkpoints" / "last.pt")["tests"]
    for record in records:
        of_rates = [metrics["top1"] for metrics in looked["metrics"][record.stage]]
        assert record.details["validation"] == {"top1": max(of_rates)}
        assert record.details["lr"] == (0.01, 0.1)[of_rates.index(max(of_rates))]
        assert record.weights == open_backbone(BACKBONE, 0).sha256
        assert record.protocol == "zhang16, 32 px of 40"
        assert record.details["train_images"] == 5
    printed = capsys.readouterr().out
    assert "top1 on validation" in printed
    assert "chosen by top1 on 5 of 10 training images, held out by seed 0; of the stages: conv" in printed
    assert str(out / "results.jsonl") in printed


def test_a_protocol_that_fixes_everything_trains_on_all_images_and_is_tested_once(tmp_path, monkeypatch):
    tested = []

    def counting(images, *args, **options):
        tested.append(len(images.labels))
        return answers_to_all(images, *args, **options)

    monkeypatch.setattr(transfer.linear_probes.run, "answers_to_all", counting)
    run(small(tmp_path))
    assert tested == [5]
    assert {(r.chosen_on, r.details["train_images"]) for r in read_records([tmp_path])} == {(None, 10)}


def test_the_protocols_own_rate_is_no_setting_but_a_shorter_training_is(tmp_path):
    run(small(tmp_path))
    assert {tuple(r.settings.items()) for r in read_records([tmp_path])} == {
        (("epochs", 3), ("batch_size", 4))
    }


def test_the_same_seed_gives_the_same_bits_twice(tmp_path):
    run(small(tmp_path / "one"))
    run(small(tmp_path / "two"))
    assert_same_checkpoint(tmp_path / "one", tmp_path / "two")
    assert read_records([tmp_path / "one"]) == read_records([tmp_path / "two"])


def test_a_stopped_training_goes_on_bit_for_bit(tmp_path, monkeypatch, capsys):
    run(small(tmp_path / "undisturbed", epochs=6, evaluate_every=1))
    original = transfer.linear_probes.run.shuffled_batches

    def stopping(*args, **options):
        for step, batch in enumerate(original(*args, **options)):
            if step == 4:  # in the middle of the second epoch
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    monkeypatch.setattr(transfer.linear_probes.run, "shuffled_batches", stopping)
    with pytest.raises(
        StoppedError, match=r"stopped by SIGTERM after step 5 of 8, saved in .*last\.pt"
    ) as stopped:
        run(small(tmp_path / "stopped", epochs=6, evaluate_every=1))
    assert stopped.value.exit_status == 128 + signal.SIGTERM
    assert not (tmp_path / "stopped" / "results.jsonl").exists()
    monkeypatch.undo()
    run(small(tmp_path / "stopped", epochs=6, evaluate_every=1))
    assert "resuming after step 5 of 8" in capsys.readouterr().out
    assert_same_checkpoint(tmp_path / "undisturbed", tmp_path / "stopped")
    assert read_records([tmp_path / "stopped"]) == read_records([tmp_path / "undisturbed"])


def test_a_folder_with_another_configuration_is_refused(tmp_path):
    run(small(tmp_path, epochs=1))
    with pytest.raises(ValueError, match="epochs: 1 there, 2 now"):
        run(small(tmp_path, epochs=2))


def test_the_backbone_is_as_it_was(tmp_path, monkeypatch):
    opened = []

    def remembered(*args):
        opened.append(open_backbone(*args))
        return opened[0]

    monkeypatch.setattr(transfer.linear_probes.run, "open_backbone", remembered)
    run(small(tmp_path, epochs=1))
    assert state_hash(opened[0].network.network) == opened[0].sha256


def test_a_classifier_that_diverges_ends_the_run_by_name(tmp_path):
    with pytest.raises(RunFailedError, match=r"conv1 at lr 1e\+38 of step . is NaN or infinite"):
        run(small(tmp_path, learning_rates=[0.01, 1e38]))


def test_broken_images_are_skipped_named_and_counted(tmp_path, classes, capsys):
    for path in (tmp_path / "train" / "dark" / "0.png", tmp_path / "val" / "bright" / "1.png"):
        path.write_bytes(b"no image")
    data = replace(classes, max_broken_share=0.2)
    run(small(tmp_path / "out", data=data))
    records = read_records([tmp_path / "out"])
    assert {
        (r.details["broken_train_images"], r.details["broken_test_images"], r.details["test_images"])
        for r in records
    } == {(1, 1, 8)}
    # Of the seven images left the shares are sevenths.
    assert {round(r.value * 7 / 100, 6) % 1 for r in records} == {0}
    printed = capsys.readouterr().out
    assert printed.count("skipped a broken file") == 2
    assert "1 broken training files were skipped: " in printed
    with pytest.raises(
        RunFailedError, match=r"1 of 8 images could not be read, more than data\.max_broken_share"
    ):
        run(small(tmp_path / "strict", data=replace(classes, max_broken_share=0.0)))


def test_images_with_several_classes_are_measured_by_mean_average_precision(tmp_path):
    root = made_voc(tmp_path / "VOC2007")
    data = replace(SAMPLE, train=f"voc:{root}:train", test=f"voc:{root}:val")
    run(small(tmp_path / "out", data=data, protocol="deepcluster18"))
    assert {metric for _, metric in results(tmp_path / "out")} == {"mAP", "mAP_11_point"}
    assert results(tmp_path / "out")["conv1", "mAP"] > 0


def made_voc(root):
    """Six images a split; one cat is difficult, and in one image are a cat and a dog."""
    rng = np.random.default_rng(0)
    signs = {"cat": [1, 0, 1, 1, -1, -1], "dog": [-1, -1, -1, 1, 1, 1]}
    for folder in ("ImageSets/Main", "JPEGImages"):
        (root / folder).mkdir(parents=True)
    for split in ("train", "val"):
        names = [f"{split}{number}" for number in range(6)]
        for name in names:
            pixels = rng.integers(256, size=(40, 44, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "JPEGImages" / f"{name}.jpg")
        for label in signs:
            lines = [f"{name} {sign:2d}\n" for name, sign in zip(names, signs[label], strict=True)]
            (root / "ImageSets" / "Main" / f"{label}_{split}.txt").write_text("".join(lines))
    return root


def test_epochs_end_after_their_share_of_the_steps_and_some_are_looked_after():
    assert epoch_ends(3, num_images=105, batch_size=10) == {10: 1, 21: 2, 32: 3}
    assert epoch_ends(3, num_images=10, batch_size=256) == {1: 3}
    assert epochs_to_look_after(5, 2) == {2, 4, 5}
    assert epochs_to_look_after(5, None) == {5}


SCRIPT = """
import sys
from pretext.runtime.command_line import parse_config
from transfer.linear_probes.config import LinearConfig
from transfer.linear_probes.run import run

run(parse_config("test", LinearConfig, sys.argv[1:]))
"""


@pytest.mark.slow
def test_two_processes_train_what_one_trains(tmp_path):
    script = tmp_path / "linear.py"
    script.write_text(SCRIPT)
    run(small(tmp_path / "one"))
    keys = {
        "backbone.model": "random:eccv16", "backbone.width": "0.125", "data.train": "sample", "data.test": "sample",
        "data.image_size": "40", "data.crop_size": "32", "data.num_workers": "0", "out": str(tmp_path / "two"),
        "stages": json.dumps(STAGES), "epochs": "3", "batch_size": "4", "device": "cpu",
    }  # fmt: skip
    finish([f"--{key}={value}" for key, value in keys.items()], launcher=(*TORCHRUN, str(script)))
    assert_same_checkpoint(tmp_path / "one", tmp_path / "two", rtol=1e-4, atol=1e-5)
    assert results(tmp_path / "one") == results(tmp_path / "two")
