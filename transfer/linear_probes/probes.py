"""Trained linear classifiers: the one chosen for each stage."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class Probe(nn.Module):
    """One trained linear classifier of one stage, with the normalisation before it.

    Attributes:
        weight: (classes, dimensions).
        bias: (classes,).
        mean, deviation: of each channel on the training images; None where the protocol does not normalise.
    """

    weight: Tensor
    bias: Tensor
    mean: Tensor | None
    deviation: Tensor | None

    def __init__(
        self, weight: Tensor, bias: Tensor, mean: Tensor | None = None, deviation: Tensor | None = None
    ) -> None:
        super().__init__()
        for name, tensor in (("weight", weight), ("bias", bias), ("mean", mean), ("deviation", deviation)):
            self.register_buffer(name, tensor)

    def forward(self, pooled: Float[Tensor, "batch channels grid grid"]) -> Float[Tensor, "batch classes"]:
        """Scores (logits)."""
        features = pooled.float()
        if self.mean is not None and self.deviation is not None:
            features = (features - self.mean[:, None, None]) / self.deviation[:, None, None]
        return F.linear(features.flatten(1), self.weight, self.bias)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A stage's probe.

    Attributes:
        chosen: what was chosen, such as {"lr": 0.01, "epoch": 28}; empty where nothing was.
        values: its metrics on the images on which it was chosen.
    """

    probe: Probe
    chosen: Mapping[str, Any]
    values: Mapping[str, float]


class ChosenProbes:
    """Of each stage the probe with the highest first metric so far, the first of equals.

    Attributes:
        by_stage: stage -> its choice, in order of depth.
    """

    def __init__(self) -> None:
        self.by_stage: dict[str, Choice] = {}

    def offer(
        self,
        stage: str,
        values: Mapping[str, float],
        chosen: Mapping[str, Any],
        copy_probe: Callable[[], Probe],
    ) -> None:
        """Take a probe if it is the best of its stage.

        Args:
            values: its metrics on the images on which is chosen.
            copy_probe: gives it.
        """
        known = self.by_stage.get(stage)
        if known is None or next(iter(values.values())) > next(iter(known.values.values())):
            self.by_stage[stage] = Choice(probe=copy_probe(), chosen=dict(chosen), values=dict(values))

    def scores(self, pooled: Mapping[str, Tensor]) -> Float[Tensor, "batch stages classes"]:
        """Scores (logits) of every stage's probe."""
        return torch.stack([choice.probe(pooled[stage]) for stage, choice in self.by_stage.items()], dim=1)

    def to(self, device: torch.device) -> None:
        """Move all probes to a device."""
        for choice in self.by_stage.values():
            choice.probe.to(device)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        return {
            stage: {"probe": choice.probe.state_dict(), "chosen": choice.chosen, "values": choice.values}
            for stage, choice in self.by_stage.items()
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Resume from a `state_dict`."""
        self.by_stage = {
            stage: Choice(probe=Probe(**of["probe"]), chosen=of["chosen"], values=of["values"])
            for stage, of in state.items()
        }
