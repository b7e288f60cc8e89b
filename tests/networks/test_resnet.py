"""resnet50's trunk against torchvision's."""

import torch
from torch import Tensor
from torchvision.models import resnet50

from pretext.networks.resnet import ResNet50


def test_the_trunk_is_torchvisions_resnet50_on_a_grey_image(lightness: Tensor) -> None:
    torch.manual_seed(0)
    reference = resnet50().eval().requires_grad_(False)
    weights = reference.state_dict()
    weights["conv1.weight"] = weights["conv1.weight"].sum(dim=1, keepdim=True)
    network = ResNet50(output=7).eval().requires_grad_(False)
    keys = network.load_state_dict(weights, strict=False)
    assert keys.unexpected_keys == ["fc.weight", "fc.bias"]
    assert all(key.startswith("head.") for key in keys.missing_keys)

    expected: dict[str, Tensor] = {}
    for stage in network.stages:
        reference.get_submodule(stage).register_forward_hook(
            lambda _module, _inputs, output, stage=stage: expected.__setitem__(stage, output)
        )
    reference(((lightness - 50) / 100).expand(-1, 3, -1, -1))
    outputs = network.forward_stages(lightness, network.stages)
    for stage in network.stages:
        torch.testing.assert_close(outputs[stage], expected[stage], atol=1e-4, rtol=1e-4)
