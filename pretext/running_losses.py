"""The losses between two lines of the log, summed where they are computed, so that no step waits for the GPU."""

import torch
from torch import Tensor

from pretext.runtime.command_line import RunFailedError
from pretext.runtime.distributed import World
from pretext.tasks.task import Losses


class RunningLosses:
    """Sums over images and processes since the last `take`; remembers the first step whose loss was not finite."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._names: tuple[str, ...] = ()
        self._sums: Tensor | None = None
        self._first_bad_step = torch.full((), -1, device=world.device)

    def add(self, step: int, losses: Losses) -> None:
        """The losses of some images of step `step`."""
        self._names = tuple(losses.by_name)
        sums = [values.detach().sum() for values in losses.by_name.values()]
        now = torch.stack([*sums, losses.counted.sum(), sums[0].new_tensor(losses.counted.numel())])
        self._sums = now if self._sums is None else self._sums + now
        bad = ~losses.optimised.detach().sum().isfinite() & (self._first_bad_step < 0)
        self._first_bad_step = torch.where(bad, step, self._first_bad_step)

    def check_finite(self) -> None:
        """Raises RunFailedError naming the first step, on any process, whose loss was NaN or infinite."""
        bad_steps = [step for step in self._world.gather(int(self._first_bad_step)) if step >= 0]
        if bad_steps:
            raise RunFailedError(
                f"the loss of step {min(bad_steps)} is NaN or infinite; the last checkpoint is from before it. "
                "Lower optim.lr or set optim.clip_norm, in a new run_dir"
            )

    def take(self) -> tuple[dict[str, float], float]:
        """The losses' means per image that counts, over all processes, and how many images did not; starts anew.

        Without an image that counts there are no means.
        """
        assert self._sums is not None
        *sums, counted, images = self._world.sum(self._sums.double()).tolist()
        self._sums, self._first_bad_step = None, torch.full_like(self._first_bad_step, -1)
        means = (
            {name: total / counted for name, total in zip(self._names, sums, strict=True)} if counted else {}
        )
        return means, images - counted
