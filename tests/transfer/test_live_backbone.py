"""Live modules as backbones: they give what their own submodules give, and a test leaves them as they are."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from pretext.networks import build_network
from pretext.pretrained import state_hash
from transfer.backbone import LiveBackbone, open_backbone
from transfer.config import BackboneConfig

timm = pytest.importorskip("timm")


def images(size: int) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(1))


def state_of(module: nn.Module) -> list[Any]:
    """Mode and hooks of each submodule; gradient flag, device, memory layout and identity of each parameter."""
    modules = [(name, m.training, len(m._forward_hooks)) for name, m in module.named_modules()]
    parameters = [
        (name, p.requires_grad, p.device, p.stride(), id(p), p.grad) for name, p in module.named_parameters()
    ]
    return [modules, parameters, state_hash(module)]


def test_the_stages_of_a_vision_transformer_are_its_intermediate_layers_as_timm_lays_them_out() -> None:
    vit = timm.create_model("vit_tiny_patch16_224", img_size=64).eval()
    backbone = LiveBackbone(vit, {"middle": "blocks.5", "last": vit.blocks[11]}, image_size=64)
    rgb = images(64)
    with torch.inference_mode():
        expected = vit.get_intermediate_layers(rgb, [5, 11], reshape=True)
        outputs = backbone.forward_stages(rgb, ["middle", "last"])
    for (name, output), layer in zip(outputs.items(), expected, strict=True):
        assert backbone.stages[name] == (192, 16)
        assert torch.equal(output, layer)
    with pytest.raises(ValueError, match="64 x 64 px only"):
        backbone.forward_stages(images(80), ["last"])


def test_class_and_register_tokens_are_left_out() -> None:
    vit = timm.create_model("vit_small_patch14_reg4_dinov2", img_size=56).eval()
    assert vit.num_prefix_tokens == 5
    backbone = LiveBackbone(vit, {"last": "blocks.11"}, image_size=56)
    with torch.inference_mode():
        tokens = vit.get_intermediate_layers(images(56), [11], reshape=True)[0]
        assert torch.equal(backbone.forward_stages(images(56), ["last"])["last"], tokens)


def test_a_live_resnet_gives_what_the_same_network_by_its_address_gives() -> None:
    named = open_backbone(BackboneConfig(model="random:torchvision:resnet18"), seed=3).network
    module = resnet18()
    module.load_state_dict(named.network.state_dict(), strict=False)
    live = LiveBackbone(
        module,
        {name: name for name in named.stages},
        mean=named.mean.flatten().tolist(),
        std=named.std.flatten().tolist(),
    )
    opened = open_backbone(live)
    assert opened.network.stages == named.stages
    assert opened.name == "ResNet"
    assert opened.sha256 == state_hash(module)
    with torch.inference_mode():
        for rgb in (images(64), images(96)[:, :, :64]):
            expected = named.forward_stages(rgb, named.stages)
            for name, output in opened.network.forward_stages(rgb, named.stages).items():
                assert torch.equal(output, expected[name])


def test_opening_copies_a_module_with_its_weights_of_that_moment_and_leaves_it_as_it_is() -> None:
    module = resnet18()
    module.train()
    module.bn1.eval()
    module.conv1.requires_grad_(False)
    before = state_of(module)
    live = LiveBackbone(module, {"layer1": module.layer1})
    first = open_backbone(live)
    with torch.no_grad():
        first.network.network.layer1[0].conv1.weight.zero_()
    assert state_of(module) == before
    module.fc.weight.data += 1
    second = open_backbone(live)
    assert second.sha256 == state_hash(module) != first.sha256
    assert not second.network.training
    assert all(parameter.requires_grad for parameter in second.network.parameters())


def test_a_module_may_carry_its_stages_and_a_network_of_this_project_has_them() -> None:
    module = resnet18()
    module.stages = {"layer2": module.layer2}
    assert list(open_backbone(module).network.stages) == ["layer2"]
    network = build_network("alexnet", output=313, width=0.125)
    opened = open_backbone(network)
    assert list(opened.network.stages) == list(network.stages)
    assert opened.sha256 == state_hash(network)
    again = open_backbone(opened)
    assert again.network is not opened.network
    assert again.sha256 == opened.sha256


class Forked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)

    def forward(self, rgb: Tensor) -> Tensor:
        return self.used(rgb).mean((2, 3))


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ({"a": "layer9"}, "stage a: 'layer9' is not a submodule of Forked"),
        ({"a": nn.ReLU()}, "stage a: this ReLU is not a submodule"),
        ({"a": "unused"}, "Forked did not run its stage a"),
        ({"a": ""}, r"a stage gives \(1, 4\) for a square image, expected a square map"),
    ],
)
def test_a_stage_that_cannot_be_one_is_an_error(stages: dict[str, nn.Module | str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LiveBackbone(Forked(), stages)


def test_a_module_without_stages_and_one_that_cannot_be_copied_are_errors() -> None:
    with pytest.raises(ValueError, match="Forked does not say which of its submodules are stages"):
        open_backbone(Forked())
    live = LiveBackbone(Forked(), {"used": "used"})
    live.network.last = live.network.used.weight * 2
    with pytest.raises(ValueError, match="Forked cannot be copied"):
        open_backbone(live)
    assert copy.copy(live.network.last).requires_grad
