"""Features of a frozen backbone: extracted once, and never mistaken for others."""

import dataclasses
import fcntl
import json
import math
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from pretext.runtime.command_line import RunFailedError, StoppedError
from pretext.runtime.distributed import World
from tests.end_to_end.small_run import finish
from transfer.backbone import OpenedBackbone, open_backbone, state_hash
from transfer.config import BackboneConfig, SelectionDataConfig
from transfer.data.labelled import open_labelled
from transfer.features import files as feature_files
from transfer.features.extraction import FeatureExtractor
from transfer.features.files import Features
from transfer.features.protocols import resolve
from transfer.nearest_neighbours.config import KnnConfig
from transfer.rescaling import crops_to_rescale_on

CPU = World(rank=0, size=1, device=torch.device("cpu"))
STAGES = ["conv1", "conv5"]
NUM_IMAGES = 7


@pytest.fixture
def photos(tmp_path):
    """Noise, in two classes."""
    rng = np.random.default_rng(0)
    for number in range(NUM_IMAGES):
        path = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 44, 3), np.uint8)).save(path)
    return tmp_path / "photos"


@pytest.fixture
def data(photos):
    return SelectionDataConfig(
        train=str(photos), test=str(photos), image_size=36, crop_size=32, num_workers=0
    )


@pytest.fixture
def config(tmp_path):
    return KnnConfig(
        backbone=BackboneConfig(model="random:alexnet"),
        data=SelectionDataConfig(train="", test=""),
        out="",
        cache=str(tmp_path / "cache"),
        stages=STAGES,
        batch_size=3,
    )


def opened(seed: int = 0) -> OpenedBackbone:
    return open_backbone(BackboneConfig(model="random:alexnet", width=0.125), seed)


def extract(
    config: KnnConfig, data: SelectionDataConfig, backbone: OpenedBackbone | None = None
) -> dict[str, Features]:
    images = open_labelled(data)[0]
    extractor = FeatureExtractor(
        backbone=backbone or opened(),
        protocol=resolve(config.protocol, data.image_size, data.crop_size),
        stages=config.stages,
        batch_size=config.batch_size,
        precision=config.precision,
        num_workers=data.num_workers,
        max_broken_share=data.max_broken_share,
        world=CPU,
    )
    return extractor.extract_cached(images, Path(config.cache), images.fingerprint())


def counted(backbone: OpenedBackbone) -> list[int]:
    """A list that grows by one number, the batch's, with every forward pass."""
    batches: list[int] = []
    first = next(module for module in backbone.network.modules() if isinstance(module, nn.Conv2d))
    first.register_forward_pre_hook(lambda module, inputs: batches.append(len(inputs[0])))
    return batches


def arrays(features: dict[str, Features]) -> dict[str, np.ndarray]:
    return {stage: np.array(f.open()) for stage, f in features.items()}


def assert_bit_equal(some: dict[str, np.ndarray], others: dict[str, np.ndarray]) -> None:
    assert some.keys() == others.keys()
    for stage, array in some.items():
        np.testing.assert_array_equal(array, others[stage])


