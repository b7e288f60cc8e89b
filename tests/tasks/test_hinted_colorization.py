"""Colorization with hints: how they are drawn and shown, and what a user does with a network that takes them."""

import random

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch import nn

import pretext
from pretext.__main__ import main
from pretext.color.lab import rgb_to_lab
from pretext.config import ExportConfig
from pretext.export import export_weights
from pretext.hints import Hint, hint_map, read_hints
from pretext.images.sample import sample_source
from pretext.networks import build_network
from pretext.pretrained import load_pretrained
from pretext.tasks import build_task
from pretext.tasks.hinted_colorization import EVERY_PIXEL, HintedColorization


def drawn(count=4000, side=64, **args):
    task = HintedColorization(**args)
    return [task.draw_patches(side, random.Random(seed)).numpy() for seed in range(count)]


# -------------------------------------------------------------------------------------------------- how they are drawn
def test_patches_are_as_many_as_large_and_where_the_paper_says():
    # Zhang et al. (2017), section 3.2: geometric with p = 1/8, squares of 1 to 9 pixels, a normal distribution of
    # deviation 1/4 of the side around the middle.
    maps = drawn(whole_share=0.0)
    numbers = np.array([patches.max() for patches in maps])
    assert numbers.mean() == pytest.approx(7, rel=0.05)
    assert (numbers == 0).mean() == pytest.approx(1 / 8, abs=0.02)
    lone = [patches for patches, number in zip(maps, numbers, strict=True) if number == 1]
    sides = np.sqrt([(patches > 0).sum() for patches in lone])
    assert set(sides) == set(range(1, 10))
    middles = np.array([np.argwhere(patches).mean(0) for patches in lone])
    assert middles.mean() == pytest.approx(31.5, abs=1)
    assert 0.2 < middles.std() / 64 < 0.25  # those beyond the border are moved to it


def test_one_image_of_a_hundred_is_shown_whole():
    shown = np.array([(patches == EVERY_PIXEL).all() for patches in drawn()])
    assert shown.mean() == pytest.approx(0.01, abs=0.005)


