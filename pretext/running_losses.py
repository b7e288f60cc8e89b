"""The losses between two lines of the log, summed where they are computed, so that no step waits for the GPU."""

import torch

from pretext.objective import Losses
from pretext.runtime.command_line import RunFailedError
from pretext.runtime.distributed import World


class RunningLosses:
    """Sums over images and processes since the last `take`; remembers the first step whose loss was not finite."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._reset()

    def _reset(self) -> None:
        self._sums = torch.zeros(4, device=self._world.device)
        self._first_bad_step = torch.full((), -1, device=self._world.device)

    def add(self, step: int, losses: Losses) -> None:
        """The losses of some images of step `step`."""
        batch = losses.coloured.numel()
        self._sums += torch.stack(
            [
                losses.loss.detach().sum(),
                losses.loss_unweighted.detach().sum(),
                losses.coloured.sum(),
                self._sums.new_tensor(batch),
            ]
        )
        bad = ~losses.loss.detach().sum().isfinite() & (self._first_bad_step < 0)
        self._first_bad_step = torch.where(bad, step, self._first_bad_step)

    def check_finite(self) -> None:
        """Raises RunFailedError naming the first step, on any process, whose loss was NaN or infinite."""
        bad_steps = [step for step in self._world.gather(int(self._first_bad_step)) if step >= 0]
        if bad_steps:
            raise RunFailedError(
                f"the loss of step {min(bad_steps)} is NaN or infinite; the last checkpoint is from before it. "
                "Lower optim.lr or set optim.clip_norm, in a new run_dir"
            )

    def take(self) -> dict[str, float]:
        """Means per coloured image over all processes, where there was one, and how many were grey; starts anew."""
        loss, unweighted, coloured, images = self._world.sum(self._sums.double()).tolist()
        self._reset()
        means = {"loss": loss / coloured, "loss_unweighted": unweighted / coloured} if coloured else {}
        return means | {"grey_images": images - coloured}