def test_features_are_the_stages_of_the_central_crops_resized_to_the_dimensions_of_zhang_et_al(
    config, data, photos
):
    backbone = opened()
    features = extract(config, dataclasses.replace(data, image_size=40), backbone)  # nothing is resampled
    assert list(features) == STAGES
    pictures = [np.array(Image.open(path)) for path in sorted(photos.rglob("*.png"))]
    crops = torch.from_numpy(np.stack([picture[4:36, 6:38] for picture in pictures]))
    with torch.inference_mode():
        outputs = backbone.network.forward_stages(crops.permute(0, 3, 1, 2) / 255, STAGES)
    for stage in STAGES:
        channels = backbone.network.stages[stage].channels
        grid = math.isqrt(9600 // channels)
        expected = F.interpolate(outputs[stage], (grid, grid), mode="bilinear").flatten(1)
        assert features[stage].kept.all()
        # Batches of another size add up in another order.
        torch.testing.assert_close(torch.tensor(features[stage].open()), expected, rtol=1e-4, atol=1e-4)


def test_what_was_extracted_is_read_again_bit_for_bit_without_a_forward_pass(config, data, tmp_path):
    backbone = opened()
    before, batches = state_hash(backbone.network), counted(backbone)
    features = arrays(extract(config, data, backbone))
    assert batches == [3, 3, 1]
    assert_bit_equal(arrays(extract(config, data, backbone)), features)
    assert batches == [3, 3, 1]
    elsewhere = dataclasses.replace(config, cache=str(tmp_path / "elsewhere"))
    assert_bit_equal(arrays(extract(elsewhere, data, backbone)), features)
    assert state_hash(backbone.network) == before


def test_only_the_stages_that_are_missing_are_extracted_all_in_one_pass(config, data):
    backbone = opened()
    first = extract(config, data, backbone)
    inodes = [f.path.stat().st_ino for f in first.values()]
    batches = counted(backbone)
    every = extract(dataclasses.replace(config, stages=None), data, backbone)
    assert list(every) == list(backbone.network.stages)
    assert batches == [3, 3, 1]
    assert [every[stage].path.stat().st_ino for stage in STAGES] == inodes


@pytest.mark.parametrize("other", ["weights", "crop_size", "image_size", "protocol", "precision", "picture"])
def test_features_of_others_are_neither_used_nor_lost(config, data, photos, other):
    features = arrays(extract(config, data))
    changed_config, changed_data, backbone = config, data, opened(seed=1 if other == "weights" else 0)
    match other:
        case "crop_size":
            changed_data = dataclasses.replace(data, crop_size=28)
        case "image_size":
            changed_data = dataclasses.replace(data, image_size=38)
        case "protocol":
            changed_config = dataclasses.replace(config, protocol="rotnet18")
        case "precision":
            changed_config = dataclasses.replace(config, precision="bfloat16")
        case "picture":
            path = next(photos.rglob("*.png"))
            original = path.with_suffix(".original")
            shutil.copy2(path, original)
            Image.new("RGB", (41, 40), "red").save(path)
    batches = counted(backbone)
    changed = arrays(extract(changed_config, changed_data, backbone))
    assert batches
    for stage, array in features.items():
        assert not np.array_equal(changed[stage], array)
    if other == "picture":
        shutil.copy2(original, path)
    again = opened()
    batches = counted(again)
    assert_bit_equal(arrays(extract(config, data, again)), features)
    assert not batches


def edit_description(path: Path) -> None:
    description = path.with_suffix(".json")
    stored = json.loads(description.read_text())
    stored["identity"]["torch"] = "1.0"
    description.write_text(json.dumps(stored))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda path: os.truncate(path, path.stat().st_size - 4), "bytes instead of"),
        (lambda path: path.unlink(), "0 bytes instead of"),
        (lambda path: path.with_suffix(".json").unlink(), "nothing says what they are"),
        (edit_description, "torch '1.0' there"),
    ],
)
def test_a_damaged_half_written_or_outdated_file_is_named_and_extracted_again(
    config, data, capsys, damage, words
):
    whole = extract(config, data)
    features = arrays(whole)
    damage(whole["conv5"].path)
    capsys.readouterr()
    backbone = opened()
    batches = counted(backbone)
    assert_bit_equal(arrays(extract(config, data, backbone)), features)
    assert batches == [3, 3, 1]
    (line,) = [line for line in capsys.readouterr().out.splitlines() if " again: " in line]
    assert str(whole["conv5"].path) in line
    assert words in line


def test_an_unreadable_image_is_named_counted_and_not_kept_also_when_the_features_are_there(
    config, data, photos, capsys
):
    (photos / "a" / "2.png").write_bytes(b"no picture")
    data = dataclasses.replace(data, max_broken_share=0.2)
    for _ in range(2):
        features = extract(config, data)
        out = capsys.readouterr().out
        assert "1 of 7 images are left out: a/2.png" in out
        for stage in STAGES:  # in order of their names a/0, a/2, ...
            assert features[stage].kept.tolist() == [True, False, True, True, True, True, True]
    strict = dataclasses.replace(data, max_broken_share=0.0)
    for cache in (config.cache, config.cache + " of another"):
        with pytest.raises(RunFailedError, match=r"1 of 7 images could not be read.*a/2\.png"):
            extract(dataclasses.replace(config, cache=cache), strict)


