"""`transfer predict` answers with the probes that were tested."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import transfer
from pretext.networks import build_network
from pretext.pretrained import state_hash
from tests.transfer.data.small_data import CLASSES, write_image_folders
from transfer.linear_probes.probes import load_probes
from transfer.prediction.config import PredictConfig
from transfer.prediction.run import run
from transfer.results import read_records

SMALL = {"image_size": 40, "crop_size": 32, "num_workers": 0, "device": "cpu", "epochs": 3, "batch_size": 3}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_image_folders(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="module")
def results(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a run that chose among learning rates and stages on the test images."""
    out = tmp_path_factory.mktemp("results") / "linear"
    sets = [str(folders / split) for split in ("train", "val")]
    transfer.linear(
        "random:eccv16", *sets, validation="test", learning_rates=[0.01, 0.1], stages=["conv1", "conv3"], out=out,
        **SMALL,
    )  # fmt: skip
    return out


def predicted(results: Path, folders: Path, **options: object) -> list[transfer.Prediction]:
    return transfer.predict(results, str(folders / "val"), num_workers=0, device="cpu", **options)


@pytest.mark.parametrize("stage", ["conv1", "conv3"])
def test_the_test_images_are_answered_as_in_the_test(results: Path, folders: Path, stage: str) -> None:
    records = read_records([results])
    (record,) = [of for of in records if (of.stage, of.metric) == (stage, "top1")]
    confusion = np.zeros((3, 3), int)
    for prediction in predicted(results, folders, stage=stage, top=3):
        truth = prediction.name.split("/")[0]
        confusion[CLASSES.index(truth), CLASSES.index(prediction.classes[0])] += 1
        assert sorted(prediction.classes) == sorted(CLASSES)
        assert sum(prediction.probabilities) == pytest.approx(1, abs=1e-6)
        assert list(prediction.probabilities) == sorted(prediction.probabilities, reverse=True)
    assert record.details["confusion"] == confusion.tolist()
    accuracies = record.details["accuracy_by_class"]
    assert [accuracies[name] for name in CLASSES] == (100 * np.diag(confusion) / confusion.sum(1)).tolist()
    assert record.value == pytest.approx(100 * np.trace(confusion) / confusion.sum())


def test_a_record_names_the_probe_in_the_file(results: Path) -> None:
    probes, card = load_probes(results)
    for record in read_records([results]):
        assert state_hash(probes[record.stage]) == record.details["probe"]
        assert card.weights == record.weights
    of_test = {record.stage: record.details["test"]["top1"] for record in read_records([results])}
    assert card.stage == max(of_test, key=of_test.__getitem__)


def test_the_command_writes_a_table_and_a_page_that_loads_nothing(
    results: Path, folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("a, b.png", "<script>.png"):
        Image.fromarray(rng.integers(0, 256, (50, 40, 3), np.uint8)).save(pictures / name)
    (pictures / "broken.png").write_bytes(b"no picture")
    config = PredictConfig(
        results=results, images=str(pictures), out=tmp_path / "out", top=2, num_workers=0, device="cpu"
    )
    run(config)
    assert "1 of 3 images could not be read: broken.png" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "out/predictions.csv").read_text().splitlines()))
    assert [row["image"] for row in rows] == ["<script>.png", "a, b.png", "broken.png"]
    assert list(rows[0]) == ["image", "class", "probability", "class_2", "probability_2"]
    direct = transfer.predict(results, str(pictures), top=2, num_workers=0, device="cpu")
    assert [row["class"] for row in rows[:2]] == [prediction.classes[0] for prediction in direct[:2]]
    assert set(rows[2].values()) == {"broken.png", ""}
    page = (tmp_path / "out/index.html").read_text()
    assert "&lt;script&gt;.png" in page
    assert not re.search(r"<script|https?://|url\(", page)
    assert page.count("data:image/jpeg;base64,") == 2


def test_a_live_backbone_takes_the_place_of_an_address(folders: Path, tmp_path: Path) -> None:
    network = build_network("eccv16", output=313, width=0.125)
    sets = [str(folders / split) for split in ("train", "val")]
    transfer.linear(network, *sets, stages=["conv3"], out=tmp_path / "run", **SMALL)
    with pytest.raises(ValueError, match="there is no backbone 'Eccv16'"):
        predicted(tmp_path / "run", folders)
    assert len(predicted(tmp_path / "run", folders, backbone=network)) == 3
    with pytest.raises(ValueError, match=r"were trained on Eccv16 with the weights .* but random eccv16 has"):
        predicted(tmp_path / "run", folders, backbone="random:eccv16")


def test_what_cannot_be_answered_is_told(results: Path, folders: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no .*probes\.safetensors; give the --out folder"):
        predicted(tmp_path, folders)
    with pytest.raises(ValueError, match=r"no stage 'conv2'"):
        predicted(results, folders, stage="conv2")
    with pytest.raises(ValueError, match="top is 0"):
        predicted(results, folders, top=0)
    sets = [str(folders / split) for split in ("train", "val")]
    transfer.linear("random:eccv16", *sets, stages=["conv1", "conv3"], out=tmp_path / "fixed", **SMALL)
    with pytest.raises(ValueError, match=r"has probes of conv1, conv3 and chose none.*give --stage"):
        predicted(tmp_path / "fixed", folders)
    path = tmp_path / "fixed/probes.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"probes\.safetensors cannot be read as safetensors"):
        predicted(tmp_path / "fixed", folders)
