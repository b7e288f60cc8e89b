"""What the backbone contract promises, for every network."""

import pytest
import torch
from torch import Tensor, nn

from pretext.networks import NETWORKS, Backbone, Output, build_network

EVERY_NETWORK = pytest.mark.parametrize(
    "name", [name for name in NETWORKS if name not in ("split_brain", "deoldify", "dahl", "larsson")]
)  # which see other things than lightness alone
EVERY_OUTPUT = pytest.mark.parametrize("output", [7, "ab", None])

# Where a stage's output appears inside the network: the module of the same name, unless it is listed here.
MODULE_OF_STAGE = {
    "eccv16": {**{f"conv{n}": f"model{n}" for n in range(1, 8)}, "conv8": "model8.5"},
    "siggraph17": {f"conv{n}": f"model{n}" for n in range(1, 11)},
}


def small(name: str, output: Output = 7) -> Backbone:
    torch.manual_seed(0)
    return build_network(name, output=output, width=0.125)


def module_of_stage(network: Backbone, name: str, stage: str) -> nn.Module:
    return network.get_submodule(MODULE_OF_STAGE.get(name, {}).get(stage, stage))


@EVERY_NETWORK
@EVERY_OUTPUT
def test_stages_have_the_channels_and_strides_they_promise(
    name: str, output: Output, lightness: Tensor
) -> None:
    network = small(name, output)
    outputs = network.forward_stages(lightness, network.stages)
    assert list(outputs) == list(network.stages)
    for stage, (channels, stride) in network.stages.items():
        assert outputs[stage].shape == (2, channels, *lightness[0, 0, ::stride, ::stride].shape), stage


@EVERY_NETWORK
@EVERY_OUTPUT
def test_stages_are_the_activations_inside_forward(name: str, output: Output, lightness: Tensor) -> None:
    network = small(name, output).eval()
    seen: dict[str, Tensor] = {}
    for stage in network.stages:
        module_of_stage(network, name, stage).register_forward_hook(
            lambda _module, _inputs, output, stage=stage: seen.__setitem__(stage, output.clone())
        )
    network(lightness)
    inside_forward = dict(seen)
    outputs = network.forward_stages(lightness, network.stages)
    for stage in network.stages:
        assert torch.equal(outputs[stage], inside_forward[stage]), stage


@EVERY_NETWORK
def test_nothing_is_computed_beyond_the_deepest_stage_asked_for(name: str, lightness: Tensor) -> None:
    network = small(name)
    first, second, third, *_ = network.stages
    runs = []
    module_of_stage(network, name, third).register_forward_hook(lambda *_: runs.append(third))
    assert list(network.forward_stages(lightness, [second, first])) == [first, second]
    assert not runs


@EVERY_NETWORK
@pytest.mark.parametrize("output", [7, "ab"])
def test_the_output_lies_on_the_grid_of_the_subsampled_targets(
    name: str, output: Output, lab: Tensor
) -> None:
    network = small(name, output)
    smallest = network.input_multiple
    for height, width in [(64, 96), (48, 64 - smallest), (24 + smallest, 40)]:
        crop = lab[:, :, :height, :width]
        targets = crop[:, 1:, :: network.output_stride, :: network.output_stride]
        assert network(crop[:, :1]).shape == (2, 2 if output == "ab" else 7, *targets.shape[2:])


@pytest.mark.parametrize("name", ["eccv16", "siggraph17"])
def test_a_size_off_the_grid_is_refused_with_the_multiple_to_use(name: str, lightness: Tensor) -> None:
    with pytest.raises(ValueError, match=r"multiples of 8, got 60 x 96: crop or resize"):
        small(name)(lightness[:, :, :60])


@EVERY_NETWORK
def test_without_an_output_layer_a_network_answers_with_its_deepest_stage(
    name: str, lightness: Tensor
) -> None:
    network = small(name, None).eval()
    (deepest,) = network.forward_stages(lightness, [list(network.stages)[-1]]).values()
    assert torch.equal(network(lightness), deepest)
    assert deepest.shape[1] == network.deepest.channels


@EVERY_NETWORK
@EVERY_OUTPUT
def test_the_gradient_reaches_every_trainable_parameter(name: str, output: Output, lightness: Tensor) -> None:
    network = small(name, output)
    network(lightness).square().mean().backward()
    for parameter_name, parameter in network.named_parameters():
        reached = parameter.grad is not None and bool(parameter.grad.any())
        assert reached == parameter.requires_grad, parameter_name


@EVERY_NETWORK
def test_width_scales_every_hidden_layer_in_multiples_of_8(name: str) -> None:
    with torch.device("meta"):
        full = build_network(name, output=7)
        half = build_network(name, output=7, width=0.5)
        least = build_network(name, output=7, width=1e-6)
    for stage, (channels, stride) in full.stages.items():
        assert half.stages[stage] == (channels / 2, stride)
    for module in least.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.num_features in (8, 32)  # 32: ResNet's bottlenecks give four times their width


@EVERY_NETWORK
def test_channels_last_memory_and_bfloat16_autocast_change_only_the_rounding(
    name: str, lightness: Tensor
) -> None:
    network = small(name).eval()
    expected = network(lightness)
    network.to(memory_format=torch.channels_last)
    assert (network(lightness) - expected).abs().max() < 1e-4 * expected.abs().max()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = network(lightness)
    assert rounded.dtype == torch.bfloat16
    assert (rounded - expected).abs().max() < 0.05 * expected.abs().max()


def test_a_misspelt_network_is_answered_with_the_nearest_and_all_names() -> None:
    with pytest.raises(ValueError, match=r"did you mean 'eccv16'.*eccv16, siggraph17, alexnet, resnet50"):
        build_network("ecv16", output=313)


def test_a_misspelt_stage_is_answered_with_the_nearest_and_all_names(lightness: Tensor) -> None:
    with pytest.raises(ValueError, match=r"did you mean 'layer4'.*layer1, layer2, layer3, layer4"):
        small("resnet50").forward_stages(lightness, ["layer1", "layr4"])


def test_a_width_that_is_not_positive_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be positive, got 0.0"):
        build_network("eccv16", output=7, width=0.0)


@EVERY_NETWORK
def test_fused_adam_moves_a_network_in_channels_last_as_plain_adam_does(name: str, lightness: Tensor) -> None:
    """On a CPU the fused kernel reads parameter, gradient and moments in the order of memory.

    A gradient in another layout than its parameter would silently train other weights.
    """
    states = []
    for fused in (False, True):
        network = small(name).to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], fused=fused)
        with torch.autocast("cpu", torch.bfloat16):
            network(lightness).square().mean().backward()
        optimizer.step()
        states.append(network.state_dict())
    plain, fused_state = states
    torch.testing.assert_close(fused_state, plain, rtol=0, atol=1e-6)  # Adam's first step moves by 1e-3
