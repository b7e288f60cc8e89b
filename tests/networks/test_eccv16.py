"""eccv16 against the published class (rz-colorization) and the published counts."""

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from pretext.networks.eccv16 import Eccv16


@pytest.fixture(scope="module")
def network() -> Eccv16:
    return Eccv16().eval().requires_grad_(False)


def published_decoding(network: Eccv16, lightness: Tensor) -> Tensor:
    """ab as the published class gives it: the mean of the bin centres under the softmax, bilinear x4."""
    probabilities = network(lightness).softmax(dim=1)
    ab = torch.einsum("bqhw,qc->bchw", probabilities, network.bin_centres)
    return F.interpolate(ab, scale_factor=4, mode="bilinear")


def test_published_weights_load_strictly_and_paint_the_same(
    network: Eccv16, published_eccv16: nn.Module, lightness: Tensor
) -> None:
    loaded = deepcopy(network)
    loaded.load_state_dict(published_eccv16.state_dict())
    torch.testing.assert_close(
        published_decoding(loaded, lightness), published_eccv16(lightness), atol=1e-4, rtol=1e-5
    )


def test_our_weights_load_strictly_into_the_published_class_and_paint_the_same(
    network: Eccv16, published_eccv16: nn.Module, lightness: Tensor
) -> None:
    ours = deepcopy(network)
    ours.set_bin_centres(torch.rand(313, 2) * 220 - 110)
    published = deepcopy(published_eccv16)
    published.load_state_dict(ours.state_dict())
    torch.testing.assert_close(
        published(lightness), published_decoding(ours, lightness), atol=1e-4, rtol=1e-5
    )


def test_bin_centres_come_back_in_ab_units() -> None:
    network = Eccv16(output=3, width=0.125)
    centres = torch.tensor([[-90.0, 50.0], [0.0, 0.0], [100.0, -10.0]])
    network.set_bin_centres(centres)
    torch.testing.assert_close(network.bin_centres, centres)


def test_a_regression_network_has_two_outputs_and_no_bins() -> None:
    network = Eccv16(output="ab", width=0.125)
    assert network.bin_centres is None
    assert network.model8[-1].out_channels == 2
    assert not any(name.startswith("model_out") for name in network.state_dict())


def test_parameters_are_the_published_32_236_011_with_the_bin_centres(network: Eccv16) -> None:
    assert sum(parameter.numel() for parameter in network.parameters()) == 32_236_011


@pytest.mark.parametrize(("side", "gflop"), [(256, 83.5), (176, 39.5)])
def test_forward_costs_the_published_operations(side: int, gflop: float) -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        Eccv16()(torch.empty(1, 1, side, side))
    assert counter.get_total_flops() / 1e9 == pytest.approx(gflop, abs=0.05)
