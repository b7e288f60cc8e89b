"""Features are tested while a network trains, by the code of `transfer`, and the training does not notice."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import pretext
import transfer
from pretext import training
from pretext.config import ProbeConfig
from pretext.networks import build_network
from pretext.runtime.checkpoint import load_checkpoint
from pretext.tasks import build_task
from pretext.validation import is_best_so_far
from tests.killed_loader import killed_before
from transfer.config import BackboneConfig
from transfer.geometry.config import GeometryConfig
from transfer.geometry.run import run as geometry

SIZES = {"image_size": 40, "crop_size": 32, "num_workers": 0}
FEATURES = ProbeConfig(
    name="photos",
    every=2,
    args={
        "train": "sample",
        "test": "sample",
        "stages": ["conv1", "conv5"],
        "k": 3,
        "linear_epochs": 1,
        **SIZES,
    },
)


def train(run_dir, steps=5, **keys):
    torch.manual_seed(0)
    network = build_network("eccv16", output=None, width=0.125)
    options = {
        "batch_size": 3,
        "lr": 1e-3,
        "log_every": 1,
        "save_every": 1,
        "device": "cpu",
        "gallery_images": 1,
    }
    return pretext.train(
        build_task("rotation", {}),
        network,
        "sample",
        run_dir=run_dir,
        steps=steps,
        **options,
        **SIZES,
        **keys,
    )


def rows(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def of_probe(run_dir):
    return {
        row["step"]: {key: value for key, value in row.items() if not key.endswith("seconds")}
        for row in rows(run_dir)
        if "photos_seconds" in row
    }


@pytest.fixture(scope="module")
def probed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("probed") / "run"
    train(folder, probes=[FEATURES], keep_best="photos_conv5_knn_top1")
    return folder


def weights(run_dir):
    return load_checkpoint(run_dir / "checkpoints" / "last.pt")["network"]


def test_a_training_has_the_same_bits_with_probes_and_without(probed, tmp_path):
    train(tmp_path / "plain")
    plain, watched = weights(tmp_path / "plain"), weights(probed)
    assert all(torch.equal(plain[name], watched[name]) for name in plain)
    losses = [[row["loss"] for row in rows(of) if "loss" in row] for of in (probed, tmp_path / "plain")]
    assert losses[0] == losses[1]
    assert list(of_probe(probed)) == [2, 4, 5]
    assert all(row["photos_seconds"] > 0 for row in rows(probed) if "photos_seconds" in row)
    with Image.open(probed / "curves.png") as curves:
        assert curves.width > curves.height


def test_its_numbers_are_those_of_transfer(probed, tmp_path):
    last = of_probe(probed)[5]
    options = {"stages": ["conv1", "conv5"], **SIZES, "device": "cpu"}
    (neighbours,) = {
        record.stage: record.value
        for record in transfer.knn(str(probed), "sample", "sample", protocol="goyal19", k=[3], **options)
        if record.metric == "top1" and record.stage == "conv5"
    }.values()
    assert last["photos_conv5_knn_top1"] == neighbours
    linear = transfer.linear(str(probed), "sample", "sample", protocol="goyal19", epochs=1, **options)
    for record in linear:
        assert last[f"photos_{record.stage}_linear_{record.metric}"] == record.value
    ranks = geometry(
        GeometryConfig(
            backbone=BackboneConfig(model=str(probed)),
            images="sample",
            protocol="goyal19",
            out=str(tmp_path / "geometry"),
            cache=None,
            **options,
        )
    )
    for record in ranks:
        assert last[f"photos_{record.stage}_effective_rank"] == pytest.approx(record.value, rel=1e-6)


def test_a_killed_training_measures_the_same_again(probed, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(training, "shuffled_batches", killed_before(3))
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "run", probes=[FEATURES])
    train(tmp_path / "run", probes=[FEATURES])
    assert of_probe(tmp_path / "run") == of_probe(probed)


def test_the_best_checkpoint_is_that_of_the_highest_number(probed):
    values = {step: row["photos_conv5_knn_top1"] for step, row in of_probe(probed).items()}
    best = load_checkpoint(probed / "checkpoints" / "best.pt")["step"]
    assert best == max(values, key=values.__getitem__)  # the first of equals


def test_of_losses_the_lowest_is_best_and_of_equals_the_first():
    logged = [
        {"step": step, "validation_loss": loss} for step, loss in ((1, 3.0), (2, 2.0), (3, 2.0), (4, 2.5))
    ]
    assert [is_best_so_far(logged, "validation_loss", step) for step in (1, 2, 3, 4)] == [
        True,
        True,
        False,
        False,
    ]
    rising = [{"step": step, "top1": value} for step, value in ((1, 3.0), (2, 2.0), (3, 4.0))]
    assert [is_best_so_far(rising, "top1", step) for step in (1, 2, 3)] == [True, False, True]
    assert not is_best_so_far(rising, "top5", 3)


def test_a_probe_of_ones_own_measures_what_it_says(tmp_path, monkeypatch):
    (tmp_path / "myprobes.py").write_text(
        "import torch\n"
        "from pretext import Probe\n\n\n"
        "class Norm(Probe):\n"
        "    def __init__(self, scale: float = 1.0) -> None:\n"
        "        self.scale = scale\n\n"
        "    def measure(self, network):\n"
        "        torch.rand(1)  # must not reach the training\n"
        "        return {'norm': self.scale * sum(p.square().sum().item() for p in network.parameters())}\n"
    )
    monkeypatch.chdir(tmp_path)
    trained = train(
        tmp_path / "run",
        2,
        probes=[ProbeConfig(name="size", every=1, probe="myprobes:Norm", args={"scale": 2.0})],
    )
    norm = 2 * sum(p.square().sum().item() for p in trained.network.parameters())
    assert [row["size_norm"] for row in rows(tmp_path / "run") if "size_norm" in row][-1] == pytest.approx(
        norm
    )
    train(tmp_path / "plain", 2)
    plain, watched = weights(tmp_path / "plain"), weights(tmp_path / "run")
    assert all(torch.equal(plain[name], watched[name]) for name in plain)


def with_args(**args):
    return {"args": {**FEATURES.args, **args}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"every": 0}, "every of the probe photos is 0, expected at least 1"),
        ({"probe": "transfer:NoProbe"}, "probe transfer:NoProbe: .* has no NoProbe"),
        (with_args(neighbours=3), "probe transfer:FeatureProbe takes no argument 'neighbours'"),
        (with_args(train="flat"), "probe photos: an image's folder should be its class"),
        (with_args(k=1000), "k is 1000, expected 1 to the"),
        (with_args(crop_size=50), "crop_size"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_trains(tmp_path, monkeypatch, changes, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flat").mkdir()
    for number in range(3):
        pixels = np.random.default_rng(number).integers(0, 256, (40, 40, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / "flat" / f"{number}.png")
    probe = ProbeConfig(**{"name": "photos", "every": 2, "args": FEATURES.args, **changes})
    with pytest.raises(ValueError, match=message):
        train(tmp_path / "run", probes=[probe])
    assert not (tmp_path / "run").exists()


def test_two_probes_of_one_name_are_refused(tmp_path):
    with pytest.raises(ValueError, match="two probes of the name photos"):
        train(tmp_path / "run", probes=[FEATURES, FEATURES])
