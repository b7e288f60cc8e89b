import copy
import dataclasses
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

import transfer
from pretext.images.image_file import open_rgb
from pretext.images.masks import read_mask
from pretext.runtime.checkpoint import load_checkpoint
from pretext.runtime.command_line import RunFailedError, StoppedError
from tests.end_to_end.small_run import TORCHRUN, finish, start
from tests.transfer.small_voc import write_small_voc
from transfer.backbone import open_backbone
from transfer.config import BackboneConfig
from transfer.data.sample_voc import CLASSES
from transfer.results import read_records
from transfer.segmentation.config import SegmentationDataConfig, SegmentConfig
from transfer.segmentation.data import open_segmentation
from transfer.segmentation.protocols import SegmentationProtocol, resolve_protocol
from transfer.segmentation.run import run as segment

pytest.importorskip("mmseg", reason="make segmentation")

import mmcv
from mmseg.structures import SegDataSample

from transfer.segmentation.adapter import build_segmentor
from transfer.segmentation.evaluation import Evaluation
from transfer.segmentation.runner import RunHook

STEPS = 6


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    return write_small_voc(tmp_path_factory.mktemp("data") / "voc")


def small_config(voc, out):
    """A training of seconds."""
    return SegmentConfig(
        backbone=BackboneConfig(model="random:eccv16", width=0.125),
        data=SegmentationDataConfig(
            train=f"voc:{voc}:train",
            test=f"voc:{voc}:val",
            image_size=(80, 60),
            crop_size=32,
            num_workers=0,
        ),
        out=str(out),
        lr=0.05,
        steps=STEPS,
        batch_size=4,
        save_every=2,
        evaluate_every=3,
        device="cpu",
    )


@pytest.fixture
def config(voc, tmp_path):
    return small_config(voc, tmp_path / "run")


def checkpoint(config):
    return load_checkpoint(Path(config.out) / "checkpoints" / "last.pt")


def run(config, **changes):
    """Train with these changes; the last checkpoint."""
    config = dataclasses.replace(config, **changes)
    segment(config)
    return checkpoint(config)


