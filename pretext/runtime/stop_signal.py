"""Ctrl-C, SIGTERM and a job's SIGUSR2 as a flag that the training loop asks at step boundaries."""

import signal
import time
from types import FrameType
from typing import Any

import torch
import torch.distributed as dist

from pretext.runtime.distributed import World

# SIGUSR2 is how submitit's jobs learn of their time limit and of preemption. It comes last because it wins over
# the SIGTERM that some clusters send with it: a job whose time is up puts itself back into the queue.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)

# Of the time. A question to all takes 0.3 ms where there are two processes, 30 ms where there are 500.
ASKING_SHARE = 0.02


class StopSignal:
    """Remembers these signals while it is entered; a second Ctrl-C or SIGTERM ends the process at once.

    It begins to when it is first asked, by which there is something to save. Before, a signal does what it did outside:
    a start or a compilation may take minutes, often in C, where no handler of Python runs.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._urgency = 0
        self._before: dict[int, Any] = {}
        self._calls_left, self._calls, self._asked, self._cost = 1, 1, time.perf_counter(), 0.0

    def __enter__(self) -> "StopSignal":
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _listen(self) -> None:
        if not self._before:
            self._before = {int(number): signal.signal(number, self._remember) for number in SIGNALS}

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self.remember(number)
        if number != signal.SIGUSR2:
            signal.signal(number, self._before[number])

    def remember(self, number: int) -> None:
        """Take a signal for received that came while another one of these listened."""
        self._urgency = max(self._urgency, 1 + SIGNALS.index(signal.Signals(number)))

    @property
    def received(self) -> int:
        """The number of the most urgent signal that this process has received, 0 for none."""
        self._listen()
        return SIGNALS[self._urgency - 1] if self._urgency else 0

    def agreed(self) -> int:
        """The number of a signal that any process has received, 0 for none; every process gets the same answer.

        Several processes ask one another so seldom that it takes ASKING_SHARE of the time at most: after a number of
        calls that all of them know. In between the answer is 0.
        """
        self._listen()
        urgency = self._urgency
        if self.world.size > 1:
            self._calls_left -= 1
            if self._calls_left:
                return 0
            start = time.perf_counter()
            pace = (start - self._asked) / self._calls
            answers = torch.tensor([urgency, pace, -self._cost], dtype=torch.float64)
            dist.all_reduce(answers, op=dist.ReduceOp.MAX)
            urgency, pace, cost = int(answers[0]), answers[1].item(), -answers[2].item()
            self._calls_left = self._calls = max(1, int(cost / (ASKING_SHARE * pace)))
            self._asked = time.perf_counter()
            self._cost = (
                self._asked - start
            )  # the least of all processes' counts: the others waited for the slowest
        return SIGNALS[urgency - 1] if urgency else 0
