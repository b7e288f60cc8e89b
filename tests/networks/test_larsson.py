"""Larsson's hypercolumns: sizes, both ways to compute them, hue and chroma, and what is done with them."""

import colorsys
import math
import sys

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torchvision import models
from torchvision.transforms.functional import normalize

import eval_colorization
import pretext
from eval_colorization.methods import all_decodings
from pretext.color.hue_chroma import (
    colorized,
    hue_chroma_to_rgb,
    hue_directions,
    likeliest_chroma,
    likeliest_directions,
    mean_chroma,
    median_chroma,
    rgb_to_hue_chroma,
)
from pretext.images.sample import sample_source
from pretext.networks import build_network
from pretext.networks.larsson import upsampled
from pretext.pretrained import load_pretrained, start_from
from pretext.tasks import build_task

BASES = pytest.mark.parametrize("base", ["vgg16", "alexnet"])


def built(width=0.125, output=64, base="vgg16"):
    torch.manual_seed(0)
    return build_network("larsson", output=output, width=width, args={"base": base}).eval()


def test_sizes_are_those_of_the_published_file():
    with torch.device("meta"):
        network = built(1.0)
    shapes = {name: tuple(parameter.shape) for name, parameter in network.named_parameters()}
    assert shapes["conv1_1.weight"] == (64, 1, 3, 3)
    assert shapes["fc6.weight"] == (4096, 512, 7, 7)
    assert shapes["fc7.weight"] == (4096, 4096, 1, 1)
    assert shapes["h_fc1.weight"] == (1024, 12_417, 1, 1)
    assert sum(math.prod(shape) for shape in shapes.values()) == 147_041_024


def test_on_alexnet_the_layers_are_its_own_behind_the_image():
    # Larsson et al. (2017): the image, and conv1 at stride 4, conv2 at 8, conv3 to fc7.
    with torch.device("meta"):
        network = built(1.0, base="alexnet")
    assert network.h_fc1.in_channels == 1 + 96 + 256 + 384 + 384 + 256 + 4096 + 4096
    assert list(network.stages) == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"]