def test_a_signal_stops_and_the_rest_is_extracted_from_there(config, data, tmp_path, capsys):
    backbone = opened()
    first = next(module for module in backbone.network.modules() if isinstance(module, nn.Conv2d))
    batches = counted(backbone)

    def terminate(*_: object) -> None:
        if len(batches) == 3:  # the last; a second signal would end the process at once
            os.kill(os.getpid(), signal.SIGTERM)

    hook = first.register_forward_hook(terminate)
    with pytest.raises(StoppedError, match="the same command resumes") as stopped:
        extract(config, data, backbone)
    assert stopped.value.exit_status == 128 + signal.SIGTERM
    hook.remove()
    batches.clear()
    features = arrays(extract(config, data, backbone))
    assert batches == [1]
    assert "from image 6 on" in capsys.readouterr().out
    elsewhere = dataclasses.replace(config, cache=str(tmp_path / "elsewhere"))
    assert_bit_equal(arrays(extract(elsewhere, data)), features)


def test_features_that_are_no_numbers_end_the_extraction_and_are_not_kept(config, data):
    backbone = opened()
    with torch.no_grad():
        next(backbone.network.parameters()).fill_(float("nan"))
    for _ in range(2):
        with pytest.raises(RunFailedError, match="conv1 has features that are NaN"):
            extract(config, data, backbone)


def test_a_disk_that_is_too_small_is_told_before_the_extraction(config, data, monkeypatch):
    monkeypatch.setattr(feature_files.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 0))
    backbone = opened()
    batches = counted(backbone)
    with pytest.raises(RunFailedError, match=r"has 0\.0 GB left"):
        extract(config, data, backbone)
    assert not batches


def test_of_two_commands_one_waits_and_then_finds_the_features(config, data, monkeypatch, capsys):
    features = extract(config, data)
    path = features["conv5"].path
    whole, description = path.read_bytes(), path.with_suffix(".json")
    text = description.read_text()
    description.unlink()
    lock = (path.parent / "extraction.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)

    def the_other_finishes(seconds: float) -> None:
        description.write_text(text)
        lock.close()

    monkeypatch.setattr(feature_files.time, "sleep", the_other_finishes)
    backbone = opened()
    batches = counted(backbone)
    assert extract(config, data, backbone)["conv5"].path.read_bytes() == whole
    assert not batches
    assert "waits for another command" in capsys.readouterr().out


def test_a_signal_ends_the_wait_for_another_command(config, data, monkeypatch):
    path = extract(config, data)["conv5"].path
    monkeypatch.setattr(feature_files.time, "sleep", lambda seconds: os.kill(os.getpid(), signal.SIGTERM))
    with (path.parent / "extraction.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(StoppedError):
            extract(config, data)


@pytest.mark.slow
def test_two_processes_write_the_rows_that_one_writes(config, data, photos, tmp_path):
    (photos / "a" / "2.png").write_bytes(b"no picture")
    data = dataclasses.replace(data, max_broken_share=0.2)
    alone = extract(config, data)
    torchrun = ("-m", "torch.distributed.run", "--nproc_per_node", "2", "--no_python", sys.executable)
    output = finish(
        [
            "knn", "--backbone.model=random:alexnet", "--backbone.width=0.125", "--device=cpu", "--k=[1]",
            f"--data.train={photos}", f"--data.test={photos}", "--data.image_size=36", "--data.crop_size=32",
            "--data.num_workers=0", "--data.max_broken_share=0.2", f"--out={tmp_path / 'out'}",
            f"--cache={tmp_path / 'shared'}", "--batch_size=1", f"--stages={STAGES}",
        ],
        launcher=(sys.executable, *torchrun, "-m", "transfer"),
    )  # fmt: skip
    assert output.count("skipped a broken file: a/2.png") == 1
    shared = extract(dataclasses.replace(config, cache=str(tmp_path / "shared")), data)
    for stage in STAGES:
        assert shared[stage].path.is_relative_to(tmp_path / "shared")
        assert shared[stage].kept.tolist() == alone[stage].kept.tolist()
        kept = shared[stage].kept
        np.testing.assert_allclose(
            shared[stage].open()[kept], alone[stage].open()[kept], rtol=1e-4, atol=1e-5
        )


def test_a_backbone_is_rescaled_on_the_training_images_where_that_is_asked_for(config, data):
    train, _ = open_labelled(data)
    protocol = resolve(config.protocol, data.image_size, data.crop_size)

    def sha256(rescale: bool) -> str:
        backbone = BackboneConfig(
            model="random:alexnet", width=0.125, absorb_batch_norm=True, rescale=rescale
        )
        return open_backbone(
            backbone,
            0,
            lambda: crops_to_rescale_on(train.source.group_sizes, train.source.open, protocol.train_cut(), 0),
        ).sha256

    assert sha256(True) == sha256(True) != sha256(False)
