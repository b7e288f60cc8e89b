"""Dahl's residual encoder: the figure's sizes, VGG-16 inside it, and its distance and colours."""

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve
from torch import nn
from torchvision import models

from pretext.networks import build_network
from pretext.pretrained import start_from
from pretext.tasks import build_task
from pretext.tasks.uv_colorization import BLURS
from pretext.uv_colorizer import rgb_to_uv, uv_to_rgb


def built(width=0.125):
    torch.manual_seed(0)
    return build_network("dahl", output="uv", width=width).eval()


def test_its_own_convolutions_are_those_of_the_figure():
    with torch.device("meta"):
        network = built(1.0)
    own = [
        module.weight
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and not name.startswith("features")
    ]
    assert [tuple(weight.shape) for weight in own] == [
        (256, 512, 1, 1),
        (128, 256, 3, 3),
        (64, 128, 3, 3),
        (3, 64, 3, 3),
        (3, 3, 3, 3),
        (2, 3, 3, 3),
    ]
    assert sum(weight.numel() for weight in own) == 501_575
    assert not any(parameter.requires_grad for parameter in network.features.parameters())


def test_its_vgg_starts_from_the_file_of_torchvision_s_and_gives_its_maps(tmp_path):
    torch.manual_seed(0)
    vgg = models.vgg16().eval()
    torch.save(vgg.state_dict(), tmp_path / "vgg16-397923af.pth")
    network = built(1.0)
    origin = start_from(network, str(tmp_path / "vgg16-397923af.pth"), build_task("uv_colorization", {}))
    assert origin.startswith("starts from the classifier of")
    luma = torch.rand(1, 1, 32, 48)
    seen = (luma - network.mean) / network.std
    with torch.no_grad():
        stages = network.forward_stages(luma, network.stages)
        for name, end in (("conv1_2", 4), ("conv2_2", 9), ("conv3_3", 16), ("conv4_3", 23)):
            torch.testing.assert_close(stages[name], vgg.features[:end](seen))


def test_stages_have_the_channels_and_strides_that_they_say():
    network = built()
    with torch.no_grad():
        for name, maps in network.forward_stages(torch.rand(1, 1, 32, 48), network.stages).items():
            channels, stride = network.stages[name]
            assert maps.shape == (1, channels, 32 // stride, 48 // stride)
        assert network(torch.rand(1, 1, 37, 51)).shape == (1, 2, 37, 51)


def test_the_distance_is_the_mean_of_three_blurs():
    task = build_task("uv_colorization", {})
    generator = torch.Generator().manual_seed(0)
    output, targets = (
        torch.rand(2, 2, 12, 10, generator=generator),
        torch.rand(2, 2, 12, 10, generator=generator),
    )
    difference = (output - targets).numpy()
    expected = np.zeros(2)
    for kernel in BLURS:
        weights = np.array(kernel) / np.sum(kernel)
        blurred = [[convolve(channel, weights, mode="mirror") for channel in image] for image in difference]
        expected += np.square(blurred).sum(axis=1).mean(axis=(1, 2)) / 3
    assert task.losses(output, targets).optimised.numpy() == pytest.approx(expected, rel=1e-5)
    assert [np.sum(kernel) for kernel in BLURS] == [1, 16, 273]


def test_the_constant_answer_is_the_loss_of_the_best_colour():
    task = build_task("uv_colorization", {})
    targets = torch.rand(3, 2, 9, 9, generator=torch.Generator().manual_seed(0))
    statistics = task.statistics(targets)
    found = task.constant_answer(statistics, statistics)["constant_answer"]
    mean = (statistics[1:3] / statistics[0]).float().view(1, 2, 1, 1)

    def loss(colour):
        return task.losses(colour.expand_as(targets), targets).optimised.mean().item()

    assert found == pytest.approx(loss(mean), rel=1e-4)
    assert all(loss(mean + step) > found for step in (-0.02, 0.02))


def test_colours_come_back_from_u_and_v():
    rgb = torch.rand(2, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    uv = rgb_to_uv(rgb)
    assert 0 <= uv.min() <= uv.max() <= 1
    torch.testing.assert_close(uv_to_rgb(built().see(rgb), uv), rgb, atol=1e-4, rtol=0)
    primaries = torch.tensor([[0, 0, 1.0], [1, 0, 0]])[:, :, None, None]
    blue, red = rgb_to_uv(primaries)
    assert blue[0].item() == pytest.approx(
        1, abs=1e-3
    )  # the largest U is that of blue, the largest V that of red
    assert red[1].item() == pytest.approx(1, abs=1e-3)


def test_another_output_is_refused():
    with pytest.raises(ValueError, match="its output is not 313; train it on the task uv_colorization"):
        build_network("dahl", output=313)
