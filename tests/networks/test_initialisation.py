"""A training from these weights starts with signals of even scale and does not stay brown."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pretext.networks import NETWORKS, build_network

EVERY_NETWORK = pytest.mark.parametrize(
    "name", [name for name in NETWORKS if name not in ("split_brain", "deoldify", "dahl", "larsson")]
)  # which see other things than lightness alone


@EVERY_NETWORK
def test_every_stage_of_a_fresh_network_varies_as_much_as_the_first(name: str, lightness: Tensor) -> None:
    torch.manual_seed(0)
    network = build_network(name, output=313, width=0.25)
    spreads = [output.std() for output in network.forward_stages(lightness, network.stages).values()]
    for spread in spreads:
        assert 0.4 < spread / spreads[0] < 2.5


@EVERY_NETWORK
def test_a_fresh_classifier_is_nearly_even_over_the_bins(name: str, lightness: Tensor) -> None:
    torch.manual_seed(0)
    network = build_network(name, output=313, width=0.25)
    cross_entropies = -network(lightness).log_softmax(dim=1)
    assert cross_entropies.mean().item() == pytest.approx(math.log(313), abs=0.05)


@EVERY_NETWORK
def test_a_fresh_regressor_paints_near_grey(name: str, lightness: Tensor) -> None:
    torch.manual_seed(0)
    ab = 110 * build_network(name, output="ab", width=0.25)(lightness)
    assert ab.square().mean().sqrt() < 15


def test_eccv16_learns_where_the_colours_are_within_60_steps(lab: Tensor) -> None:
    torch.manual_seed(0)
    network = build_network("eccv16", output=4, width=0.125)
    targets = (lab[:, 1, ::4, ::4] > 5).long() * 2 + (lab[:, 2, ::4, ::4] > 5).long()
    shares = targets.flatten().bincount(minlength=4) / targets.numel()
    always_the_same = -(shares * shares.clamp_min(1e-9).log()).sum()
    optimizer = torch.optim.Adam((p for p in network.parameters() if p.requires_grad), lr=1e-3)
    for _ in range(60):
        loss = F.cross_entropy(network(lab[:, :1]), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < always_the_same / 3
