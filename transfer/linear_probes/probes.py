"""Trained linear classifiers: the one chosen for each stage, and the file that keeps them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from safetensors.torch import save_file
from torch import Tensor, nn

from pretext.pretrained import state_hash
from pretext.runtime.whole_file import whole_file
from pretext.weights_file import read_safetensors

FILE = "probes.safetensors"


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

    @property
    def sha256(self) -> str:
        """SHA-256 of the probe's tensors."""
        return state_hash(self.probe)


class ChosenProbes:
    """The probe of each stage with the highest first metric so far, the first of equals.

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

    @property
    def best_stage(self) -> str | None:
        """The stage with the highest first metric; None where there is none."""
        if not all(choice.values for choice in self.by_stage.values()):
            return None
        return max(self.by_stage, key=lambda stage: next(iter(self.by_stage[stage].values.values())))

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


@dataclass(frozen=True, kw_only=True)
class ProbesCard:
    """What a file of probes says of them, so that they can be used.

    Attributes:
        backbone: its name in results.
        weights: SHA-256 of its weights.
        classes: names, in the order of a probe's scores.
        multi_label: whether an image may show several of them.
        protocol: by its name; with `image_size` and `crop_size` it says what the backbone sees and how it is pooled.
        precision: of the backbone's arithmetic.
        stage: the one with the highest first metric on the validation images; None where there were none.
    """

    backbone: str
    weights: str
    classes: list[str]
    multi_label: bool
    protocol: str
    image_size: int
    crop_size: int
    precision: str
    stage: str | None


def save_probes(folder: Path, probes: ChosenProbes, card: ProbesCard) -> None:
    """Write the probes of all stages, tensors named `STAGE/weight`, and their card into `folder`."""
    tensors = {
        f"{stage}/{name}": tensor.contiguous().cpu()
        for stage, choice in probes.by_stage.items()
        for name, tensor in choice.probe.state_dict().items()
    }
    metadata = {"card": json.dumps(asdict(card)), "stages": json.dumps(list(probes.by_stage))}
    with whole_file(folder / FILE) as file:
        save_file(tensors, file, metadata)


def load_probes(folder: Path) -> tuple[dict[str, Probe], ProbesCard]:
    """Stage -> probe, in order of depth, and their card, from the folder of a `transfer linear` run.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or of another kind.
    """
    path = folder / FILE
    if not path.exists():
        raise FileNotFoundError(
            f"there is no {path}; give the --out folder of a finished `transfer linear` run"
        )
    tensors, metadata = read_safetensors(path)
    try:
        card, stages = ProbesCard(**json.loads(metadata["card"])), json.loads(metadata["stages"])
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not a file of probes ({error!r}); run `transfer linear` anew") from error
    probes = {
        stage: Probe(
            **{
                name.removeprefix(f"{stage}/"): tensor
                for name, tensor in tensors.items()
                if name.startswith(f"{stage}/")
            }
        )
        for stage in stages
    }
    return probes, card
