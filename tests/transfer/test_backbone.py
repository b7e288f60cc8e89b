"""Opening, hashing and freezing backbones."""

from inspect import signature
from pathlib import Path

import pytest
import torch
from skimage.color import rgb2lab
from torch import Tensor

from pretext.networks import NETWORKS, build_network
from pretext.pretrained import load_pretrained, state_hash
from tests.end_to_end.small_run import trained
from transfer.backbone import OpenedBackbone, open_backbone
from transfer.config import BackboneConfig
from transfer.partial_training import frozen
from transfer.stages import choose_stages, parameters_up_to


def random_backbone(name: str, seed: int = 0) -> OpenedBackbone:
    return open_backbone(BackboneConfig(model=f"random:{name}", width=0.125), seed)


def images(size: int = 64) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    "name", [name for name in NETWORKS if name not in ("split_brain", "deoldify", "dahl", "larsson")]
)
def test_a_network_of_this_project_sees_the_lightness_that_scikit_image_computes(name: str) -> None:
    network, rgb = random_backbone(name).network, images()
    lightness = torch.from_numpy(rgb2lab(rgb.double().numpy(), channel_axis=1)[:, :1]).float()
    with torch.inference_mode():
        expected = network.network.forward_stages(lightness, network.stages)
        outputs = network.forward_stages(rgb, network.stages)
    assert list(outputs) == list(network.stages)
    for stage, output in outputs.items():
        assert output.shape[1] == network.stages[stage].channels
        torch.testing.assert_close(output, expected[stage], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_random_network_is_the_one_that_its_seed_makes_and_leaves_the_global_random_state_alone(
    name: str,
) -> None:
    torch.manual_seed(5)
    usual = signature(NETWORKS[name]).parameters["output"].default
    expected = build_network(name, output=usual, width=0.125)
    before = torch.get_rng_state()
    opened = random_backbone(name, seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    for tensor_name, tensor in expected.state_dict().items():
        assert torch.equal(opened.network.network.state_dict()[tensor_name], tensor)
    assert not opened.network.training
    assert opened.sha256 == random_backbone(name, seed=5).sha256
    assert opened.sha256 != random_backbone(name, seed=6).sha256


def test_the_hash_depends_on_every_weight_and_buffer_but_not_on_the_memory_format() -> None:
    network = random_backbone("alexnet").network
    before = state_hash(network)
    assert state_hash(network.to(memory_format=torch.channels_last)) == before
    network.network.conv1[1].running_var[3] += 1e-6
    changed = state_hash(network)
    assert changed != before
    assert state_hash(network.to(torch.bfloat16)) not in (before, changed)


def test_a_run_and_its_checkpoint_are_one_backbone_with_the_name_of_the_run(tmp_path: Path) -> None:
    run = trained(tmp_path / "grey_to_colour", steps=1)
    by_run = open_backbone(BackboneConfig(model=str(run)), 0)
    by_file = open_backbone(BackboneConfig(model=str(run / "checkpoints" / "last.pt")), 0)
    assert by_run.name == by_file.name == "grey_to_colour"
    assert by_run.sha256 == by_file.sha256 == load_pretrained(run).sha256
    assert open_backbone(BackboneConfig(model=str(run), name="ours"), 0).name == "ours"


@pytest.mark.parametrize(
    ("config", "name"),
    [
        (BackboneConfig(model="random:eccv16", width=0.5), "random eccv16 x0.5"),
        (BackboneConfig(model="random:alexnet", width=1.0), "random alexnet"),
        (BackboneConfig(model="random:torchvision:resnet18"), "random torchvision resnet18"),
        (
            BackboneConfig(model="random:torchvision:resnet18", absorb_batch_norm=True),
            "random torchvision resnet18, absorbed BatchNorm",
        ),
    ],
)
def test_a_backbone_without_a_name_is_called_what_it_is(config: BackboneConfig, name: str) -> None:
    assert open_backbone(config, 0).name == name


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (BackboneConfig(model="random:eccv61"), r"no network 'eccv61' \(did you mean 'eccv16'"),
        (BackboneConfig(model="eccv16"), r"no backbone 'eccv16' \(did you mean 'random:eccv16'"),
        (
            BackboneConfig(model="torchvison:vgg16"),
            r"did you mean 'torchvision:vgg16'.*random:NAME, torch.*timm:",
        ),
        (
            BackboneConfig(model="runs/nowhere"),
            "no backbone 'runs/nowhere': give random:NAME, .* a shipped network",
        ),
        (BackboneConfig(model="random:alexnet", weights="w.pth"), "weights is for .*leave weights out"),
        (BackboneConfig(model="random:torchvision:vgg16", weights="w.pth"), "weights is for"),
        (BackboneConfig(model="torchvision:vgg16", width=0.5), "width is for .*leave width out"),
        (BackboneConfig(model="random:timm:resnet18", absorb_batch_norm=True), "absorb_batch_norm is for"),
        (BackboneConfig(model="random:alexnet", rescale=True), "rescale needs absorb_batch_norm"),
        (
            BackboneConfig(model="random:torchvision:resnet18", absorb_batch_norm=True, rescale=True),
            "rescale is for this project's alexnet",
        ),
    ],
)
def test_a_backbone_that_makes_no_sense_is_an_error_with_the_way_out(
    config: BackboneConfig, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        open_backbone(config, 0)


def test_a_frozen_backbone_has_no_gradients_and_gets_them_back() -> None:
    network = random_backbone("siggraph17").network
    trainable = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    with frozen(network):
        assert not any(parameter.requires_grad for parameter in network.parameters())
        network.forward_stages(images(), ["conv3"])
    assert {name for name, parameter in network.named_parameters() if parameter.requires_grad} == trainable


def test_a_batch_norm_left_in_training_mode_is_caught_and_named() -> None:
    network = random_backbone("alexnet").network

    def probe_carelessly() -> None:
        with frozen(network):
            network.network.conv2.train()
            network.forward_stages(images(), ["conv2"])

    with pytest.raises(AssertionError, match=r"changed: network\.conv2\.1\.running_mean, .*running_var"):
        probe_carelessly()


def test_a_weight_that_moves_is_caught_and_named_but_an_error_inside_comes_first() -> None:
    network = random_backbone("alexnet").network

    @torch.no_grad()
    def move(error: type[Exception] | None) -> None:
        with frozen(network):
            network.network.conv4[0].weight += 1e-6
            if error:
                raise error

    with pytest.raises(AssertionError, match=r"changed: network\.conv4\.0\.weight$"):
        move(None)
    with pytest.raises(KeyError):
        move(KeyError)


def test_stages_come_in_order_of_depth_and_an_unknown_one_names_the_nearest() -> None:
    network = random_backbone("alexnet").network
    assert choose_stages(network, None) == ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7"]
    assert choose_stages(network, ["fc6", "conv2"]) == ["conv2", "fc6"]
    assert list(network.forward_stages(images(), ["fc6", "conv2"])) == ["conv2", "fc6"]
    for choose in (choose_stages, lambda network, names: network.forward_stages(images(), names)):
        with pytest.raises(ValueError, match=r"no stage 'cnv4' \(did you mean 'conv4'"):
            choose(network, ["cnv4"])
    with pytest.raises(ValueError, match="stages is an empty list"):
        choose_stages(network, [])


def test_the_parameters_of_a_stage_are_those_of_the_layers_up_to_it() -> None:
    network = random_backbone("alexnet").network
    layers = ("conv1", "conv2", "conv3")
    found = parameters_up_to(network, "conv3")
    assert found == {name for name, _ in network.named_parameters() if name.split(".")[1] in layers}
    assert not any(parameter.grad is not None for parameter in network.parameters())
    # A U-Net's shortcut: conv8 depends on conv3's block, and on the layers that lead conv3 to it.
    unet = random_backbone("siggraph17").network
    beyond = parameters_up_to(unet, "conv8") - parameters_up_to(unet, "conv7")
    assert {name.split(".")[1] for name in beyond} == {"model8up", "model3short8", "model8"}
