"""Every task beside colorization: its published facts, and that it trains, resumes, exports and is tested."""

import json
import math
import random
import sys

import lightly.loss
import numpy as np
import pytest
import torch

import pretext
import transfer
from pretext import training
from pretext.color.lab import rgb_to_lab
from pretext.config import ExportConfig
from pretext.export import export_weights
from pretext.images.sample import sample_source
from pretext.networks import build_network
from pretext.runtime.checkpoint import load_checkpoint
from pretext.tasks import TASKS, build_task
from pretext.tasks.patches import Jigsaw, RelativePosition, permutation_set
from pretext.tasks.reconstruction import Inpainting
from tests.killed_loader import killed_before
from tests.transfer.small_voc import write_small_voc

# Task -> its arguments, a network for it, and steps and learning rate after which it has learned something.
RIVALS = {
    "rotation": ({}, ("eccv16", {}), 120, 1e-3),
    "relative_position": ({"hidden": 128}, ("eccv16", {}), 250, 1e-3),
    "jigsaw": ({"num_permutations": 4, "hidden": 128}, ("eccv16", {}), 400, 3e-3),
    "lightness_prediction": ({}, ("eccv16", {"input": "ab"}), 150, 1e-3),
    "split_brain": ({}, ("split_brain", {"part": "eccv16"}), 200, 1e-3),
    "autoencoder": ({"drop_channels": True}, ("eccv16", {"input": "lab"}), 60, 1e-3),
    "inpainting": ({}, ("eccv16", {"input": "rgb"}), 60, 1e-3),
    "simclr": ({"hidden": 64, "projected": 16, "strength": 0.5}, ("eccv16", {"input": "rgb"}), 200, 1e-3),
    "hinted_colorization": ({}, ("siggraph17", {}), 100, 1e-3),
    "hue_chroma_colorization": ({"bins": 8}, ("larsson", {}), 150, 1e-3),
    "uv_colorization": ({}, ("dahl", {}), 150, 3e-3),
    "rgb_colorization": ({}, ("deoldify", {}), 60, 2e-3),
    "adversarial_colorization": ({"critic_channels": 16, "critic_below": 0.0}, ("deoldify", {}), 40, 3e-4),
    "scene_context_colorization": ({"uniform_share": None}, ("scene_context", {}), 60, 1e-2),
    "vicreg": ({"hidden": 64, "projected": 16}, ("eccv16", {"input": "rgb"}), 60, 1e-3),
}
SIZES = {"image_size": 80, "crop_size": 72}


def test_all_tasks_are_here():
    assert RIVALS.keys() | {"colorization", "colorization_regression"} == TASKS.keys()


def built(name, width=0.125):
    args, (network, network_args), *_ = RIVALS[name]
    task = build_task(name, args)
    torch.manual_seed(0)
    return task, build_network(network, output=task.output, width=width, args=network_args)


def train(name, run_dir, steps, **keys):
    task, network = built(name)
    keys = {"lr": RIVALS[name][3], "batch_size": 9, **SIZES, "num_workers": 0, "device": "cpu", **keys}
    return pretext.train(task, network, "sample", run_dir=run_dir, steps=steps, gallery_images=1, **keys)


