"""`transfer features`: folders that NumPy reads, and that knn and svm take in place of images and backbone."""

import csv
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import transfer
import transfer.features.run
from pretext.runtime.command_line import RunFailedError, StoppedError
from tests.transfer.data.small_data import write_image_folders, write_voc
from transfer.backbone import OpenedBackbone, open_backbone
from transfer.config import BackboneConfig
from transfer.features.config import FeaturesConfig
from transfer.features.run import run

BACKBONE = BackboneConfig(model="random:eccv16", width=0.125)
CUT = {"image_size": 40, "crop_size": 32, "num_workers": 0, "device": "cpu"}
STAGES = ["conv1", "conv5"]


def small(images: object, out: Path, **changes: object) -> FeaturesConfig:
    config = FeaturesConfig(
        backbone=BACKBONE, images=str(images), out=str(out), stages=STAGES, batch_size=2, **CUT
    )
    return replace(config, **changes)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    return write_image_folders(tmp_path / "images")


def files(folder: Path) -> dict[str, bytes]:
    """What an extraction leaves, but for what says when and where it ran."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".npy", ".json", ".csv")
            and path.name != "environment.json"}  # fmt: skip


def test_three_lines_of_numpy_read_names_classes_and_features(folders, tmp_path):
    run(small(folders / "train", tmp_path / "out"))
    names, classes = np.loadtxt(tmp_path / "out/images.csv", str, None, ",", skiprows=1, quotechar='"').T
    features = np.load(tmp_path / "out/conv5.npy", mmap_mode="r")
    assert names.tolist() == sorted(
        str(p.relative_to(folders / "train")) for p in folders.rglob("train/*/*.png")
    )
    assert classes.tolist() == [name.split("/")[0] for name in names]
    network = open_backbone(BACKBONE, 0).network
    pictures = np.stack([np.array(Image.open(folders / "train" / name).convert("RGB")) for name in names])
    crops = torch.from_numpy(pictures[:, 4:36, 9:41]).permute(0, 3, 1, 2) / 255  # 40 x 50 px are not resized
    with torch.inference_mode():
        expected = network.forward_stages(crops, ["conv5"])["conv5"].mean((2, 3))
    np.testing.assert_allclose(features, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("test", ["knn", "svm"])
def test_knn_and_svm_give_on_a_folder_what_they_give_on_the_backbone(folders, tmp_path, test):
    own = {"k": [1]} if test == "knn" else {"costs": [1.0]}
    addresses = [folders / split for split in ("train", "val")]
    stored = [f"features:{tmp_path / split}" for split in ("train", "val")]
    for address, folder in zip(addresses, stored, strict=True):
        run(small(address, Path(folder.removeprefix("features:")), protocol="goyal19"))
    function = getattr(transfer, test)
    on_backbone = function(
        BACKBONE,
        *map(str, addresses),
        protocol="goyal19",
        stages=STAGES,
        batch_size=2,
        name="val",
        **own,
        **CUT,
    )
    on_features = function(None, *stored, name="val", device="cpu", **own)
    assert on_features == on_backbone
    (chosen,) = function(None, *stored, name="val", device="cpu", stages=["conv5"], **own)[:1]
    assert chosen == next(record for record in on_backbone if record.stage == "conv5")


def test_images_with_several_classes_keep_them(tmp_path):
    rng = np.random.default_rng(0)
    classes = {name: {f"{i}": int(rng.choice([1, -1, 0])) for i in range(6)} for name in ("cat", "dog")}
    root = write_voc(tmp_path / "VOC", "val", classes)
    for number in range(6):
        pixels = rng.integers(0, 256, (40, 44, 3), np.uint8)
        Image.fromarray(pixels).save(root / f"JPEGImages/{number}.jpg")
    address = f"voc:{root}:val"
    run(small(address, tmp_path / "out"))
    rows = list(csv.DictReader((tmp_path / "out/images.csv").read_text().splitlines()))
    assert [{"cat": int(row["cat"]), "dog": int(row["dog"])} for row in rows] == [
        {"cat": classes["cat"][f"{i}"], "dog": classes["dog"][f"{i}"]} for i in range(6)
    ]
    stored = f"features:{tmp_path / 'out'}"
    on_features = transfer.knn(None, stored, stored, k=[1], name="x", device="cpu")
    on_backbone = transfer.knn(
        BACKBONE, address, address, k=[1], name="x", protocol="dino21", stages=STAGES, batch_size=2, **CUT
    )
    assert on_features == on_backbone


def test_images_without_classes_are_extracted_and_then_need_some(tmp_path):
    rng = np.random.default_rng(0)
    (tmp_path / "flat").mkdir()
    for number in range(3):
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(tmp_path / f"flat/{number}.png")
    run(small(tmp_path / "flat", tmp_path / "out"))
    assert (tmp_path / "out/images.csv").read_text() == "image,class\n0.png,\n1.png,\n2.png,\n"
    stored = f"features:{tmp_path / 'out'}"
    with pytest.raises(ValueError, match=r"out has features of images without classes; give a CSV file"):
        transfer.knn(None, stored, stored, k=[1], device="cpu")
    labels = tmp_path / "labels.csv"
    labels.write_text("image,class\n0.png,a\n1.png,b\n2.png,b\n")
    records = transfer.knn(None, stored, stored, k=[1], train_labels=labels, test_labels=labels, device="cpu")
    assert {record.value for record in records} == {100.0}


def test_half_precision_rounds_and_refuses_what_it_cannot_hold(folders, tmp_path, monkeypatch):
    for dtype in ("float32", "float16"):
        run(small(folders / "train", tmp_path / dtype, dtype=dtype))
    single, half = (np.load(tmp_path / dtype / "conv5.npy") for dtype in ("float32", "float16"))
    assert np.array_equal(single.astype(np.float16), half)
    stored = f"features:{tmp_path / 'float16'}"
    assert {r.value for r in transfer.knn(None, stored, stored, k=[1], device="cpu")} == {100.0}

    def enlarged(*args: object) -> OpenedBackbone:
        backbone = open_backbone(*args)
        for module in backbone.network.modules():
            if isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 1e6)
        return backbone

    monkeypatch.setattr(transfer.features.run, "open_backbone", enlarged)
    with pytest.raises(RunFailedError, match=r"conv\d has features that are .* too large for float16"):
        run(small(folders / "train", tmp_path / "large", dtype="float16"))


def test_an_unreadable_image_is_a_row_of_nan_and_nobodys_neighbour(folders, tmp_path):
    (folders / "train/cat/0.png").write_bytes(b"no picture")
    run(small(folders / "train", tmp_path / "out", max_broken_share=0.5))
    features = np.load(tmp_path / "out/conv1.npy")
    assert np.isnan(features).all(1).tolist() == [False, False, True, False, False, False]
    stored = f"features:{tmp_path / 'out'}"
    for record in transfer.knn(None, stored, stored, k=[1], device="cpu"):
        assert record.details["broken_train_images"] == 1
        assert record.value == 100


def test_a_stopped_extraction_resumes_and_leaves_the_same_files(folders, tmp_path, monkeypatch):
    run(small(folders / "train", tmp_path / "undisturbed"))
    batches = []

    def stopping(*args: object) -> OpenedBackbone:
        backbone = open_backbone(*args)
        first = next(module for module in backbone.network.modules() if isinstance(module, nn.Conv2d))

        def terminate(*_: object) -> None:
            batches.append(1)
            if len(batches) == 3:
                os.kill(os.getpid(), signal.SIGTERM)

        first.register_forward_hook(terminate)
        return backbone

    monkeypatch.setattr(transfer.features.run, "open_backbone", stopping)
    with pytest.raises(StoppedError):
        run(small(folders / "train", tmp_path / "stopped"))
    rows = json.loads((tmp_path / "stopped/conv1.json").read_text())["rows"]
    assert rows == 4
    with pytest.raises(ValueError, match=rf"conv\d\.npy has {rows} of 6 images; let the same"):
        transfer.knn(None, *[f"features:{tmp_path / 'stopped'}"] * 2, k=[1], device="cpu")
    run(small(folders / "train", tmp_path / "stopped"))
    assert len(batches) == 4  # the batch in flight is computed twice
    assert files(tmp_path / "stopped") == files(tmp_path / "undisturbed")


@pytest.mark.slow
def test_a_killed_extraction_resumes_and_leaves_the_same_files(folders, tmp_path):
    script = (
        "import sys, transfer.features.extraction as e; e.MARK_EVERY = -1.0; e.SHOW_EVERY = 1\n"
        "from transfer.features.files import FeatureFile\n"
        "marked, mark = [], FeatureFile.mark\n"
        "def kill(self, rows, unreadable):\n"
        "    mark(self, rows, unreadable)\n"
        "    if rows >= 4 and 'conv5' in self.path.name: import os, signal; os.kill(os.getpid(), signal.SIGKILL)\n"
        "FeatureFile.mark = kill\n"
        "from transfer.__main__ import main; sys.exit(main(sys.argv[1:]))\n"
    )
    flags = [
        "features", "--backbone.model=random:eccv16", "--backbone.width=0.125", f"--images={folders / 'train'}",
        "--stages=[conv1,conv5]", "--batch_size=2", "--image_size=40", "--crop_size=32", "--num_workers=0",
        "--device=cpu",
    ]  # fmt: skip
    killed = subprocess.run(
        [sys.executable, "-c", script, *flags, f"--out={tmp_path / 'killed'}"],
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL
    run(small(folders / "train", tmp_path / "killed"))
    run(small(folders / "train", tmp_path / "undisturbed"))
    assert files(tmp_path / "killed") == files(tmp_path / "undisturbed")


def test_features_of_two_backbones_are_not_compared(folders, tmp_path):
    for name, seed in (("train", 0), ("val", 1)):
        run(small(folders / name, tmp_path / name, seed=seed))
    stored = [f"features:{tmp_path / split}" for split in ("train", "val")]
    with pytest.raises(
        ValueError, match=r"train has conv1, conv5 of .*, but .*val has conv1, conv5 of .*extract all"
    ):
        transfer.knn(None, *stored, k=[1], device="cpu")
    with pytest.raises(ValueError, match=r"train has conv1, conv5 of .*, but .* are images"):
        transfer.knn(None, stored[0], str(folders / "val"), k=[1], device="cpu")


def test_what_a_folder_of_features_cannot_be_is_told(folders, tmp_path):
    run(small(folders / "train", tmp_path / "out"))
    stored = f"features:{tmp_path / 'out'}"
    with pytest.raises(ValueError, match="holds features already; leave the backbone out"):
        transfer.knn(BACKBONE, stored, stored, k=[1], device="cpu")
    with pytest.raises(ValueError, match="holds features and no pictures, which only knn and svm take"):
        transfer.linear(BACKBONE, stored, stored, device="cpu")
    with pytest.raises(ValueError, match=r"no stage 'conv7'"):
        transfer.knn(None, stored, stored, k=[1], stages=["conv7"], device="cpu")
    with pytest.raises(ValueError, match=r"there is no .*/nowhere/images\.csv; give the --out folder"):
        transfer.knn(None, f"features:{tmp_path / 'nowhere'}", stored, k=[1], device="cpu")
    with pytest.raises(ValueError, match=r"there is no backbone; give --backbone\.model"):
        transfer.knn(None, str(folders / "train"), str(folders / "val"), k=[1], device="cpu")
    with pytest.raises(ValueError, match="is a folder of features already"):
        run(small(stored, tmp_path / "again"))
