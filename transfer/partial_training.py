"""Training a part of a backbone, or nothing: which parameters, in which mode, and the proof that the rest stayed."""

from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from pretext.spelling import unknown_name
from transfer.stages import TransferBackbone, parameters_up_to


def train_only_from(backbone: TransferBackbone, train_from: str, deepest: str) -> None:
    """Let gradients reach only the parameters that make the stages `train_from` to `deepest`.

    The output layer of the pretext task, and all stages beyond `deepest`, are not trained either.

    Args:
        train_from: `head` (nothing of the backbone), the first stage that is trained, or `all`.
        deepest: the last stage that is used.

    Raises:
        ValueError: there is no such stage up to `deepest`.
    """
    stages = list(backbone.stages)
    stages = stages[: stages.index(deepest) + 1]
    if train_from not in (valid := ["head", *stages, "all"]):
        raise ValueError(unknown_name("stage", train_from, valid))
    trained: AbstractSet[str] = set()
    if train_from != "head":
        trained = parameters_up_to(backbone, deepest)
        if train_from not in ("all", stages[0]):
            trained -= parameters_up_to(backbone, stages[stages.index(train_from) - 1])
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(name in trained)


def freeze_batch_norm(network: nn.Module) -> None:
    """Train no scale and shift of a BatchNorm; by `set_mode` its statistics then stay too."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.requires_grad_(False)


def set_mode(network: nn.Module, training: bool) -> None:
    """Training mode where something is trained: the statistics of a frozen BatchNorm must not move.

    What has neither parameters nor buffers, such as dropout, has the mode of what it is part of.
    """
    network.training = training and any(parameter.requires_grad for parameter in network.parameters())
    for child in network.children():
        if any(True for _ in child.parameters()) or any(True for _ in child.buffers()):
            set_mode(child, training)
        else:
            child.train(network.training)


def frozen_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Copies of the parameters and buffers that no training may change."""
    frozen: dict[str, Tensor] = {}
    for path, module in network.named_modules():
        own = dict(module.named_parameters(path, recurse=False))
        frozen |= {name: tensor for name, tensor in own.items() if not tensor.requires_grad}
        if not any(parameter.requires_grad for parameter in own.values()):
            frozen |= dict(module.named_buffers(path, recurse=False))
    return {name: tensor.detach().clone() for name, tensor in frozen.items()}


def assert_unchanged(network: nn.Module, before: dict[str, Tensor]) -> None:
    """What `frozen_tensors` gave before the training is what it was, bit for bit."""
    after = frozen_tensors(network)
    moved = [name for name, tensor in before.items() if not torch.equal(after[name], tensor)]
    assert not moved, f"frozen, yet changed: {', '.join(moved)}"


@contextmanager
def frozen(network: nn.Module) -> Iterator[None]:
    """Inside, `network` is in evaluation mode and without gradients; no weight or buffer may change.

    Raises:
        AssertionError: after the block, naming the tensors that changed.
    """
    trainable = [parameter for parameter in network.parameters() if parameter.requires_grad]
    network.eval().requires_grad_(False)
    before = frozen_tensors(network)
    try:
        yield
        assert_unchanged(network, before)
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
