"""By how many quarter turns an image was rotated: Gidaris, Singh and Komodakis (2018)."""

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor, nn

from pretext.networks.backbone import Backbone, StageSpec
from pretext.tasks.classification import ClassificationTask

NUM_TURNS = 4


class Rotation(ClassificationTask):
    """Tell by how many quarter turns an image was rotated.

    All four rotations of an image are in a batch together, as in section 3.1 of the paper. Quarter turns only flip and
    transpose pixels, so that no trace of an interpolation gives the answer away (section 2.2).
    """

    num_answers = NUM_TURNS

    def head(self, stage: StageSpec) -> nn.Module:
        return nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(stage.channels, self.num_answers)
        )

    def split(
        self, images: UInt8[Tensor, "batch 3 height width"], network: Backbone
    ) -> tuple[Float[Tensor, "turned channels height width"], Int64[Tensor, "batch turns"]]:
        """Each image's four rotations, one after the other, and their numbers of quarter turns."""
        turned = torch.stack([images.rot90(turns, (-2, -1)) for turns in range(NUM_TURNS)], dim=1)
        return network.see(turned.flatten(0, 1) / 255), self.answers(images)

    def answers(self, images: UInt8[Tensor, "batch *sample"]) -> Int64[Tensor, "batch turns"]:
        return torch.arange(NUM_TURNS, device=images.device).expand(len(images), -1)
