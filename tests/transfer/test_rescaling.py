"""Other weights, the same function: what goes out of the network is compared, in float64."""

import pytest
import torch
import torchvision
from torch import Tensor, nn

from pretext.networks import Backbone, build_network
from transfer.backbone import open_backbone
from transfer.config import BackboneConfig
from transfer.rescaling import absorb_batch_norm, rescale_layers

NORMS = (nn.BatchNorm2d,)


def lively(network: nn.Module) -> nn.Module:
    """`network` with statistics and affine maps in its BatchNorms that are not those of the start."""
    generator = torch.Generator().manual_seed(0)
    for layer in network.modules():
        if isinstance(layer, NORMS):
            for tensor, low, high in (
                (layer.weight, 0.5, 1.5),
                (layer.bias, -0.5, 0.5),
                (layer.running_mean, -0.5, 0.5),
                (layer.running_var, 0.5, 2.0),
            ):
                nn.init.uniform_(tensor, low, high, generator=generator)
    return network.double().eval()


def network_of_this_project(name: str, width: float = 0.125) -> Backbone:
    torch.manual_seed(0)
    network = lively(build_network(name, output=20, width=width))
    assert isinstance(network, Backbone)
    return network


def lightness(count: int = 3, size: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return 100 * torch.rand(count, 1, size, size, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("name", ["alexnet", "resnet50"])
@torch.no_grad()
def test_absorbing_batch_norm_leaves_every_stage_and_the_output_as_they_were(name: str) -> None:
    network = network_of_this_project(name)
    output, stages = network(lightness()), network.forward_stages(lightness(), network.stages)
    absorb_batch_norm(network)
    assert not any(isinstance(layer, NORMS) for layer in network.modules())
    torch.testing.assert_close(network(lightness()), output)
    torch.testing.assert_close(network.forward_stages(lightness(), network.stages), stages)


@torch.no_grad()
def test_absorbing_batch_norm_leaves_torchvisions_resnet18_as_it_was() -> None:
    torch.manual_seed(0)
    network = lively(torchvision.models.resnet18(num_classes=5))
    rgb = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    output = network(rgb)
    absorb_batch_norm(network)
    assert not any(isinstance(layer, NORMS) for layer in network.modules())
    torch.testing.assert_close(network(rgb), output)


@pytest.mark.parametrize("name", ["eccv16", "siggraph17"])
def test_a_batch_norm_after_a_relu_cannot_be_absorbed_and_nothing_changes(name: str) -> None:
    network = network_of_this_project(name)
    with pytest.raises(
        ValueError, match=r"BatchNorm model1\.4 follows no convolution but a ReLU.*zero-padded"
    ):
        absorb_batch_norm(network)
    assert isinstance(network.get_submodule("model1.4"), nn.BatchNorm2d)


def test_a_backbone_without_batch_norm_has_nothing_to_absorb() -> None:
    with pytest.raises(ValueError, match="has no BatchNorm; leave the key out"):
        open_backbone(BackboneConfig(model="random:torchvision:alexnet", absorb_batch_norm=True), 0)


@torch.no_grad()
def test_rescaled_layers_have_unit_deviation_and_the_full_size_network_is_the_same_function() -> None:
    """Krahenbuhl et al. (2016), section 3.2; 227 px as in Zhang et al. (2016)."""
    network = network_of_this_project("alexnet", width=1.0)
    absorb_batch_norm(network)
    seen, unseen = lightness(2, 227), lightness(3, 227)[2:]
    output = network(unseen)
    rescale_layers(network, seen)
    for features in network.forward_stages(seen, network.stages).values():
        assert features.std(correction=0).item() == pytest.approx(1)
    torch.testing.assert_close(network(unseen), output)


def test_the_deviation_is_that_of_all_images_however_many_there_are() -> None:
    network = network_of_this_project("alexnet")
    absorb_batch_norm(network)
    many = lightness(70, 32)
    many[:40] *= 0.3
    rescale_layers(network, many)
    with torch.no_grad():
        for features in network.forward_stages(many, network.stages).values():
            assert features.std(correction=0).item() == pytest.approx(1)


def test_images_on_which_a_stage_is_constant_cannot_rescale_it() -> None:
    network = build_network("alexnet", output=20, width=0.125).eval()
    absorb_batch_norm(network)
    with torch.no_grad():
        network.get_submodule("conv2.0").bias.fill_(-1e6)
    with pytest.raises(ValueError, match="the stage conv2 does not vary"):
        rescale_layers(network, lightness().float())


def test_an_opened_alexnet_is_rescaled_on_the_lightness_of_the_images() -> None:
    config = BackboneConfig(model="random:alexnet", width=0.125, absorb_batch_norm=True, rescale=True)
    rgb = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(2))
    opened = open_backbone(config, 0, lambda: rgb)
    assert opened.name == "random alexnet x0.125, rescaled"
    with torch.no_grad():
        for features in opened.network.forward_stages(rgb, opened.network.stages).values():
            assert features.std(correction=0).item() == pytest.approx(1, rel=1e-4)
    plain = open_backbone(BackboneConfig(model="random:alexnet", width=0.125), 0)
    assert opened.sha256 != plain.sha256