@pytest.fixture(scope="module")
def undisturbed(voc, tmp_path_factory):
    """The folder of a finished training, what it predicted in its last test, and what it printed."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    predictions = {}
    process = Evaluation.process

    def process_and_keep(self, data_batch, data_samples):
        process(self, data_batch, data_samples)
        for sample in data_samples:
            predictions[Path(sample["img_path"]).stem] = sample["pred_sem_seg"]["data"][0].numpy()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Evaluation, "process", process_and_keep)
        segment(small_config(voc, out))
    return out, predictions


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def interrupt(monkeypatch, step, act):
    """Call `act` before step `step` (from 0)."""
    before = RunHook.before_train_iter

    def act_before(self, runner, batch_idx, data_batch=None):
        if runner.iter == step:
            act()
        before(self, runner, batch_idx, data_batch)

    monkeypatch.setattr(RunHook, "before_train_iter", act_before)


def crash():
    raise MemoryError


@pytest.mark.slow
def test_a_training_killed_between_two_checkpoints_resumes_to_the_bits_of_one_that_was_not(
    config, undisturbed, monkeypatch
):
    with monkeypatch.context() as patched:
        interrupt(patched, 5, crash)
        with pytest.raises(MemoryError):
            run(config)
    assert checkpoint(config)["step"] == 4
    resumed, expected = run(config), load_checkpoint(undisturbed[0] / "checkpoints" / "last.pt")
    assert_same(resumed["state_dict"], expected["state_dict"])
    assert [row["step"] for row in resumed["tests"]] == [3, 6]
    assert resumed["tests"] == expected["tests"]
    rows = [json.loads(line) for line in (Path(config.out) / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "mIoU" in row] == [3, 6]


def test_a_training_stopped_by_sigterm_is_saved_after_its_step_and_resumes(config, undisturbed, monkeypatch):
    with monkeypatch.context() as patched:
        interrupt(patched, 2, lambda: os.kill(os.getpid(), signal.SIGTERM))
        with pytest.raises(StoppedError, match=r"stopped by SIGTERM after step 3 of 6, saved in .*last.pt"):
            run(config)
    assert checkpoint(config)["step"] == 3
    expected = load_checkpoint(undisturbed[0] / "checkpoints" / "last.pt")
    assert_same(run(config)["state_dict"], expected["state_dict"])


def test_a_finished_training_given_again_writes_the_same_results(undisturbed, voc):
    out, _ = undisturbed
    results = (out / "results.jsonl").read_text()
    (out / "results.jsonl").unlink()
    segment(small_config(voc, out))
    assert (out / "results.jsonl").read_text() == results


def test_the_metrics_are_those_of_a_confusion_matrix_of_the_same_predictions(undisturbed, voc):
    out, predictions = undisturbed
    confusion = np.zeros((4, 4), np.int64)
    for name, predicted in predictions.items():
        truth = read_mask(voc / "SegmentationClass" / f"{name}.png")
        assert predicted.shape == truth.shape
        np.add.at(confusion, (truth[truth != 255], predicted[truth != 255]), 1)
    right = np.diag(confusion)
    iou = 100 * right / (confusion.sum(0) + confusion.sum(1) - right)
    last = {of.metric: of for of in read_records([out])}
    assert len(predictions) == 6
    assert last["mIoU"].value == pytest.approx(iou.mean(), abs=1e-9)
    assert last["mAcc"].value == pytest.approx(100 * (right / confusion.sum(1)).mean(), abs=1e-9)
    assert last["aAcc"].value == pytest.approx(100 * right.sum() / confusion.sum(), abs=1e-9)
    names = ("background", *CLASSES)
    assert last["mIoU"].details["IoU"] == pytest.approx(dict(zip(names, iou, strict=True)))


def test_the_records_say_what_was_done(undisturbed, config):
    out, _ = undisturbed
    records = read_records([out])
    assert [(of.metric, of.chosen_on) for of in records] == [("mIoU", None), ("mAcc", None), ("aAcc", None)]
    last = records[0]
    assert (last.task, last.data, last.stage, last.seed) == ("segment", "voc val", "all", 0)
    assert last.protocol == "plain, conv7, 32 px crops, images within 80 x 60 px"
    assert last.backbone == "random eccv16 x0.125"
    assert last.weights == open_backbone(config.backbone, 0).sha256
    assert last.settings == {"steps": STEPS, "batch_size": 4, "lr": 0.05}
    assert {key: last.details[key] for key in ("step", "train_images", "test_images", "classes")} == {
        "step": STEPS,
        "train_images": 8,
        "test_images": 6,
        "classes": 4,
    }
    assert {"mmseg", "mmengine", "mmcv", "torch"} <= last.versions.keys()


def test_beside_the_results_lie_the_configuration_the_numbers_and_the_predictions(undisturbed):
    out, _ = undisturbed
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert {"loss", "lr", "images_per_second"} <= rows[0].keys()
    assert {"mIoU", "mAcc", "aAcc"} <= rows[-1].keys()
    assert any((out / "tensorboard").iterdir())
    with Image.open(out / "samples" / "step_0000006.png") as gallery:
        assert gallery.width == 4 * 320 + 5 * 4  # four pictures in a row: two images, truth and prediction
    assert list((out / "mmengine").glob("*.py"))


@pytest.mark.slow
def test_the_loss_falls_and_the_objects_are_found(config, voc):
    data = dataclasses.replace(config.data, test=f"voc:{voc}:train", crop_size=48)
    run(config, data=data, stage="conv3", steps=80, batch_size=8, lr=0.3, evaluate_every=80, save_every=100)
    rows = [json.loads(line) for line in (Path(config.out) / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert losses[-1] < 0.8 * losses[0]
    assert rows[-1]["mIoU"] > 30  # background everywhere has 18


def test_the_same_seed_gives_the_same_bits_and_another_gives_others(config, undisturbed, tmp_path):
    expected = load_checkpoint(undisturbed[0] / "checkpoints" / "last.pt")["state_dict"]
    assert_same(run(config)["state_dict"], expected)
    other = run(config, seed=1, out=str(tmp_path / "other"))["state_dict"]
    assert not torch.equal(other["decode_head.conv_seg.weight"], expected["decode_head.conv_seg.weight"])


class Files:
    """A split in VOC's layout as a data set of pictures and masks."""

    classes = ("background", *CLASSES)

    def __init__(self, folder, split):
        self.folder = folder
        self.names = (folder / "ImageSets" / "Segmentation" / f"{split}.txt").read_text().split()

    def __len__(self):
        return len(self.names)

    def __getitem__(self, index):
        name = self.names[index]
        with Image.open(self.folder / "SegmentationClass" / f"{name}.png") as mask:
            return open_rgb(self.folder / "JPEGImages" / f"{name}.jpg"), mask.copy()


