import dataclasses
import json
import os
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import yaml
from PIL import Image

from pretext.images.loader import shuffled_batches
from pretext.runtime.checkpoint import load_checkpoint
from pretext.runtime.command_line import RunFailedError, StoppedError
from tests.end_to_end.small_run import TORCHRUN, finish
from transfer.backbone import open_backbone
from transfer.config import BackboneConfig, DataConfig
from transfer.data.labelled import open_labelled
from transfer.finetuning import run as finetuning
from transfer.finetuning.config import FinetuneConfig
from transfer.finetuning.protocols import resolve
from transfer.finetuning.run import Classifier
from transfer.results import read_records

STAGES = ("conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7")


def write_noise(path, rng, brightness):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rng.integers(brightness - 40, brightness + 40, (40, 44, 3), np.uint8)).save(path)


@pytest.fixture(scope="module")
def dark_and_bright(tmp_path_factory):
    """A folder of images that their brightness tells apart."""
    folder, rng = tmp_path_factory.mktemp("data") / "brightness", np.random.default_rng(0)
    for split, count in (("train", 8), ("val", 3)):
        for name, brightness in (("bright", 190), ("dark", 60)):
            for number in range(count):
                write_noise(folder / split / name / f"{number}.png", rng, brightness)
    return folder


@pytest.fixture
def config(dark_and_bright, tmp_path):
    """A fine-tuning of seconds."""
    return FinetuneConfig(
        backbone=BackboneConfig(model="random:alexnet", width=0.125),
        data=DataConfig(
            train=str(dark_and_bright / "train"),
            test=str(dark_and_bright / "val"),
            image_size=40,
            crop_size=32,
            num_workers=0,
        ),
        out=str(tmp_path / "run"),
        protocol="folder",
        steps=6,
        batch_size=4,
        device="cpu",
    )


def run(config, **changes):
    """Fine-tune with these changes; the last checkpoint."""
    config = dataclasses.replace(config, **changes)
    finetuning.run(config)
    return load_checkpoint(Path(config.out) / "checkpoints" / "last.pt")


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def backbone_part(state):
    return {name: tensor for name, tensor in state["network"].items() if name.startswith("backbone.")}


def changed(config, state):
    """Names of the backbone's tensors that are not what they were before training."""
    before = open_backbone(config.backbone, config.seed).network.state_dict()
    after = backbone_part(state)
    assert after.keys() == {f"backbone.{name}" for name in before}
    return {name for name in before if not torch.equal(before[name], after[f"backbone.{name}"])}


