"""The paper's "colour" variant: ab beside L, through weights that begin at zero."""

import pytest
import torch
from torch import nn

from pretext.color.lab import lab_to_rgb, rgb_to_lab
from pretext.networks import NETWORKS
from transfer.backbone import open_backbone
from transfer.config import BackboneConfig


def opened(name, colour_input):
    config = BackboneConfig(model=f"random:{name}", width=0.125)
    return open_backbone(config, seed=0, colour_input=colour_input)


@pytest.fixture
def rgb():
    return torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "name", [name for name in NETWORKS if name not in ("split_brain", "deoldify", "dahl", "larsson")]
)  # which see other things than lightness alone
def test_it_begins_as_the_network_that_sees_lightness_alone(name, rgb):
    grey, coloured = opened(name, False), opened(name, True)
    assert coloured.sha256 == grey.sha256
    assert coloured.name == f"{grey.name}, colour input"
    stage = list(grey.network.stages)[2]
    expected = grey.network.forward_stages(rgb, [stage])[stage]
    torch.testing.assert_close(coloured.network.forward_stages(rgb, [stage])[stage], expected, rtol=0, atol=0)


@pytest.mark.parametrize("name", ["eccv16", "alexnet", "resnet50"])
def test_it_is_one_convolution_of_three_inputs(name, rgb):
    backbone = opened(name, True).network
    first = next(module for module in backbone.network.modules() if isinstance(module, nn.Conv2d))
    nn.init.normal_(backbone.ab_convolution.weight)
    lab = rgb_to_lab(rgb)
    scale = {"eccv16": 100, "alexnet": 1, "resnet50": 100}[name]
    three_inputs = torch.cat([lab[:, :1] - 50, lab[:, 1:]], dim=1) / scale
    weight = torch.cat([first.weight, backbone.ab_convolution.weight], dim=1)
    expected = nn.functional.conv2d(three_inputs, weight, first.bias, first.stride, first.padding)
    modules = list(backbone.network.modules())
    arriving = []
    modules[modules.index(first) + 1].register_forward_pre_hook(
        lambda _, inputs: arriving.append(inputs[0].detach().clone())  # ReLU works in place
    )
    backbone.forward_stages(rgb, [next(iter(backbone.stages))])
    torch.testing.assert_close(arriving[0], expected, rtol=0, atol=1e-5 * expected.abs().max().item())


def test_training_reaches_the_new_weights_and_colours_then_matter():
    backbone = opened("eccv16", True).network
    lightness = 40 + 20 * torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    ab = torch.tensor([20.0, 10.0])[None, :, None, None].expand(1, 2, 32, 32)
    warm, cold = (lab_to_rgb(torch.cat([lightness, sign * ab], dim=1)) for sign in (1, -1))

    def difference():
        first, second = (backbone.forward_stages(of, ["conv2"])["conv2"] for of in (warm, cold))
        return (first - second).abs().max().item()

    assert difference() < 1e-4
    backbone.forward_stages(warm, ["conv2"])["conv2"].square().sum().backward()
    gradient = backbone.ab_convolution.weight.grad
    with torch.no_grad():
        backbone.ab_convolution.weight -= gradient / gradient.abs().max()
    assert difference() > 0.01


def test_a_network_that_sees_colours_already_is_refused():
    with pytest.raises(ValueError, match="sees colours already"):
        open_backbone(BackboneConfig(model="random:torchvision:resnet18"), seed=0, colour_input=True)