def test_a_data_set_gives_the_weights_and_the_results_of_the_same_images_in_files(config, voc, undisturbed):
    options = {
        key: getattr(config, key)
        for key in ("out", "lr", "steps", "batch_size", "save_every", "evaluate_every")
    }
    sizes = {"image_size": (80, 60), "crop_size": 32, "num_workers": 0}
    records = transfer.segment(config.backbone, Files(voc, "train"), Files(voc, "val"), **options, **sizes)
    expected = load_checkpoint(undisturbed[0] / "checkpoints" / "last.pt")
    assert_same(checkpoint(config)["state_dict"], expected["state_dict"])
    assert [record.value for record in records] == [record.value for record in read_records([undisturbed[0]])]
    assert records[0].data == "Files"


def test_a_live_network_is_left_as_it_is_and_a_run_without_a_folder_leaves_none(voc, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = torchvision.models.resnet18().train()
    before = copy.deepcopy(network.state_dict())
    backbone = transfer.LiveBackbone(network, {"layer3": network.layer3})
    options = {"steps": 1, "batch_size": 2, "image_size": (80, 60), "crop_size": 32, "num_workers": 0}
    records = transfer.segment(backbone, f"voc:{voc}:train", f"voc:{voc}:val", **options)
    assert records[0].protocol == "plain, layer3, 32 px crops, images within 80 x 60 px"
    assert network.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (Image.new("RGB", (20, 10)), "mode RGB, expected one of 1, L, P"),
        (torch.zeros(10, 20), "has no mask of whole numbers from 0 to 255"),
        (torch.full((10, 20), 7), "has the label 7, but 2 classes have the labels 0 to 1"),
        (
            torch.zeros(20, 10, dtype=torch.uint8),
            "has 10 x 20 px, but image 0 of the training data list has 20 x 10",
        ),
    ],
)
def test_a_data_set_of_another_form_is_refused_in_one_line(mask, message):
    data_set = [(Image.new("RGB", (20, 10)), mask)]
    with pytest.raises(ValueError, match=message):
        open_segmentation(data_set, data_set, ["background", "cup"])


@pytest.mark.slow
def test_an_absorbed_and_rescaled_alexnet_is_trained_from_a_stage_as_in_the_papers_fcn(config):
    backbone = BackboneConfig(model="random:alexnet", width=0.125, absorb_batch_norm=True, rescale=True)
    data = dataclasses.replace(config.data, image_size=None, crop_size=160)
    changes = {"backbone": backbone, "data": data, "protocol": "zhang16", "train_from": "fc6", "lr": 1e-3}
    state = run(config, **changes, steps=2, batch_size=2)["state_dict"]
    assert not any("running_mean" in name for name in state)
    again = run(config, **changes | {"out": config.out + "_1"}, steps=1, batch_size=2)["state_dict"]
    moved = {name for name in state if not torch.equal(state[name], again[name])}
    stages = {name.split(".")[3] for name in moved if name.startswith("backbone.")}
    assert stages == {"fc6", "fc7"}
    (record, *_) = read_records([Path(config.out)])
    assert record.protocol == "zhang16, fc7, 160 px crops"
    assert record.stage == "fc6"