def test_training_the_head_is_logistic_regression_on_the_frozen_features(config):
    state = run(config, train_from="head")

    protocol = resolve("folder", steps=6, batch_size=4, image_size=40, crop_size=32)
    train, _ = open_labelled(config.data)
    network = open_backbone(config.backbone, config.seed).network
    torch.manual_seed(config.seed)
    head = Classifier(network, 2, "head").head
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    batches = shuffled_batches(
        train.source, protocol.train_cut(), short_side=None, seed=0, num_steps=6, batch_size=4
    )
    for step, batch in enumerate(batches):
        optimizer.param_groups[0]["lr"] = {4: 0.01, 5: 0.001}.get(step, 0.1)  # 20 / 30 and 27 / 30 of 6 steps
        with torch.no_grad():
            features = network.forward_stages(batch.rgb / 255, ["fc7"])["fc7"]
        loss = F.cross_entropy(head(features.mean((2, 3))), train.labels_at(batch.indices))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    torch.testing.assert_close(state["network"]["head.weight"], head.weight.detach(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(state["network"]["head.bias"], head.bias.detach(), rtol=1e-4, atol=1e-6)
    assert changed(config, state) == set()


@pytest.mark.parametrize(
    ("train_from", "trained"),
    [("conv5", STAGES[4:]), ("fc6", STAGES[5:]), ("conv1", STAGES), ("all", STAGES)],
)
def test_what_lies_before_train_from_stays_bit_for_bit_and_all_after_it_is_trained(
    config, train_from, trained
):
    moved = changed(config, run(config, train_from=train_from))
    # Weights, and the statistics of BatchNorm; fc8 belongs to the pretext task.
    tensors = ("0.weight", "1.weight", "1.bias", "1.running_mean", "1.running_var", "1.num_batches_tracked")
    assert moved == {f"network.{stage}.{tensor}" for stage in trained for tensor in tensors}


def test_an_absorbed_and_rescaled_alexnet_is_finetuned_as_in_the_papers_voc_test(config):
    backbone = dataclasses.replace(config.backbone, absorb_batch_norm=True, rescale=True)
    state = run(config, backbone=backbone, protocol="voc07", train_from="fc6", steps=2)
    assert not any("running_mean" in name for name in state["network"])


def test_a_network_learns_to_tell_dark_from_bright(config):
    run(config, steps=40, batch_size=8, evaluate_every=20)
    records = read_records([Path(config.out)])
    assert [record.value for record in records] == [100.0]


def test_the_same_seed_twice_gives_the_same_bits_and_another_gives_others(config, tmp_path):
    one, again, other = (
        run(config, out=str(tmp_path / name), seed=seed) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert_same(one["network"], again["network"])
    assert not torch.equal(one["network"]["head.weight"], other["network"]["head.weight"])


def test_a_training_stopped_by_sigterm_goes_on_to_the_bits_of_one_that_was_not(config, tmp_path, monkeypatch):
    config = dataclasses.replace(config, evaluate_every=2)
    undisturbed = run(config, out=str(tmp_path / "undisturbed"))

    def batches_and_signal(*args, **options):
        for number, batch in enumerate(shuffled_batches(*args, **options)):
            if number == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    with monkeypatch.context() as patched:
        patched.setattr(finetuning, "shuffled_batches", batches_and_signal)
        with pytest.raises(StoppedError, match="stopped by SIGTERM after step 3 of 6"):
            run(config)
    assert load_checkpoint(Path(config.out) / "checkpoints" / "last.pt")["step"] == 3
    resumed = run(config)
    assert_same(resumed["network"], undisturbed["network"])
    assert [row["step"] for row in resumed["tests"]] == [2, 4, 6]
    assert resumed["tests"] == undisturbed["tests"]


def test_a_finished_training_given_again_writes_the_same_results(config, tmp_path):
    run(config)
    results = (tmp_path / "run" / "results.jsonl").read_text()
    (tmp_path / "run" / "results.jsonl").unlink()
    run(config)
    assert (tmp_path / "run" / "results.jsonl").read_text() == results


@pytest.mark.slow
def test_two_processes_train_as_one_does(config, tmp_path):
    one = run(config, out=str(tmp_path / "one"))
    argv = ["finetune", "--out", str(tmp_path / "two"), "--protocol=folder", "--device=cpu"]
    argv += [f"--backbone.{key}={value}" for key, value in (("model", "random:alexnet"), ("width", 0.125))]
    argv += [f"--data.{key}={getattr(config.data, key)}" for key in ("train", "test", "num_workers")]
    argv += ["--data.image_size=40", "--data.crop_size=32", "--steps=6", "--batch_size=4"]
    finish(argv, launcher=(*TORCHRUN, "-m", "transfer"))
    two = load_checkpoint(tmp_path / "two" / "checkpoints" / "last.pt")
    for name, tensor in one["network"].items():
        torch.testing.assert_close(two["network"][name], tensor, rtol=1e-3, atol=1e-5, msg=name)
    assert two["tests"] == one["tests"]


def test_unreadable_images_are_named_masked_and_counted(config, tmp_path, dark_and_bright, capsys):
    folder = tmp_path / "images"
    shutil.copytree(dark_and_bright, folder)
    for split in ("train", "val"):
        (folder / split / "dark" / "0.png").write_bytes(b"no image")
    data = dataclasses.replace(
        config.data, train=str(folder / "train"), test=str(folder / "val"), max_broken_share=0.5
    )
    run(config, data=data)
    printed = capsys.readouterr().out
    assert printed.count("skipped a broken file: dark/0.png") == 2
    (record,) = read_records([tmp_path / "run"])
    assert record.details["broken_train_images"] == record.details["broken_test_images"] == 1
    assert record.value in [100 * right / 5 for right in range(6)]  # the sixth is not counted as wrong

    with pytest.raises(RunFailedError, match=r"1 of 16 images could not be read"):
        run(config, data=dataclasses.replace(data, max_broken_share=0.0), out=str(tmp_path / "strict"))


def test_the_class_of_an_unreadable_image_does_not_matter_to_the_training(config, tmp_path, dark_and_bright):
    folder = tmp_path / "images"
    shutil.copytree(dark_and_bright / "train", folder)
    (folder / "dark" / "0.png").write_bytes(b"no image")
    states = []
    for name in ("dark", "bright"):
        classes = {path: path.parent.name for path in folder.rglob("*.png")} | {
            folder / "dark" / "0.png": name
        }
        csv = tmp_path / f"{name}.csv"
        lines = [f"{path.relative_to(folder)},{label}\n" for path, label in classes.items()]
        csv.write_text("image,class\n" + "".join(lines))
        data = dataclasses.replace(
            config.data, train=str(folder), train_labels=str(csv), max_broken_share=1.0
        )
        states.append(run(config, data=data, out=str(tmp_path / name)))
    assert_same(states[0]["network"], states[1]["network"])


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_step(config):
    with pytest.raises(RunFailedError, match=r"the loss of step [1-5] is NaN or infinite"):
        run(config, lr=1e30)


def test_results_say_their_share_of_labels_and_where_they_depart_from_the_protocol(config, tmp_path, capsys):
    run(config, protocol="semi_supervised", label_share=0.25, steps=None, evaluate_every=3)
    (last,) = read_records([tmp_path / "run"])
    assert last.protocol == "semi_supervised 25%, 32 of 40 px"
    assert (last.task, last.stage, last.metric, last.data) == ("finetune", "all", "top1", "brightness val")
    assert last.settings == {"batch_size": 4}
    assert last.details["train_images"] == 4
    assert last.details["train_images_by_class"] == [2, 2]
    assert last.details["step"] == 20  # 20 epochs of one batch
    assert last.chosen_on is None
    assert "4 of 16 training images (2 to 2 of a class)" in capsys.readouterr().out


def test_multi_label_images_are_trained_and_measured_as_voc_does(config, tmp_path):
    rng = np.random.default_rng(0)
    lists = tmp_path / "VOC2007" / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for split, count in (("trainval", 8), ("test", 6)):
        for number in range(count):
            brightness = 190 if number % 2 else 60
            write_noise(tmp_path / "VOC2007" / "JPEGImages" / f"{split}{number}.jpg", rng, brightness)
        for name, sign in (("lamp", 1), ("night", -1)):
            labels = [sign * (1 if number % 2 else -1) if number else 0 for number in range(count)]
            lines = [f"{split}{number} {label:2d}\n" for number, label in enumerate(labels)]
            (lists / f"{name}_{split}.txt").write_text("".join(lines))
    voc = f"voc:{tmp_path}/VOC2007"
    data = dataclasses.replace(config.data, train=f"{voc}:trainval", test=f"{voc}:test")
    run(config, data=data, protocol="voc07", lr=0.01, steps=40, batch_size=8)
    records = read_records([tmp_path / "run"])
    assert {record.metric for record in records} == {"mAP", "mAP_11_point"}
    assert all(record.value == 100 for record in records)
    with pytest.raises(
        ValueError, match="mae22 mixes images of one class each, and those of VOC2007 test may show"
    ):
        run(config, data=data, protocol="mae22")


def test_another_backbone_or_other_data_at_the_same_address_is_refused_by_a_started_run(
    config, tmp_path, dark_and_bright
):
    folder = tmp_path / "images"
    shutil.copytree(dark_and_bright, folder)
    config = dataclasses.replace(
        config, data=dataclasses.replace(config.data, train=str(folder / "train"), test=str(folder / "val"))
    )
    run(config)
    (folder / "train" / "dark" / "0.png").unlink()
    with pytest.raises(ValueError, match=r"were 16 training images when .* was started and there are 15 now"):
        run(config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train_from": "fc9"},
            r"there is no stage 'fc9' \(did you mean 'fc[67]'\?\); valid names are head, conv1",
        ),
        ({"steps": 0}, "steps is 0, expected at least 1"),
        ({"evaluate_every": 0}, "evaluate_every is 0, expected at least 1"),
    ],
)
def test_a_configuration_that_cannot_be_run_is_refused_in_one_line(config, changes, message):
    with pytest.raises(ValueError, match=message):
        run(config, **changes)


def test_what_is_written_beside_the_results_is_the_whole_configuration(config, tmp_path):
    run(config, steps=1)
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text()) == dataclasses.asdict(
        dataclasses.replace(config, steps=1)
    )
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {"loss", "lr"} <= rows[0].keys()
    assert "top1" in rows[1]