@pytest.mark.slow
@pytest.mark.parametrize("name", RIVALS)
def test_the_loss_falls_below_that_of_an_answer_that_ignores_the_image(name, tmp_path):
    _, _, steps, _ = RIVALS[name]
    train(name, tmp_path / "run", steps, log_every=steps // 5, validate_every=steps)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    # A network and its critic have no common loss that must fall; that of a critic whose network waits must.
    of = "_critic" if name == "adversarial_colorization" else ""
    last = [row[f"loss{of}"] for row in rows if "loss" in row][-1]
    state = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")
    task, _ = built(name)
    constant = task.constant_answer(state["statistics"], state["statistics"])[f"constant_answer{of}"]
    assert last < 0.97 * constant
    if task.uncounted is None:  # the one validation image has no others to differ from
        assert rows[-1][f"validation_constant_answer{of}"] > 0


@pytest.mark.parametrize("name", RIVALS)
def test_a_killed_training_resumes_to_the_same_bits_exports_and_is_tested(name, tmp_path, monkeypatch):
    options = {"save_every": 1, "log_every": 1, "validate_every": 3}
    train(name, tmp_path / "undisturbed", 3, **options)

    with monkeypatch.context() as patched:
        patched.setattr(training, "shuffled_batches", killed_before(2))
        with pytest.raises(KeyboardInterrupt):
            train(name, tmp_path / "run", 3, **options)
    trained = train(name, tmp_path / "run", 3, **options)
    one, other = (load_checkpoint(tmp_path / of / "checkpoints" / "last.pt") for of in ("run", "undisturbed"))
    assert one["step"] == other["step"] == 3
    for part in ("network", "head"):
        for key, tensor in (other[part] or {}).items():
            assert torch.equal(one[part][key], tensor), key
    export_weights(ExportConfig(model=str(tmp_path / "run"), out=tmp_path / "exported.safetensors"))
    exported = pretext.load_pretrained(tmp_path / "exported.safetensors")
    assert exported.sha256 == trained.sha256
    assert exported.task_name == name
    records = transfer.linear(
        str(tmp_path / "run"),
        "sample",
        "sample",
        epochs=1,
        batch_size=5,
        image_size=40,
        crop_size=32,
        num_workers=0,
    )
    assert [record.stage for record in records if record.metric == "top1"] == list(exported.network.stages)


@pytest.fixture(scope="module")
def voc(tmp_path_factory):
    return write_small_voc(tmp_path_factory.mktemp("data") / "VOC2012")


@pytest.mark.slow
@pytest.mark.parametrize("name", RIVALS)
def test_its_backbone_detects_and_segments(name, voc, tmp_path):
    pytest.importorskip("detectron2", reason="install Detectron2: make detection")
    pytest.importorskip("mmseg", reason="install mmsegmentation: make segmentation")
    train(name, tmp_path / "run", 1)
    splits = {"train": f"voc:{voc}:train", "test": f"voc:{voc}:val"}
    common = {"steps": 1, "batch_size": 2, "num_workers": 0, "device": "cpu"}
    sizes = {"image_sizes": [64], "test_image_size": 64}
    boxes = transfer.detect(str(tmp_path / "run"), **splits, **common, **sizes, out=str(tmp_path / "boxes"))
    assert "AP50" in {record.metric for record in boxes}
    sizes = {"image_size": (80, 60), "crop_size": 32}
    masks = transfer.segment(str(tmp_path / "run"), **splits, **common, **sizes, out=str(tmp_path / "masks"))
    assert "mIoU" in {record.metric for record in masks}


def photograph(size=120):
    return sample_source("train").open(0).resize((size, size))


# ------------------------------------------------------------------------------------------------------------ rotation
def test_four_turns_are_in_a_batch_together_and_are_exact():
    task, network = built("rotation")
    images = torch.from_numpy(np.array(photograph(64))).permute(2, 0, 1)[None]
    seen, turns = task.split(images, network)
    assert turns.tolist() == [[0, 1, 2, 3]]
    for number, turned in enumerate(seen):
        assert torch.equal(turned, network.see(images / 255)[0].rot90(number, (-2, -1)))


# ------------------------------------------------------------------------------------------------------------- patches
def test_a_thousand_permutations_are_as_far_apart_as_in_the_paper():
    # Noroozi and Favaro (2016), table 4: 1,000 permutations of average Hamming distance 8.00 and minimum 2.
    permutations = permutation_set(1000)
    distances = (permutations[:, None] != permutations[None]).sum(-1)[np.triu_indices(1000, 1)]
    assert distances.mean() == pytest.approx(8.00, abs=0.01)
    assert distances.min() == 2
    assert all(sorted(row) == list(range(9)) for row in permutations.tolist())
    assert len({tuple(row) for row in permutations.tolist()}) == 1000


def where(task, crop=96):
    """Row and column in the crop of each patch's upper left pixel, in a picture that says where it is."""
    places = torch.zeros(3, crop, crop, dtype=torch.uint8)
    places[0], places[1] = torch.arange(crop)[:, None], torch.arange(crop)
    found = []
    for seed in range(50):
        sample = task._sample(places, task._patch_side(crop), random.Random(seed))
        side = task._patch_side(crop)
        patches = sample[:-2].unflatten(0, (9, 3, side, side))
        found.append(patches[:, :2, 0, 0].tolist())
    return np.array(found), side


@pytest.mark.parametrize("task", [RelativePosition(), Jigsaw(num_permutations=2)], ids=["relative", "jigsaw"])
def test_patches_lie_in_their_cells_do_not_touch_and_move(task):
    places, side = where(task)
    assert side % 8 == 0
    assert places.min() >= 0
    assert places.max() <= 96 - side
    cells = (places + side / 2) // 32
    assert (cells == [[row, column] for row in range(3) for column in range(3)]).all()
    assert np.ptp(places[:, 0], axis=0).min() > 0
    for axis, neighbour in ((0, 3), (1, 1)):  # the patch below, and that on the right
        assert (places[:, neighbour, axis] - places[:, 0, axis] > side).all()


def test_relative_positions_have_the_gap_and_jitter_of_the_paper():
    # Doersch et al. (2015), section 4.1: patches of 96 px, a gap of about 48 and a jitter of up to 7 in each direction.
    task = RelativePosition()
    assert (task.gap, task.jitter) == (48 / 96, 7 / 96)
    assert task.num_answers == 8
    _, answers = task.split(task.cut(96, 88)(photograph(), random.Random(0))[None], built("rotation")[1])
    assert answers.tolist() == [list(range(8))]


def test_jigsaw_shows_the_patches_in_the_order_of_the_permutation_it_asks_for():
    task = Jigsaw(num_permutations=20, normalise=False)
    network = built("rotation")[1]
    samples = torch.stack([task.cut(96, 88)(photograph(), random.Random(seed)) for seed in range(40)])
    seen, answers = task.split(samples, network)
    patches = task.see_patches(samples, network)
    for image, (shown, answer) in enumerate(
        zip(seen.unflatten(0, (-1, 9)), answers[:, 0].tolist(), strict=True)
    ):
        assert torch.equal(shown, patches[image][permutation_set(20)[answer]])
    assert len(set(answers[:, 0].tolist())) > 10
    assert answers.max() < 20


def test_validation_asks_the_same_every_time_and_not_the_same_of_every_image():
    task = Jigsaw(num_permutations=1000)
    cut = task.cut_in_order(96)
    pictures = [sample_source("train").open(index) for index in range(6)]
    samples = torch.stack([cut(picture) for picture in pictures])
    assert torch.equal(samples, torch.stack([cut(picture) for picture in pictures]))
    assert len(set(task.answers(samples)[:, 0].tolist())) > 3


def test_each_tile_of_a_jigsaw_has_the_same_mean_and_deviation():
    task, network = Jigsaw(num_permutations=2), built("rotation")[1]
    seen = task.see_patches(task.cut(96, 88)(photograph(), random.Random(0))[None], network)
    deviation, mean = torch.std_mean(seen, dim=(3, 4))
    torch.testing.assert_close(mean, torch.full_like(mean, 50.0), rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(deviation, torch.full_like(deviation, 25.0), rtol=1e-3, atol=1e-2)


def test_projected_colours_have_no_green_against_magenta_and_greys_stay():
    # Doersch et al. (2015), section 3.1: a = (-1, 2, -1) is projected out.
    task = RelativePosition()
    network = build_network("eccv16", output=None, width=0.125, args={"input": "rgb"})
    sample = task.cut(96, 88)(photograph(), random.Random(0))[None]
    seen = task.see_patches(sample, network)[0]
    inside = ((seen > 0) & (seen < 1)).all(1)
    green = torch.einsum("pchw,c->phw", seen, torch.tensor([-1.0, 2.0, -1.0]))
    assert green[inside].abs().max() < 1e-5
    grey = task.cut(96, 88)(photograph().convert("L").convert("RGB"), random.Random(0))[None]
    side = task._patch_side(88)
    as_it_was = grey[0, :-2].unflatten(0, (9, 3, side, side)) / 255
    torch.testing.assert_close(task.see_patches(grey, network)[0], as_it_was)


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("jigsaw", {"num_permutations": 1}, "num_permutations is 1, expected 2 to 65536"),
        ("jigsaw", {"jitter": 0.5}, "a jitter of at most half of that"),
        ("lightness_prediction", {"num_bins": 1}, "num_bins is 1, expected at least 2"),
        ("inpainting", {"hidden": "all"}, "task inpainting: .*hidden.*blocks.*centre.* Got value: all"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(name, args, message):
    with pytest.raises(ValueError, match=message):
        build_task(name, args)


def test_a_crop_without_room_for_patches_is_refused_before_anything_is_read(tmp_path):
    with pytest.raises(
        ValueError, match=r"crop_size 32 has no room for 3 x 3 patches of 8 px .* give at least 36"
    ):
        train("relative_position", tmp_path / "run", 1, image_size=32, crop_size=32)


# ------------------------------------------------------------------------------------------------------- cross-channel
def test_halves_of_a_split_brain_see_and_answer_what_is_theirs():
    task, network = built("split_brain", width=0.25)
    half = build_network("eccv16", output=313, width=0.125)
    # Zhang, Isola, Efros (2017), section 3.1: two disjoint halves, their features side by side.
    assert {name: spec.channels for name, spec in network.stages.items()} == {
        name: 2 * spec.channels for name, spec in half.stages.items()
    }
    network.eval()
    images = torch.from_numpy(np.array(photograph(64))).permute(2, 0, 1)[None]
    lab, targets = task.split(images, network)
    torch.testing.assert_close(lab, rgb_to_lab(images / 255))
    with torch.no_grad():
        whole = network(lab)
        stages = network.forward_stages(lab, ["conv5"])["conv5"]
        other_colours, other_lightness = lab.clone(), lab.clone()
        other_colours[:, 1:], other_lightness[:, :1] = 0, 50
        by_lightness, by_colour = network(other_colours), network(other_lightness)
        grey = network.forward_stages(other_colours, ["conv5"])["conv5"]
    assert whole.shape[1] == 313 + 100
    assert torch.equal(whole[:, :313], by_lightness[:, :313])
    assert torch.equal(whole[:, 313:], by_colour[:, 313:])
    assert torch.equal(stages[:, : stages.shape[1] // 2], grey[:, : stages.shape[1] // 2])
    losses = task.losses(whole, targets)
    torch.testing.assert_close(losses.optimised, losses.by_name["loss_ab"] + losses.by_name["loss_lightness"])


def test_lightness_is_asked_for_in_even_bins():
    task, _ = built("lightness_prediction")
    assert task.bins_of(torch.tensor([0.0, 0.99, 1.0, 50.5, 99.99, 100.0])).tolist() == [0, 0, 1, 50, 99, 99]
    logits = torch.zeros(2, 100, 3, 3)
    (loss,) = set(task.losses(logits, torch.zeros(2, 3, 3, dtype=torch.long)).optimised.tolist())
    assert loss == pytest.approx(math.log(100))


@pytest.mark.parametrize(
    ("name", "network", "message"),
    [
        (
            "lightness_prediction",
            {},
            "predicts L from ab, but Eccv16 sees lightness; set network.args.input to ab",
        ),
        (
            "autoencoder",
            {},
            "an autoencoder reproduces Lab, but Eccv16 sees lightness; set network.args.input to lab",
        ),
        ("split_brain", {}, "split_brain needs the network split_brain with lightness_bins 100, not Eccv16"),
    ],
)
def test_a_network_that_sees_something_else_is_named(name, network, message):
    task = build_task(name, {})
    other = build_network("eccv16", output=task.output, width=0.125, args=network)
    with pytest.raises(ValueError, match=message):
        task.split(torch.zeros(1, 3, 16, 16, dtype=torch.uint8), other)


@pytest.mark.parametrize("name", ["alexnet", "eccv16", "resnet50"])
@pytest.mark.parametrize("sees", ["lightness", "luma", "intensity", "ab", "lab", "rgb"])
def test_every_network_takes_every_input_centred(name, sees):
    network = build_network(name, output=None, width=0.125, args={"input": sees}).eval()
    grey = network.see(torch.full((1, 3, 64, 64), 0.466327))  # L = 50
    assert network.normalise(grey).abs().max() * network.lightness_scale < 4
    assert network.forward_stages(grey, network.stages).keys() == network.stages.keys()


# --------------------------------------------------------------------------------------------------------------- views
@pytest.mark.parametrize("name", ["simclr", "vicreg"])
def test_the_loss_of_two_views_is_lightly_s_and_has_its_gradient(name):
    task = build_task(name, {"hidden": 64, "projected": 16})
    torch.manual_seed(0)
    output = torch.randn(10, 16, requires_grad=True)
    losses = task.losses(output, 5)
    criterion = {"simclr": lightly.loss.NTXentLoss(0.5), "vicreg": lightly.loss.VICRegLoss()}[name]
    expected = criterion(output[::2], output[1::2])
    assert torch.equal(losses.optimised, expected.expand(5))
    (gradient,) = torch.autograd.grad(losses.optimised.sum() / 5, output)
    (lightly_s,) = torch.autograd.grad(criterion(output[::2], output[1::2]), output)
    torch.testing.assert_close(gradient, lightly_s)


def test_equal_projections_lose_what_the_definitions_say():
    # Chen et al. (2020), equation 1: one of the 2N - 1 other views of a batch is right. Bardes et al. (2022), equations
    # 1 and 6: views agree and do not covary, but every feature lacks its whole deviation, but for the square root of
    # 0.0001, in both views (of which lightly takes the mean), 25 times.
    for name, expected in (("simclr", math.log(2 * 8 - 1)), ("vicreg", 25 * (1 - 0.01))):
        task = build_task(name, {})
        statistics = task.statistics(8) + task.statistics(8)
        assert task.constant_answer(statistics, statistics)["constant_answer"] == pytest.approx(expected)


def test_an_image_alone_does_not_count():
    task = build_task("vicreg", {"hidden": 8, "projected": 4})
    losses = task.losses(torch.randn(2, 4), 1)
    assert losses.optimised.tolist() == [0]
    assert not losses.counted.any()
    assert torch.equal(task.statistics(5) + task.statistics(1), task.statistics(5))


@pytest.mark.parametrize("name", ["simclr", "vicreg"])
def test_two_views_of_an_image_differ_and_are_functions_of_its_random_numbers(name):
    task = build_task(name, {"hidden": 8, "projected": 8})
    cut = task.cut(96, 64)
    states = torch.get_rng_state(), np.random.get_state()[1]
    views = cut(photograph(), random.Random(3))
    assert views.shape == (2, 3, 64, 64)
    assert not torch.equal(views[0], views[1])
    assert torch.equal(views, cut(photograph(), random.Random(3)))
    assert not torch.equal(views, cut(photograph(), random.Random(4)))
    in_order = task.cut_in_order(64)
    assert torch.equal(in_order(photograph()), in_order(photograph()))
    assert torch.equal(states[0], torch.get_rng_state())
    assert (states[1] == np.random.get_state()[1]).all()


def test_without_lightly_a_task_of_views_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightly", None)
    with pytest.raises(
        ValueError, match=r"simclr needs the package lightly.*colorization-benchmark\[lightly\]"
    ):
        build_task("simclr", {})


# ------------------------------------------------------------------------------------------------------ reconstruction
@pytest.mark.parametrize("hidden", ["blocks", "centre"])
def test_at_most_a_quarter_is_hidden_shown_grey_and_asked_about(hidden):
    task = Inpainting(hidden)
    network = build_network("eccv16", output=None, width=0.125, args={"input": "rgb"})
    samples = torch.stack([task.cut(96, 80)(photograph(), random.Random(seed)) for seed in range(20)])
    shares = (samples[:, 3] == 255).float().mean((1, 2))
    assert shares.min() > 0.05
    assert shares.max() <= 0.26
    if hidden == "centre":
        assert (shares == 0.25).all()
    seen, targets = task.split(samples, network)
    masked = samples[:, 3:] == 255
    assert (seen[masked.expand_as(seen)] == 0.5).all()
    assert torch.equal(seen[~masked.expand_as(seen)], (samples[:, :3] / 255)[~masked.expand_as(seen)])
    wrong = targets[:, :3].clone()
    wrong[(targets[:, 3:] == 0).expand_as(wrong)] = 9.0  # where nothing is hidden nothing is asked
    assert task.losses(wrong, targets).optimised.max() < 1e-6


@pytest.mark.parametrize("name", ["autoencoder", "inpainting"])
def test_no_constant_colour_does_better_than_the_constant_answer(name):
    task, network = built(name)
    samples = torch.stack([task.cut(96, 80)(photograph(), random.Random(seed)) for seed in range(4)])
    _, targets = task.split(samples, network)
    statistics = task.statistics(targets)
    constant = task.constant_answer(statistics, statistics)["constant_answer"]
    best = (statistics[1:4] / statistics[0]).float()

    def loss(colour):
        answer = colour[None, :, None, None].expand(len(targets), 3, *targets.shape[2:])
        return task.losses(answer, targets).optimised.mean().item()

    assert loss(best) == pytest.approx(constant, rel=1e-4)
    for step in torch.eye(3):
        assert min(loss(best + 0.05 * step), loss(best - 0.05 * step)) > constant