def test_a_network_that_sees_colours_too_is_trained(config):
    state = run(config, steps=1, colour_input=True, batch_norm="frozen")["state_dict"]
    assert state["backbone.network.ab_convolution.weight"].abs().sum() > 0
    (record, *_) = read_records([Path(config.out)])
    assert record.backbone == "random eccv16 x0.125, colour input"
    assert record.settings["batch_norm"] == "frozen"


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_step(config):
    with pytest.raises(RunFailedError, match=r"the loss of step [1-5] is NaN or infinite"):
        run(config, lr=1e30, evaluate_every=100)


def test_a_linear_probe_of_several_stages_moves_the_head_alone_and_resumes_bit_for_bit(
    config, tmp_path, monkeypatch
):
    probe = {"protocol": "dinov2_linear", "train_from": "head", "stages": ["conv3", "conv7"], "steps": 4}
    whole = run(config, **probe, out=str(tmp_path / "whole"), save_every=1)
    trained = {name for name in whole["state_dict"] if name.startswith("decode_head.")}
    assert trained == {f"decode_head.{of}" for of in (
        "conv_seg.weight", "conv_seg.bias", "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var",
        "norm.num_batches_tracked",
    )}  # fmt: skip
    records = read_records([tmp_path / "whole"])
    assert records[0].protocol == "dinov2_linear, conv3+conv7, 32 px crops, images within 80 x 60 px"
    assert records[0].stage == "head"
    original = RunHook.after_train_iter

    def stopping(self, runner, batch_idx, *args, **options):
        if batch_idx == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        original(self, runner, batch_idx, *args, **options)

    monkeypatch.setattr(RunHook, "after_train_iter", stopping)
    with pytest.raises(StoppedError):
        run(config, **probe, out=str(tmp_path / "stopped"), save_every=1)
    monkeypatch.undo()
    resumed = run(config, **probe, out=str(tmp_path / "stopped"), save_every=1)
    for name, tensor in whole["state_dict"].items():
        assert torch.equal(tensor, resumed["state_dict"][name]), name
    assert read_records([tmp_path / "stopped"]) == records


def test_at_several_scales_the_probabilities_of_each_and_of_its_mirror_image_are_averaged(
    config, voc, tmp_path
):
    scales = [1.0, 0.5]
    state = run(config, steps=1, test_scales=scales, evaluate_every=1, out=str(tmp_path / "run"))
    (record, *_) = read_records([tmp_path / "run"])
    assert record.settings["test_scales"] == "1, 0.5"
    protocol = resolve_protocol(config)
    network = open_backbone(config.backbone, 0).network
    model = build_segmentor(network, protocol, stages=["conv7"], num_classes=4)
    model.load_state_dict(state["state_dict"])
    model.eval()
    _, test = open_segmentation(f"voc:{voc}:train", f"voc:{voc}:val")
    confusion = np.zeros((4, 4), np.int64)
    for image in test.images:
        picture, labels = image.read()
        total = 0
        for scale in scales:
            width, height = round(80 * scale), round(60 * scale)
            shrink = min(max(width, height) / max(picture.size), min(width, height) / min(picture.size))
            size = tuple(int(side * shrink + 0.5) for side in picture.size)
            small = mmcv.imresize(mmcv.rgb2bgr(np.array(picture)), size)
            for mirrored in (False, True):
                pixels = small[:, ::-1] if mirrored else small
                tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
                sample = SegDataSample(
                    metainfo={
                        "img_shape": tensor.shape[1:], "ori_shape": labels.shape, "flip": mirrored,
                        "flip_direction": "horizontal" if mirrored else None,
                    }
                )  # fmt: skip
                with torch.no_grad():
                    (answer,) = model.test_step({"inputs": [tensor], "data_samples": [sample]})
                total = total + answer.seg_logits.data.softmax(0)
        predicted = total.argmax(0).numpy()
        np.add.at(confusion, (labels[labels != 255], predicted[labels != 255]), 1)
    right = np.diag(confusion)
    iou = 100 * right / (confusion.sum(0) + confusion.sum(1) - right)
    assert record.value == pytest.approx(np.nanmean(iou), abs=0.05)  # a pixel on the edge may fall either way


