"""The task of several heads: its losses by their definitions, its masks, and its teacher."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image

import pretext
from pretext.images.masks import VOID
from pretext.networks import build_network
from pretext.runtime.metrics_log import read_metrics
from pretext.tasks import build_task
from pretext.tasks.scene_context_colorization import SceneContextTargets
from tests.transfer.small_voc import write_small_voc

NUM_SCENES = 7


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    return write_small_voc(tmp_path_factory.mktemp("data") / "VOC2012")


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A checkpoint as PyTorch's ImageNet example writes it, of a network in several GPUs, and the network."""
    torch.manual_seed(0)
    network = torchvision.models.resnet18(num_classes=NUM_SCENES).eval()
    file = tmp_path_factory.mktemp("teacher") / "resnet18_scenes.pth.tar"
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"epoch": 90, "arch": "resnet18", "state_dict": state, "best_prec1": torch.tensor(54.0)}, file)
    return file, network


def four_headed(voc, teacher, **weights):
    args = {
        "masks": [str(voc / "SegmentationClass")],
        "segments": 21,
        "teacher": str(teacher),
        "scenes": NUM_SCENES,
    }
    return build_task("scene_context_colorization", args | weights)


def some_targets(num_images=3):
    generator = torch.Generator().manual_seed(0)
    ab = 40 * torch.randn(num_images, 2, 8, 6, generator=generator)
    classes = torch.randint(21, (num_images, 8, 6), generator=generator)
    classes[0, :2], classes[1] = VOID, VOID
    scenes = torch.rand(num_images, NUM_SCENES, generator=generator).softmax(dim=1)
    ab[2] = 0  # grey: it does not count
    return SceneContextTargets(ab, classes, scenes)


def test_the_loss_is_the_weighted_sum_of_the_heads_definitions(voc, teacher):
    task = four_headed(
        voc, teacher[0], bins_weight=0.5, ab_weight=10.0, segments_weight=2.0, scenes_weight=3.0
    )
    assert task.output == {"bins": 313, "ab": 2, "segments": 21, "scenes": NUM_SCENES}
    targets, generator = some_targets(), torch.Generator().manual_seed(1)
    answers = {
        name: torch.randn(3, channels, *(() if name == "scenes" else (8, 6)), generator=generator)
        for name, channels in task.output.items()
    }
    losses, counted = task.losses(answers, targets)
    assert counted.tolist() == [True, True, False]
    alone = build_task("colorization", {}).losses(answers["bins"], targets.ab)
    torch.testing.assert_close(losses["loss_bins"], alone.optimised)
    square = 0.5 * (answers["ab"] - targets.ab / 110).square().sum(1).mean((1, 2))
    torch.testing.assert_close(losses["loss_ab"], square * counted)
    labelled = F.cross_entropy(answers["segments"][:1], targets.segments[:1], ignore_index=VOID)
    torch.testing.assert_close(losses["loss_segments"], torch.stack([labelled, *2 * [torch.tensor(0.0)]]))
    said = -(targets.scenes * answers["scenes"].log_softmax(1)).sum(1)
    torch.testing.assert_close(losses["loss_scenes"], said * counted)
    total = (
        0.5 * losses["loss_bins"]
        + 10 * losses["loss_ab"]
        + 2 * losses["loss_segments"]
        + 3 * losses["loss_scenes"]
    )
    torch.testing.assert_close(losses["loss"], total)


def test_the_constant_answer_is_what_the_heads_lose_by_it(voc, teacher):
    task = four_headed(voc, teacher[0])
    targets = some_targets()
    statistics = task.statistics(targets)
    found = task.constant_answer(statistics, statistics)
    shares = (
        F.one_hot(targets.segments[0][2:].flatten(), 21).double().mean(0)
    )  # of the only image with a mask
    scenes = targets.scenes[:2].double().mean(0)
    answers = {
        "bins": torch.zeros(3, 313, 8, 6),
        "ab": (targets.ab[:2].mean((0, 2, 3)) / 110).view(1, 2, 1, 1).expand(3, 2, 8, 6),
        "segments": shares.clamp_min(1e-9).log().float().view(1, 21, 1, 1).expand(3, 21, 8, 6),
        "scenes": scenes.log().float().expand(3, NUM_SCENES),
    }
    losses, counted = task.losses(answers, targets)
    for head in ("ab", "segments", "scenes"):
        expected = losses[f"loss_{head}"].sum().item() / counted.sum().item()
        assert found[f"constant_answer_{head}"] == pytest.approx(expected, rel=1e-4), head
    heads = [found[f"constant_answer_{head}"] for head in answers]
    assert found["constant_answer"] == pytest.approx(sum(heads), rel=1e-5)


