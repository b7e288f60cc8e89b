"""Ctrl-C, SIGTERM and a job's SIGUSR2 as a flag that the training loop asks at step boundaries."""

import signal
from types import FrameType

import torch
import torch.distributed as dist

from pretext.runtime.distributed import World

# SIGUSR2 is how submitit's jobs learn of their time limit and of preemption. It comes last because it wins over
# the SIGTERM that some clusters send with it: a job whose time is up puts itself back into the queue.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)


class StopSignal:
    """Remembers these signals while it is entered; a second Ctrl-C or SIGTERM ends the process at once."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._urgency = 0

    def __enter__(self) -> "StopSignal":
        self._before = {int(number): signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._urgency = max(self._urgency, 1 + SIGNALS.index(signal.Signals(number)))
        if number != signal.SIGUSR2:
            signal.signal(number, self._before[number])

    @property
    def received(self) -> int:
        """The number of the most urgent signal that this process has received, 0 for none."""
        return SIGNALS[self._urgency - 1] if self._urgency else 0

    def agreed(self) -> int:
        """The number of a signal that any process has received, 0 for none; every process gets the same answer."""
        urgency = self._urgency
        if self.world.size > 1:
            flag = torch.tensor(urgency)
            dist.all_reduce(flag, op=dist.ReduceOp.MAX)
            urgency = int(flag)
        return SIGNALS[urgency - 1] if urgency else 0
