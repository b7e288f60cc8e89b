"""A task of one's own: `pretext train --task mytasks:Rotation --task_args.turns 4`, for any network."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pretext import Backbone, Losses, Panel, StageSpec, Task


class Rotation(Task):
    """Tell by how many quarter turns an image was rotated (Gidaris, Singh, Komodakis 2018)."""

    panel = Panel("share of rotations recognized", {"validation_accuracy": "validation"})

    def __init__(self, turns: int = 4) -> None:
        super().__init__()
        self.turns = turns

    def head(self, stage: StageSpec) -> nn.Module:
        return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(stage.channels, self.turns))

    def split(self, images: Tensor, network: Backbone) -> tuple[Tensor, Tensor]:
        rotated = torch.cat([images.rot90(turn, (-2, -1)) for turn in range(self.turns)])
        turns = torch.arange(self.turns, device=images.device)
        return network.see(rotated / 255), turns.repeat_interleave(len(images))

    def losses(self, output: Tensor, targets: Tensor) -> Losses:
        loss = F.cross_entropy(output.float(), targets, reduction="none")
        loss = loss.unflatten(0, (self.turns, -1)).mean(0)
        return Losses({"loss": loss}, counted=torch.ones_like(loss, dtype=torch.bool))

    def measure(self, images: Tensor, output: Tensor, network: Backbone) -> dict[str, Tensor]:
        answers = output.argmax(1).unflatten(0, (self.turns, -1))
        turns = torch.arange(self.turns, device=answers.device)[:, None]
        return {"accuracy": (answers == turns).float().mean(0)}
