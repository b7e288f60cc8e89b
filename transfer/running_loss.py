"""The mean loss between two lines of the log."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pretext.runtime.command_line import RunFailedError
from pretext.runtime.distributed import World


class RunningLoss:
    """The images' losses since the last `take`, over all processes; remembers the first step that was not finite.

    They are summed where they are computed, so that no step waits for the GPU.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self._sums = torch.zeros(2, device=world.device)
        self._first_bad_step = torch.full((), -1, device=world.device)

    def add(self, step: int, losses: Float[Tensor, " batch"], readable: Bool[Tensor, " batch"]) -> None:
        """The losses of step `step`; those of unreadable images are zero."""
        loss = losses.detach().sum()
        self._sums += torch.stack([loss, readable.sum()])
        bad = ~loss.isfinite() & (self._first_bad_step < 0)
        self._first_bad_step = torch.where(bad, step, self._first_bad_step)

    def check_finite(self) -> None:
        """Raises RunFailedError naming the first step, on any process, whose loss was NaN or infinite."""
        bad_steps = [step for step in self._world.gather(int(self._first_bad_step)) if step >= 0]
        if bad_steps:
            raise RunFailedError(
                f"the loss of step {min(bad_steps)} is NaN or infinite; the last checkpoint is from before it. "
                "Lower lr, in a new out folder"
            )

    def take(self) -> float:
        """The mean over readable images; starts anew. Raises as `check_finite`."""
        self.check_finite()
        loss, images = self._world.sum(self._sums.double()).tolist()
        self._sums.zero_()
        return loss / max(images, 1)
