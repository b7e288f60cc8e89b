"""siggraph17 against the published class (rz-colorization) and the published count."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from pretext.networks.siggraph17 import Siggraph17


@pytest.fixture(scope="module")
def regression() -> Siggraph17:
    return Siggraph17(output="ab").eval().requires_grad_(False)


def test_published_weights_load_strictly_and_colorize_the_same(
    regression: Siggraph17, published_siggraph17: nn.Module, lightness: Tensor
) -> None:
    network = deepcopy(regression)
    network.load_state_dict(published_siggraph17.state_dict())
    torch.testing.assert_close(
        110 * network(lightness), published_siggraph17(lightness), atol=1e-4, rtol=1e-5
    )


def test_our_weights_load_strictly_into_the_published_class_and_colorize_the_same(
    regression: Siggraph17, published_siggraph17: nn.Module, lightness: Tensor
) -> None:
    published = deepcopy(published_siggraph17)
    published.load_state_dict(regression.state_dict())
    torch.testing.assert_close(published(lightness), 110 * regression(lightness), atol=1e-4, rtol=1e-5)


def test_published_weights_classify_as_the_published_class_layer_on_its_eighth_block(
    published_siggraph17: nn.Module, lightness: Tensor
) -> None:
    network = Siggraph17().eval()
    network.load_state_dict(published_siggraph17.state_dict())
    eighth_block = []
    handle = published_siggraph17.get_submodule("model8").register_forward_hook(
        lambda _module, _inputs, output: eighth_block.append(output)
    )
    published_siggraph17(lightness)
    handle.remove()
    expected = published_siggraph17.get_submodule("model_class")(*eighth_block)
    torch.testing.assert_close(network(lightness), expected)


def test_parameters_are_the_published_34_187_027(regression: Siggraph17) -> None:
    assert sum(parameter.numel() for parameter in regression.parameters()) == 34_187_027


def test_stages_beyond_the_classification_output_belong_to_regression_only(regression: Siggraph17) -> None:
    with torch.device("meta"):
        classification = Siggraph17()
    assert list(regression.stages)[-3:] == ["conv8", "conv9", "conv10"]
    assert list(classification.stages)[-1] == "conv8"
