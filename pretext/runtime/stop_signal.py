"""Ctrl-C, SIGTERM and a job's SIGUSR2 as a flag that the training loop asks at step boundaries."""

import shlex
import signal
import sys
import time
from types import FrameType

import torch
import torch.distributed as dist

from pretext.runtime.command_line import StoppedError
from pretext.runtime.distributed import World

# SIGUSR2 is how submitit's jobs learn of their time limit and of preemption. It comes last because it wins over
# the SIGTERM that some clusters send with it: a job whose time is up puts itself back into the queue.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)

ASKED_EVERY = 1.0  # seconds between two questions to all processes; they take 30 ms where there are 500


class StopSignal:
    """Remembers these signals while it is entered; a second Ctrl-C or SIGTERM ends the process at once.

    Until it is asked for the first time, by which there is something to save, they raise StoppedError where they come:
    a start or a compilation may take minutes.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self._urgency, self._is_asked = 0, False
        self._calls_left, self._calls, self._asked = 1, 1, time.perf_counter()

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
        if not self._is_asked:
            raise StoppedError(
                f"stopped by {signal.Signals(number).name} before there was anything new to save; the same command "
                f"resumes: {shlex.join(sys.argv)}",
                number,
            )

    @property
    def received(self) -> int:
        """The number of the most urgent signal that this process has received, 0 for none."""
        self._is_asked = True
        return SIGNALS[self._urgency - 1] if self._urgency else 0

    def agreed(self) -> int:
        """The number of a signal that any process has received, 0 for none; every process gets the same answer.

        Several processes ask one another about once a second, after a number of calls that all of them know from the
        slowest one's pace; in between the answer is 0.
        """
        self._is_asked = True
        urgency = self._urgency
        if self.world.size > 1:
            self._calls_left -= 1
            if self._calls_left:
                return 0
            now = time.perf_counter()
            answers = torch.tensor([urgency, (now - self._asked) / self._calls], dtype=torch.float64)
            dist.all_reduce(answers, op=dist.ReduceOp.MAX)
            urgency, pace = int(answers[0]), answers[1].item()
            self._calls_left = self._calls = max(1, int(ASKED_EVERY / max(pace, 1e-3)))
            self._asked = now
        return SIGNALS[urgency - 1] if urgency else 0