def test_scenes_are_the_teacher_s_five_likeliest_renormalised(voc, teacher):
    file, classifier = teacher
    task = four_headed(voc, file)
    network = build_network("scene_context", output=task.output, width=0.125)
    images = torch.randint(256, (2, 4, 64, 64), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    _, targets = task.split(images, network)
    mean, std = (torch.tensor(of).view(3, 1, 1) for of in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    with torch.no_grad():
        probability = classifier((images[:, :3] / 255 - mean) / std).softmax(1)
    for said, of in zip(targets.scenes, probability, strict=True):
        assert int((said > 0).sum()) == 5
        kept = of * (said > 0)
        assert set(kept.nonzero().flatten().tolist()) == set(of.argsort()[-5:].tolist())
        torch.testing.assert_close(said, kept / kept.sum())


def test_picture_and_mask_are_cut_alike():
    labels = np.zeros((60, 90), np.uint8)
    labels[:, 30:], labels[20:, 50:] = 1, 2
    picture = Image.fromarray(np.stack([100 * labels] * 3 + [labels], axis=-1), "RGBA")
    task = build_task("scene_context_colorization", {})
    for seed in range(20):
        crop = task.cut(48, 40)(picture, random.Random(seed)).int()
        assert crop.shape == (4, 40, 40)
        # On a border the picture is blurred, the mask is not.
        assert ((crop[0] - 100 * crop[3]).abs() < 20).float().mean() > 0.9
    assert set(task.cut_in_order(48)(picture)[3].unique().tolist()) <= {0, 1, 2}
    without = task.cut(48, 40)(picture.convert("RGB"), random.Random(0))
    assert without[3].unique().tolist() == [VOID]


@pytest.mark.slow
def test_it_learns_from_masks_and_a_teacher(voc, teacher, tmp_path):
    task = four_headed(voc, teacher[0])
    torch.manual_seed(0)
    network = build_network("scene_context", output=task.output, width=0.125)
    keys = {"image_size": 64, "crop_size": 48, "lr": 3e-3, "batch_size": 4, "num_workers": 0, "device": "cpu"}
    run = tmp_path / "run"
    trained = pretext.train(
        task, network, str(voc / "JPEGImages"), run_dir=run, steps=30, log_every=10, **keys
    )
    first, *_, last = [row for row in read_metrics(run / "metrics.jsonl") if "loss" in row]
    assert last["loss_segments"] < first["loss_segments"]
    assert last["loss"] < first["loss"]
    assert trained.network.output == task.output


def test_unusable_masks_and_teachers_are_refused_before_a_step(voc, teacher, tmp_path):
    images = str(voc / "JPEGImages")
    keys = {"image_size": 64, "crop_size": 48, "batch_size": 4, "num_workers": 0, "device": "cpu", "steps": 1}
    (tmp_path / "empty").mkdir()
    torch.save({"state_dict": {}}, tmp_path / "no_arch.pth")
    masks = [str(voc / "SegmentationClass")]
    for args, message in (
        ({"masks": [str(tmp_path / "empty")]}, "none of 14 images of .* has a mask in .*empty"),
        ({"masks": masks, "segments": 2}, r"has the class \d, expected 0 to 1.*set task_args.segments"),
        ({"teacher": str(teacher[0])}, "has 7 classes; set task_args.scenes to 7"),
        ({"teacher": str(tmp_path / "no_arch.pth")}, "no checkpoint with `arch`, a network of torchvision"),
    ):
        task = build_task("scene_context_colorization", args)
        network = build_network("scene_context", output=task.output, width=0.125)
        with pytest.raises(ValueError, match=message):
            pretext.train(task, network, images, validation="sample", run_dir=tmp_path / "run", **keys)
        assert not (tmp_path / "run" / "checkpoints").exists()
