"""Ctrl-C, SIGTERM and a job's SIGUSR2 as a flag that the training loop asks at step boundaries."""

import signal
from types import FrameType

import torch
import torch.distributed as dist

from pretext.runtime.distributed import World

# SIGUSR2 is how submitit's jobs learn of their time limit and of preemption.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)


class StopSignal:
    """Remembers these signals while it is entered; a second signal ends the process at once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.received = 0

    def __enter__(self) -> "StopSignal":
        self._before = {int(number): signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        signal.signal(number, self._before[number])

    def agreed(self) -> int:
        """The number of a signal that any process has received, 0 for none; every process gets the same answer."""
        if self.world.size == 1:
            return self.received
        flag = torch.tensor(self.received)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return int(flag)
