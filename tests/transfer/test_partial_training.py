"""Which part of a backbone is trained, and that the rest cannot move."""

import pytest
import torch
from torch import nn

from pretext.networks import build_network
from transfer.backbone import PretextBackbone
from transfer.partial_training import (
    assert_unchanged,
    freeze_batch_norm,
    frozen_tensors,
    set_mode,
    train_only_from,
)


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    return PretextBackbone(build_network("eccv16", output="ab", width=0.125)).eval()


def trained(backbone):
    return {name for name, parameter in backbone.named_parameters() if parameter.requires_grad}


def blocks(backbone):
    return {name.split(".")[1] for name in trained(backbone)}


@pytest.mark.parametrize(
    ("train_from", "deepest", "expected"),
    [
        ("head", "conv5", set()),
        ("conv4", "conv5", {"model4", "model5"}),
        ("conv1", "conv3", {"model1", "model2", "model3"}),
        ("all", "conv2", {"model1", "model2"}),
    ],
)
def test_training_reaches_from_the_first_trained_stage_to_the_deepest_used(
    backbone, train_from, deepest, expected
):
    train_only_from(backbone, train_from, deepest)
    assert blocks(backbone) == expected


def test_a_stage_beyond_the_deepest_used_cannot_be_the_first_that_is_trained(backbone):
    with pytest.raises(ValueError, match="stage 'conv6'"):
        train_only_from(backbone, "conv6", "conv5")


def test_a_step_moves_only_what_is_trained(backbone):
    train_only_from(backbone, "conv4", "conv5")
    before = frozen_tensors(backbone)
    set_mode(backbone, training=True)
    optimizer = torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=0.1)
    backbone.forward_stages(torch.rand(2, 3, 32, 32), ["conv5"])["conv5"].square().mean().backward()
    optimizer.step()
    assert_unchanged(backbone, before)
    assert "network.model3.6.running_mean" in before
    assert "network.model4.6.running_mean" not in before


def test_a_moved_tensor_is_named(backbone):
    train_only_from(backbone, "conv4", "conv5")
    before = frozen_tensors(backbone)
    backbone.network.model1[0].bias.data += 1
    with pytest.raises(AssertionError, match=r"network\.model1\.0\.bias"):
        assert_unchanged(backbone, before)


def test_a_frozen_batch_norm_keeps_scale_shift_and_statistics_in_training(backbone):
    train_only_from(backbone, "all", "conv3")
    freeze_batch_norm(backbone)
    before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
    set_mode(backbone, training=True)
    optimizer = torch.optim.SGD([p for p in backbone.parameters() if p.requires_grad], lr=0.1)
    backbone.forward_stages(torch.rand(2, 3, 32, 32), ["conv3"])["conv3"].square().mean().backward()
    optimizer.step()
    norms = [name for name, module in backbone.named_modules() if isinstance(module, nn.BatchNorm2d) and name]
    moved = {name for name, tensor in backbone.state_dict().items() if not torch.equal(tensor, before[name])}
    assert moved
    assert not [name for name in moved if name.rpartition(".")[0] in norms]