def test_test_images_that_are_trained_on_are_announced(config, voc, capsys):
    data = dataclasses.replace(config.data, test=f"voc:{voc}:train")
    run(config, data=data, steps=1)
    printed = capsys.readouterr().out
    assert "8 of the 8 test images are trained on" in printed
    assert "1 (published: 2,000) steps of 4 (published: 8) images, learning rate 0.05 (published:" in printed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stage": "conv9"}, r"there is no stage 'conv9'"),
        ({"train_from": "conv8"}, r"there is no stage 'conv8' .*valid names are head, conv1"),
        ({"evaluate_every": 0}, r"evaluate_every is 0, expected at least 1"),
    ],
)
def test_a_configuration_that_cannot_be_run_is_refused_and_leaves_no_folder(config, changes, message):
    with pytest.raises(ValueError, match=message):
        run(config, **changes)
    assert not Path(config.out).exists()


def test_other_weights_or_other_images_at_the_same_address_are_refused_by_a_begun_run(config):
    state = run(config, steps=1)
    path = Path(config.out) / "checkpoints" / "last.pt"
    torch.save(state | {"num_images": 9}, path)
    with pytest.raises(
        ValueError, match=r"there were 9 training images when .* was started and there are 8 now"
    ):
        run(config, steps=1)
    torch.save(state | {"backbone": "0" * 64}, path)
    with pytest.raises(ValueError, match=r"has other weights now than when .* was started"):
        run(config, steps=1)


def test_without_mmsegmentation_the_error_says_what_to_type(config, monkeypatch):
    monkeypatch.setitem(sys.modules, "mmseg", None)
    with pytest.raises(
        ValueError, match=r"mmseg is not installed: make segmentation, or MMCV_WITH_OPS=0 pip"
    ):
        run(config)


def arguments(config, **values):
    """Of a short training on the command line."""
    values |= {"batch_size": 4, "lr": 0.05, "device": "cpu"}
    values |= {"backbone.model": "random:eccv16", "backbone.width": 0.125, "data.image_size": "[80,60]"}
    values |= {
        f"data.{key}": getattr(config.data, key) for key in ("train", "test", "crop_size", "num_workers")
    }
    return [f"--{key}={value}" for key, value in values.items()]


@pytest.mark.slow
def test_two_processes_train_as_one_does(config, tmp_path, monkeypatch):
    monkeypatch.setattr(SegmentationProtocol, "dropout", 0.0)
    one = run(config, out=str(tmp_path / "one"), steps=3)
    script = str(Path(__file__).parent / "segment_without_dropout.py")
    output = finish(arguments(config, out=tmp_path / "two", steps=3), launcher=(*TORCHRUN, script))
    assert output.count("test at step 3") == 1
    assert not any(chatter in output for chatter in ("OneDL", "Warning", "WARNING"))
    two = load_checkpoint(tmp_path / "two" / "checkpoints" / "last.pt")
    for name, tensor in one["state_dict"].items():
        torch.testing.assert_close(two["state_dict"][name], tensor, rtol=1e-3, atol=1e-4, msg=name)
    assert two["tests"][0]["mIoU"] == pytest.approx(one["tests"][0]["mIoU"], abs=0.5)
    assert (tmp_path / "two" / "samples" / "step_0000003.png").exists()


@pytest.mark.slow
def test_wrong_data_ends_all_processes_as_bad_input(config, tmp_path):
    data = dataclasses.replace(config.data, train=f"{config.data.train}_2")
    argv = arguments(dataclasses.replace(config, data=data), out=tmp_path / "run")
    with start(argv, launcher=(*TORCHRUN, "-m", "transfer", "segment")) as process:
        output = process.stdout.read()
    assert "there is no" in output
    assert "exitcode  : 2" in output
    assert "exitcode  : 1 " not in output  # of the process that did not read the data