def test_a_patch_shows_its_mean_colour_and_the_rest_nothing():
    task, network = (
        build_task("hinted_colorization", {}),
        build_network("siggraph17", output="ab", width=0.125),
    )
    rgb = torch.randint(0, 256, (2, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    patches = torch.zeros(2, 1, 16, 16, dtype=torch.uint8)
    patches[0, 0, 2:5, 4:7], patches[0, 0, 10, 10], patches[1] = 1, 2, EVERY_PIXEL
    seen, targets = task.split(torch.cat([rgb, patches], dim=1), network)
    lab = rgb_to_lab(rgb / 255)
    assert torch.equal(seen[:, :1], lab[:, :1])
    assert torch.equal(targets, lab[:, 1:])
    mean = lab[0, 1:, 2:5, 4:7].mean((1, 2))
    torch.testing.assert_close(seen[0, 1:3, 2:5, 4:7], mean[:, None, None].expand(2, 3, 3))
    torch.testing.assert_close(seen[0, 1:3, 10, 10], lab[0, 1:, 10, 10])
    assert torch.equal(seen[1, 1:3], lab[1, 1:])
    assert torch.equal(seen[:, 3:], (patches > 0).float())
    assert not seen[0, 1:3][:, patches[0, 0] == 0].any()


def test_the_loss_is_hubers_and_its_constant_answer_that_of_the_best_colour():
    task = build_task("hinted_colorization", {})
    targets = torch.tensor([30.0, -10.0])[:, None, None].expand(1, 2, 4, 4)
    output = (
        targets / 110 + torch.tensor([0.5, 3.0])[:, None, None] / 110
    )  # half a unit away in a, three in b
    expected = (0.5 * 0.5**2 + (3 - 0.5)) / 110**2  # Huber's loss of corner 1, in units of 110
    assert task.losses(output, targets).optimised.item() == pytest.approx(expected, rel=1e-4)
    reference = nn.HuberLoss(reduction="none", delta=1 / 110)(output, targets / 110).sum(1).mean()
    assert task.losses(output, targets).optimised.item() == pytest.approx(reference.item())
    mixed = torch.cat([targets, targets, 0 * targets + 20])
    statistics = task.statistics(mixed)
    truths = mixed[:, :, 0, 0] / 110
    candidates = torch.arange(-128, 128)[:, None, None] / 110
    best = (
        nn.HuberLoss(reduction="none", delta=1 / 110)(*torch.broadcast_tensors(candidates, truths))
        .mean(1)
        .amin(0)
        .sum()
    )
    found = task.constant_answer(statistics, statistics)["constant_answer"]
    assert found == pytest.approx(best.item(), rel=1e-4)


def test_a_network_that_takes_no_hints_is_refused():
    with pytest.raises(ValueError, match="Eccv16 takes none; train siggraph17"):
        build_task("hinted_colorization", {}).split(
            torch.zeros(1, 4, 16, 16, dtype=torch.uint8), build_network("eccv16", output="ab", width=0.125)
        )


# ----------------------------------------------------------------------------------------------------- in use
def test_without_hints_the_network_sees_what_it_saw_before():
    torch.manual_seed(0)
    network = build_network("siggraph17", output="ab", width=0.125).eval()
    lightness = 100 * torch.rand(1, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(network(lightness), network(torch.cat([lightness, torch.zeros(1, 3, 16, 16)], 1)))
        hinted = torch.cat([lightness, torch.full((1, 2, 16, 16), 60.0), torch.ones(1, 1, 16, 16)], 1)
        assert not torch.equal(network(lightness), network(hinted))


def test_hints_lie_where_the_user_gives_them():
    hints = [Hint(x=50, y=20, colour="#ff0000", size=20), Hint(x=99, y=99, colour="navy", size=1)]
    shown = hint_map(hints, (100, 100), (50, 50))
    red = rgb_to_lab(torch.tensor([1.0, 0, 0]).view(1, 3, 1, 1))[0, 1:, 0, 0]
    assert torch.equal(shown[0, :2, 5:15, 20:30], red[:, None, None].expand(2, 10, 10))
    assert shown[0, 2].sum() == 101
    assert shown[0, 2, 49, 49] == 1
    with pytest.raises(ValueError, match=r"at x 120, y 3 lies outside of the image of 100 x 100 pixels"):
        hint_map([Hint(x=120, y=3, colour="red")], (100, 100), (50, 50))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A network that has learned to use hints: an hour of the published training in seconds, on nine photographs."""
    folder = tmp_path_factory.mktemp("hinted")
    torch.manual_seed(0)
    network = build_network("siggraph17", output="ab", width=0.125)
    task = HintedColorization(whole_share=0.5)
    pretext.train(
        task,
        network,
        "sample",
        run_dir=folder / "run",
        steps=150,
        lr=2e-3,
        batch_size=9,
        image_size=80,
        crop_size=72,
        num_workers=0,
        device="cpu",
        gallery_images=1,
    )
    export_weights(ExportConfig(model=str(folder / "run"), out=folder / "hinted.safetensors"))
    return folder / "hinted.safetensors"


@pytest.mark.slow
def test_a_hint_changes_the_colours_around_it_towards_its_own(weights, tmp_path):
    photograph = sample_source("train").open(0).resize((96, 96))
    hint = Hint(x=30, y=30, colour="#5070b0", size=30)
    alone, hinted = (
        pretext.colorize([photograph], weights, hints=hints, size=96, device="cpu")[0]
        for hints in (None, [[hint]])
    )
    ab = [
        rgb_to_lab(torch.from_numpy(np.array(image)).permute(2, 0, 1)[None] / 255)[0, 1:, 20:40, 20:40]
        for image in (alone, hinted)
    ]
    distance = [(of.mean((1, 2)) - hint.ab[:, 0, 0]).norm().item() for of in ab]
    assert distance[1] < 0.8 * distance[0]

    photograph.save(tmp_path / "photograph.png")
    hints = tmp_path / "hints.yaml"
    hints.write_text(
        yaml.safe_dump({"photograph.png": [{"x": 30, "y": 30, "colour": "#5070b0", "size": 30}]})
    )
    flags = ["--weights", str(weights), "--size", "96", "--device", "cpu", "--hints", str(hints)]
    assert main(["colorize", str(tmp_path / "photograph.png"), "--out", str(tmp_path / "out"), *flags]) == 0
    assert np.array_equal(np.array(Image.open(tmp_path / "out" / "photograph.png")), np.array(hinted))


@pytest.mark.slow
def test_published_weights_take_hints_and_start_a_training_with_them(weights):
    network = load_pretrained(weights).network
    assert network.takes_hints
    task = build_task("hinted_colorization", {})
    assert task.has_output_of(build_task("colorization_regression", {}))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("other.png: []", "none of the images is called other.png"),
        ("a.png: 3", "expected a list of hints"),
        ("a.png: [{x: 1, y: 2}]", "expected a hint with x, y, colour and maybe size"),
        ("a.png: [{x: 1, y: 2, colour: blau}]", "unknown color specifier: 'blau'"),
        ("a.png: [{x: left, y: 2, colour: red}]", "could not convert string to float: 'left'"),
        ("a.png: [{x: 1, y: 2, colour: red, size: 0}]", "the size of a hint must be positive, not 0"),
    ],
)
def test_a_wrong_file_of_hints_is_one_line(text, message, tmp_path):
    file = tmp_path / "hints.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_hints(file, [tmp_path / "a.png"])
    assert str(file) in str(caught.value)


def test_hints_are_refused_before_anything_is_colorized_where_they_mean_nothing(tmp_path, capsys):
    photograph, hints = tmp_path / "a.png", tmp_path / "hints.yaml"
    sample_source("train").open(0).resize((32, 32)).save(photograph)
    hints.write_text("a.png: [{x: 1, y: 2, colour: red}]")
    words = [
        "colorize",
        str(photograph),
        "--out",
        str(tmp_path / "out"),
        "--hints",
        str(hints),
        "--device",
        "cpu",
    ]
    assert main(words) == 2
    assert "Eccv16 takes no hints; siggraph17 does" in capsys.readouterr().err
    assert main([*words, "--frames", "true"]) == 2
    assert "--hints are for pictures" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
