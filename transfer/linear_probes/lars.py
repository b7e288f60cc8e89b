"""The optimiser of linear probes on features whose scale varies."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor


class Lars(torch.optim.Optimizer):
    """Layer-wise adaptive rate scaling (You, Gitman, Ginsburg 2017), as MoCo v3 and MAE train their linear probes.

    A weight moves by a step in proportion to its own length; a bias (a parameter of one dimension) by its gradient. No
    weight decays.

    Args:
        groups: of parameters, each with its `lr`.
        trust_coefficient: length of a gradient's step over that of the weight, before the learning rate.
    """

    def __init__(
        self,
        groups: Iterable[dict[str, Any]],
        *,
        momentum: float = 0.9,
        trust_coefficient: float = 0.001,
    ) -> None:
        super().__init__(groups, {"momentum": momentum, "trust_coefficient": trust_coefficient})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One step of every parameter."""
        for group in self.param_groups:
            for parameter in group["params"]:
                update = parameter.grad
                if parameter.ndim > 1:
                    update = _scaled(update, parameter, group["trust_coefficient"])
                state = self.state[parameter]
                if "momentum_buffer" not in state:
                    state["momentum_buffer"] = torch.zeros_like(parameter)
                momentum = state["momentum_buffer"].mul_(group["momentum"]).add_(update)
                parameter.sub_(momentum * group["lr"])


def _scaled(update: Tensor, weight: Tensor, trust_coefficient: float) -> Tensor:
    """The update at the weight's own scale; as it is where either has no length."""
    weight_length, length = weight.norm(), update.norm()
    ratio = trust_coefficient * weight_length / length
    return update * torch.where((weight_length > 0) & (length > 0), ratio, 1.0)
