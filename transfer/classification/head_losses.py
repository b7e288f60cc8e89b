"""The mean losses of all linear classifiers between two lines of the log."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pretext.runtime.command_line import RunFailedError
from pretext.runtime.distributed import World
from transfer.classification.heads import LinearHeads


class HeadLosses:
    """Sums since the last `take`, over images and processes; added on the GPU, so that no step waits for it."""

    def __init__(self, heads: LinearHeads, world: World) -> None:
        self._heads, self._world = heads, world
        self._sums = torch.zeros(len(heads.stages), len(heads.learning_rates), device=world.device)
        self._num_images = torch.zeros((), device=world.device)

    def add(self, sums: Float[Tensor, "stages rates"], readable: Bool[Tensor, " batch"]) -> None:
        """Sums over the readable images of this process's part of a batch."""
        self._sums += sums
        self._num_images += readable.sum()

    def take(self, step: int) -> dict[str, float]:
        """`loss/` and the classifier's name -> mean loss; starts anew.

        Raises:
            RunFailedError: one is NaN or infinite; the first is named.
        """
        sums, num_images = self._world.sum(self._sums.double()), self._world.sum(self._num_images.double())
        means = (sums / num_images.clamp(min=1)).flatten().tolist()
        losses = {f"loss/{name}": loss for name, loss in zip(self._heads.names, means, strict=True)}
        self._sums.zero_()
        self._num_images.zero_()
        for name, loss in losses.items():
            if not -float("inf") < loss < float("inf"):
                raise RunFailedError(
                    f"{name} is NaN or infinite by step {step}; leave it out, in a new out folder"
                )
        return losses