@BASES
def test_stages_have_the_channels_and_strides_that_they_say(base):
    network = built(base=base)
    with torch.no_grad():
        for name, maps in network.forward_stages(torch.rand(1, 1, 64, 96), network.stages).items():
            channels, stride = network.stages[name]
            assert maps.shape == (1, channels, -(-64 // stride), -(-96 // stride))
        assert network(torch.rand(1, 1, 50, 70)).shape == (1, 64, 13, 18)


@BASES
def test_the_dense_map_is_that_of_one_hypercolumn_which_is_never_there(base):
    # Larsson et al. (2016), section 3: all layers at one resolution, then one layer on all of them.
    network = built(base=base)
    image = torch.rand(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        blobs = {"data": image} | network.forward_stages(image, network.stages)
        strides = {"data": 1} | {name: spec.stride for name, spec in network.stages.items()}
        maps = [
            F.avg_pool2d(blob, 4 // strides[name])
            if strides[name] < 4
            else (upsampled(blob, strides[name] // 4) if strides[name] > 4 else blob)
            for name, blob in blobs.items()
        ]
        features = network.h_fc1(torch.cat(maps, dim=1)).relu()
        whole = torch.cat([network.prediction_h(features), network.prediction_c(features)], dim=1)
        torch.testing.assert_close(network(image), whole, atol=1e-4, rtol=1e-4)


@BASES
def test_places_are_interpolated_between_their_four_positions(base):
    network = built(base=base)
    image = torch.rand(2, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(2, 1, 64, 64)
    places = [(0, 0), (17, 42), (40, 5), (63, 63)]
    for row, column in places:
        mask[:, :, row, column] = 1
    with torch.no_grad():
        blobs = {"data": image} | network.forward_stages(image, network.stages)
        strides = {"data": 1} | {name: spec.stride for name, spec in network.stages.items()}
        columns = []
        for name, blob in blobs.items():
            at = []
            for row, column in places:
                y, x = (
                    min(of / strides[name], side - 1)
                    for of, side in zip((row, column), blob.shape[2:], strict=True)
                )
                top, left = int(y), int(x)
                bottom, right = min(top + 1, blob.shape[2] - 1), min(left + 1, blob.shape[3] - 1)
                above = torch.lerp(blob[:, :, top, left], blob[:, :, top, right], x - left)
                below = torch.lerp(blob[:, :, bottom, left], blob[:, :, bottom, right], x - left)
                at.append(torch.lerp(above, below, y - top))
            columns.append(torch.stack(at, dim=-1))
        features = network.h_fc1(torch.cat(columns, dim=1)[..., None]).relu()
        expected = torch.cat([network.prediction_h(features), network.prediction_c(features)], dim=1)
        torch.testing.assert_close(network(torch.cat([image, mask], dim=1)), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("factor", [2, 4, 8])
def test_upsampling_is_bilinear_inside_and_dark_at_the_border(factor):
    maps = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(0))
    ours = upsampled(maps, factor)
    bilinear = F.interpolate(maps, scale_factor=factor, mode="bilinear")
    inside = (..., slice(factor, -factor), slice(factor, -factor))
    torch.testing.assert_close(ours[inside], bilinear[inside])
    assert (ours[..., 0, :] < bilinear[..., 0, :]).all()


# --------------------------------------------------------------------------------------------------- hue and chroma
def test_hue_is_hsv_s_and_chroma_the_largest_less_the_smallest():
    rgb = np.random.default_rng(0).random((200, 3)).astype(np.float32)
    hue, chroma = rgb_to_hue_chroma(torch.from_numpy(rgb).T[None, :, None])
    expected = [colorsys.rgb_to_hsv(*map(float, colour)) for colour in rgb]
    assert hue[0, 0].numpy() == pytest.approx([of[0] for of in expected], abs=1e-5)
    assert chroma[0, 0].numpy() == pytest.approx([of[1] * of[2] for of in expected], abs=1e-5)
    grey_hue, grey_chroma = rgb_to_hue_chroma(torch.full((1, 3, 1, 1), 0.4))
    assert grey_hue.item() == grey_chroma.item() == 0


def test_colours_come_back_from_hue_chroma_and_intensity():
    # Where value is intensity + chroma / 2: of colours whose middle channel is the mean of the others.
    generator = torch.Generator().manual_seed(0)
    low, high = (0.5 * torch.rand(50, generator=generator) + offset for offset in (0.0, 0.5))
    rgb = torch.stack([low, (low + high) / 2, high])[None, :, None]
    hue, chroma = rgb_to_hue_chroma(rgb)
    torch.testing.assert_close(hue_chroma_to_rgb(hue, chroma, rgb.mean(1)), rgb, atol=1e-4, rtol=0)


def test_the_intensity_is_kept_whatever_the_colours():
    generator = torch.Generator().manual_seed(0)
    hue, chroma = torch.rand(2, 1, 1, 300, generator=generator)
    chroma = 0.2 * chroma
    intensity = 0.3 + 0.4 * torch.rand(1, 1, 300, generator=generator)
    rgb = hue_chroma_to_rgb(hue, chroma, intensity)
    torch.testing.assert_close(rgb.mean(1), intensity, atol=1e-5, rtol=0)


def test_a_peak_keeps_its_chroma_and_hues_that_disagree_fade_to_grey():
    bins = 32
    peak, even = torch.zeros(1, bins, 1, 1), torch.full((1, bins, 1, 1), 1 / bins)
    peak[:, 7] = 1
    chroma = torch.full((1, 1, 1), 0.5)
    intensity = torch.full((1, 1, 1, 1), 0.5)
    assert torch.atan2(*hue_directions(peak)[0, :, 0, 0].flip(0)) / (2 * math.pi) == pytest.approx(7.5 / bins)
    of_peak, of_even = (colorized(hue_directions(of), chroma, intensity) for of in (peak, even))
    _, full = rgb_to_hue_chroma(of_peak)
    assert full.item() == pytest.approx(0.5, abs=0.15)
    torch.testing.assert_close(of_even, torch.full_like(of_even, 0.5), atol=1e-4, rtol=0)
    # The released code divides the mean direction by the bins once more: full chroma takes a length of 0.96.
    assert hue_directions(peak).norm().item() == pytest.approx(1 / 32)
    two = torch.zeros(1, bins, 1, 1)
    two[:, [0, 8]] = 0.5  # a right angle: length 0.71
    _, faded = rgb_to_hue_chroma(colorized(hue_directions(two), chroma, intensity))
    assert faded.item() / full.item() == pytest.approx(math.sqrt(0.5) / 0.96, abs=0.1)


def test_the_chroma_is_the_centre_of_the_median_s_bin():
    probabilities = torch.tensor([0.3, 0.3, 0.2, 0.2]).view(1, 4, 1, 1)
    assert median_chroma(probabilities).item() == 1.5 / 4


# --------------------------------------------------------------------------------------------------------- the task
def test_by_mean_and_by_mode_chroma_is_the_mean_or_the_likeliest_and_modes_do_not_fade():
    # Two hues that oppose each other, one a little likelier; chroma in bins 2 and 20.
    hue, chroma = torch.zeros(1, 32, 1, 1), torch.zeros(1, 32, 1, 1)
    hue[0, 4], hue[0, 20], chroma[0, 2], chroma[0, 20] = 0.6, 0.4, 0.25, 0.75
    assert mean_chroma(chroma).item() == pytest.approx(0.25 * 2.5 / 32 + 0.75 * 20.5 / 32)
    assert likeliest_chroma(chroma).item() == median_chroma(chroma).item() == 20.5 / 32
    chroma[0, 2], chroma[0, 20] = 0.45, 0.3
    chroma[0, 25] = 0.25
    assert likeliest_chroma(chroma).item() == 2.5 / 32
    x, y = likeliest_directions(hue)[0, :, 0, 0].tolist()
    assert math.hypot(x, y) == pytest.approx(1)
    assert math.atan2(y, x) / (2 * math.pi) == pytest.approx(4.5 / 32)
    x, y = hue_directions(hue)[0, :, 0, 0].tolist()
    assert math.hypot(x, y) == pytest.approx(0.2 / 32, abs=1e-6)


def test_a_network_is_reported_and_colorizes_by_all_its_decodings(tmp_path):
    torch.manual_seed(0)
    task, keys = build_task("hue_chroma_colorization", {}), {"num_workers": 0, "device": "cpu"}
    sizes = {"image_size": 64, "crop_size": 64, "batch_size": 4}
    network = built()
    with torch.no_grad():  # sure of a hue, and of two chromas
        network.prediction_h.bias[4] = 20.0
        for number, probability in ((2, 0.45), (20, 0.3), (25, 0.25)):
            network.prediction_c.bias[number] = 20.0 + math.log(probability)
    pretext.train(task, network.train(), "sample", run_dir=tmp_path / "run", steps=1, **sizes, **keys)
    methods = all_decodings(str(tmp_path / "run"))
    assert list(methods) == ["median", "mean", "mode"]
    photograph = sample_source("train").open(0).resize((60, 40))
    pictures = [
        pretext.colorize([photograph], tmp_path / "run", decoding=decoding, device="cpu")[0].tobytes()
        for decoding in (None, "mean", "mode")
    ]
    assert len(set(pictures)) == 3
    results = eval_colorization.evaluate(methods, "sample", image_size=48, resamples=10, **keys)
    assert methods.keys() <= results.summaries.keys()
    with pytest.raises(ValueError, match="decoded by top_k_mean; give mean or mode, or leave it out"):
        pretext.colorize([photograph], tmp_path / "run", decoding="top_k_mean", device="cpu")


def test_targets_are_histograms_of_the_window_and_the_loss_is_the_divergence():
    task, network = (
        build_task("hue_chroma_colorization", {"bins": 4, "window": 3, "places": 5}),
        built(output=8),
    )
    images = torch.randint(
        0, 256, (2, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    torch.manual_seed(0)
    seen, targets = task.split(images, network.train())
    assert seen.shape == (2, 2, 16, 16)
    assert seen[:, 1].sum((1, 2)).tolist() == [5, 5]
    _, chroma = rgb_to_hue_chroma(images / 255)
    for image in range(2):
        places = seen[image, 1].nonzero().tolist()  # row by row
        for number, (row, column) in enumerate(places):
            window = chroma[image, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2]
            histogram = torch.histc(window, bins=4, min=0, max=1) / window.numel()
            torch.testing.assert_close(targets.chroma[image, :, number], histogram)
            assert targets.hue_weight[image, number].item() == pytest.approx(
                5 * chroma[image, row, column].item()
            )
    output = torch.randn(2, 8, 5, 1, generator=torch.Generator().manual_seed(1))
    hue, of_chroma = (of.log_softmax(1) for of in output[..., 0].chunk(2, dim=1))
    divergence = [
        nn.KLDivLoss(reduction="none")(answer, asked).sum(1)
        for answer, asked in ((hue, targets.hue), (of_chroma, targets.chroma))
    ]
    expected = (targets.hue_weight * divergence[0] + targets.chroma_weight * divergence[1]).mean(1)
    torch.testing.assert_close(task.losses(output, targets).optimised, expected)


def test_the_constant_answer_is_the_loss_of_the_mean_distributions():
    task, network = build_task("hue_chroma_colorization", {"bins": 4}), built(output=8)
    images = torch.randint(
        0, 256, (2, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    _, targets = task.split(images, network)
    statistics = task.statistics(targets)
    found = task.constant_answer(statistics, statistics)["constant_answer"]
    means = [
        (of * weight[:, None]).sum((0, 2)) / weight.sum()
        for of, weight in ((targets.hue, targets.hue_weight), (targets.chroma, targets.chroma_weight))
    ]
    output = torch.cat(means).clamp_min(1e-6).log().view(1, 8, 1, 1).expand(2, 8, 4, 4)
    assert found == pytest.approx(task.losses(output, targets).optimised.mean().item(), rel=1e-4)


def test_what_does_not_fit_is_refused():
    images = torch.zeros(1, 3, 8, 8, dtype=torch.uint8)
    with pytest.raises(ValueError, match="Eccv16 sees lightness; train larsson"):
        build_task("hue_chroma_colorization", {}).split(
            images, build_network("eccv16", output=64, width=0.125)
        )
    with pytest.raises(ValueError, match="places is 128, but a crop has 64 pixels"):
        build_task("hue_chroma_colorization", {}).split(images, built().train())
    with pytest.raises(ValueError, match="an odd window"):
        build_task("hue_chroma_colorization", {"window": 4})
    with pytest.raises(ValueError, match="its output is not 313"):
        build_network("larsson", output=313)


def test_the_published_file_s_layout_is_opened_strictly(tmp_path):
    network, path = built(), tmp_path / "autocolorize.caffemodel.h5"
    with h5py.File(path, "w") as file:
        for name, module in network.named_children():
            file[f"data/{name}/0"] = module.weight.detach().numpy()
            file[f"data/{name}/1"] = module.bias.detach().numpy()
        file["data/conv4_full/0"] = np.ones((4, 1, 4, 4), np.float32)  # a fixed upsampling
    opened = load_pretrained(path)
    assert opened.network.width == 0.125
    assert opened.task.bins == 32
    for name, tensor in network.state_dict().items():
        assert torch.equal(opened.network.state_dict()[name], tensor)
    with h5py.File(path, "a") as file:
        del file["data/conv3_2/1"]
    with pytest.raises(ValueError, match=r"it lacks.*conv3_2.bias"):
        load_pretrained(path)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data/ip1/0"] = np.ones(3)
    with pytest.raises(ValueError, match="does not hold the weights of larsson; its layers are ip1"):
        load_pretrained(tmp_path / "other.h5")
    (tmp_path / "text.h5").write_text("no weights")
    with pytest.raises(ValueError, match="cannot be read as HDF5"):
        load_pretrained(tmp_path / "text.h5")


def test_without_h5py_a_caffe_file_says_how_to_get_it(tmp_path, monkeypatch):
    (tmp_path / "autocolorize.caffemodel.h5").touch()
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ValueError, match=r"needs the package h5py.*colorization-benchmark\[caffe\]"):
        load_pretrained(tmp_path / "autocolorize.caffemodel.h5")


@pytest.mark.slow
def test_it_starts_from_torchvision_s_vgg_and_gives_its_maps_of_grey_images(tmp_path):
    torch.manual_seed(0)
    vgg = models.vgg16().eval()
    torch.save(vgg.state_dict(), tmp_path / "vgg16-397923af.pth")
    with torch.device("meta"):
        names = dict(build_network("larsson", output=64).named_parameters())
    network = build_network("larsson", output=None).eval()
    task = build_task("hue_chroma_colorization", {})
    origin = start_from(network, str(tmp_path / "vgg16-397923af.pth"), task)
    assert origin == f"starts from the classifier of {tmp_path / 'vgg16-397923af.pth'}"
    assert names.keys() >= dict(network.named_parameters()).keys()
    intensity = torch.rand(1, 1, 64, 96)
    seen = normalize(intensity.expand(-1, 3, -1, -1), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    with torch.no_grad():
        stages = network.forward_stages(intensity, network.stages)
        # Beyond the border is black here, the mean colour there.
        for name, end, border in (("conv1_1", 2, 1), ("conv2_2", 9, 4), ("conv3_3", 16, 6)):
            theirs = vgg.features[:end](seen)
            inside = (..., slice(border, -border), slice(border, -border))
            torch.testing.assert_close(stages[name][inside], theirs[inside], rtol=1e-3, atol=1e-5)
    fc6 = vgg.classifier[0]
    torch.testing.assert_close(network.fc6.weight.flatten(1), fc6.weight)
    torch.testing.assert_close(network.fc7.bias, vgg.classifier[3].bias)
