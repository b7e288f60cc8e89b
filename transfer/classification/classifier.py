"""A backbone with a new head, of which all or the last stages are trained."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from pretext.spelling import unknown_name
from transfer.backbone import TransferBackbone, parameters_up_to

HEAD_STD = 0.01  # of the new weights, as of a new layer in Krahenbuhl et al. (2016)


class Classifier(nn.Module):
    """The deepest stage, averaged over all positions, and a linear layer: one score for each class.

    For a fully convolutional AlexNet this is fc8 at each position and the mean of its answers. Everything before
    `train_from` is frozen, and stays in evaluation mode even in training.

    Args:
        train_from: `head`, the first stage that is trained, or `all`.

    Raises:
        ValueError: there is no such stage.
    """

    def __init__(self, backbone: TransferBackbone, num_classes: int, train_from: str) -> None:
        super().__init__()
        self.backbone = backbone
        self.stage, spec = list(backbone.stages.items())[-1]
        trained = trained_parameters(backbone, train_from)
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad_(name in trained)
        self.head = nn.Linear(spec.channels, num_classes)
        nn.init.normal_(self.head.weight, std=HEAD_STD)
        nn.init.zeros_(self.head.bias)

    def forward(self, rgb: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch classes"]:
        """Scores (logits) of RGB in [0, 1]."""
        return self.head(self.backbone.forward_stages(rgb, [self.stage])[self.stage].mean((2, 3)))

    def train(self, mode: bool = True) -> "Classifier":
        """Training mode where something is trained: the statistics of a frozen BatchNorm must not move."""
        for module in self.modules():
            module.training = mode and any(parameter.requires_grad for parameter in module.parameters())
        return self

    def frozen_tensors(self) -> dict[str, Tensor]:
        """Copies of the parameters and buffers that no training may change."""
        frozen: dict[str, Tensor] = {}
        for path, module in self.named_modules():
            own = dict(module.named_parameters(path, recurse=False))
            frozen |= {name: tensor for name, tensor in own.items() if not tensor.requires_grad}
            if not any(parameter.requires_grad for parameter in own.values()):
                frozen |= dict(module.named_buffers(path, recurse=False))
        return {name: tensor.detach().clone() for name, tensor in frozen.items()}

    def assert_unchanged(self, before: dict[str, Tensor]) -> None:
        """What was frozen is what it was, bit for bit."""
        after = self.frozen_tensors()
        moved = [name for name, tensor in before.items() if not torch.equal(after[name], tensor)]
        assert not moved, f"frozen, yet changed: {', '.join(moved)}"


def trained_parameters(backbone: TransferBackbone, train_from: str) -> set[str]:
    """Names of the backbone's parameters that are trained; the output layer of its pretext task never is.

    Raises:
        ValueError: there is no such stage.
    """
    stages = list(backbone.stages)
    if train_from not in (valid := ["head", *stages, "all"]):
        raise ValueError(unknown_name("stage", train_from, valid))
    if train_from == "head":
        return set()
    trained = parameters_up_to(backbone, stages[-1])
    if train_from not in ("all", stages[0]):
        trained -= parameters_up_to(backbone, stages[stages.index(train_from) - 1])
    return trained
