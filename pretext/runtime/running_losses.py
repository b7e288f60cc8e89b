"""The losses between two lines of the log, summed where they are computed, so that no step waits for the GPU."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from pretext.runtime.command_line import RunFailedError
from pretext.runtime.distributed import World


class RunningLosses:
    """Sums of losses over images and processes since the last `take`; remembers the first step of one not finite.

    Args:
        names: of the losses.
        way_out: what the user should do where one is NaN or infinite.

    Attributes:
        num_counted: images that counted in what `take` returned last.
        num_images: all images that were added for it.
    """

    def __init__(self, names: Sequence[str], world: World, *, way_out: str) -> None:
        self._names, self._world, self._way_out = names, world, way_out
        self._sums = torch.zeros(len(names), device=world.device)
        self._num_counted = torch.zeros((), dtype=torch.int64, device=world.device)
        self._num_images = 0
        self.num_counted = self.num_images = 0.0
        self._first_bad_steps = torch.full((len(names),), -1, device=world.device)

    def add(self, step: int, sums: Float[Tensor, " losses"], counted: Bool[Tensor, " batch"]) -> None:
        """The sums, over the images that are `counted`, of the losses of step `step`."""
        sums = sums.detach()
        self._sums += sums
        self._num_counted += counted.sum()
        self._num_images += len(counted)
        bad = ~sums.isfinite() & (self._first_bad_steps < 0)
        self._first_bad_steps = torch.where(bad, step, self._first_bad_steps)

    def check_finite(self) -> None:
        """Raises RunFailedError naming a loss that was NaN or infinite, on any process, and its first step."""
        gathered = self._world.gather(self._first_bad_steps.tolist())
        bad = [
            (step, name)
            for steps in gathered
            for step, name in zip(steps, self._names, strict=True)
            if step >= 0
        ]
        if bad:
            step, name = min(bad)
            raise RunFailedError(
                f"the {name} of step {step} is NaN or infinite; the last checkpoint is from before it. {self._way_out}"
            )

    def take(self) -> dict[str, float]:
        """Name -> mean over the images that counted; starts anew. Raises as `check_finite`."""
        self.check_finite()
        counts = self._sums.new_tensor([self._num_counted, self._num_images], dtype=torch.float64)
        *sums, counted, images = self._world.sum(torch.cat([self._sums.double(), counts])).tolist()
        self.num_counted, self.num_images = counted, images
        means = [value / max(counted, 1) for value in sums]
        self._sums.zero_()
        self._num_counted.zero_()
        self._num_images = 0
        return dict(zip(self._names, means, strict=True))
