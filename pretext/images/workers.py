"""Loading by worker processes: how these answer signals, that they end with their parent, and what if one is lost."""

import os
import signal
import threading
from collections.abc import Generator, Iterator
from functools import partial
from multiprocessing.connection import wait
from typing import Any
from weakref import WeakSet

import torch
from torch.utils.data import DataLoader

from pretext.runtime.command_line import RunFailedError


class LostWorkerError(RunFailedError):
    """The system ended a process that reads images."""


class GuardedLoader(DataLoader[Any]):
    """A DataLoader that leaves signals to this process and tells plainly when a worker was killed.

    Its iterators start their workers at once, and end them when they are exhausted or dropped. They raise
    LostWorkerError in place of a batch, never in between: the DataLoader's own error comes from a signal handler, in
    the middle of a training step too.

    Args:
        options: of DataLoader, but for `worker_init_fn` and `generator`: the DataLoader draws a seed from that, and the
            random state of a run should not depend on it.
    """

    def __init__(self, dataset: Any, **options: Any) -> None:
        super().__init__(
            dataset, worker_init_fn=partial(_guard, os.getpid()), generator=torch.Generator(), **options
        )
        self._iterators: WeakSet[Generator[Any, None, None]] = WeakSet()

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        before = signal.getsignal(signal.SIGCHLD)
        batches = super().__iter__()
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGCHLD, before)
        iterator = _naming_losses(batches)
        self._iterators.add(iterator)
        return iterator

    def close(self) -> None:
        """End the workers, also of iterators that somebody keeps, as a framework may for the whole process."""
        for iterator in self._iterators:
            iterator.close()  # it alone refers to the DataLoader's own iterator, which ends its workers when it goes


def _naming_losses(batches: Any) -> Generator[Any, None, None]:
    try:
        yield from batches
    except (RuntimeError, OSError, EOFError) as error:
        workers = getattr(batches, "_workers", [])
        if isinstance(error, (OSError, EOFError)):
            # The connection is closed a moment before its process has ended.
            wait([worker.sentinel for worker in workers], timeout=5)
        for worker in workers:
            worker.join(timeout=0.1)  # not 0, which does not wait for a process that is about to end
            if worker.exitcode:
                code = worker.exitcode
                how = signal.Signals(-code).name if code < 0 else f"status {code}"
                raise LostWorkerError(
                    f"a process that read images was ended from outside ({how}), as the system does when memory or "
                    "/dev/shm runs out; give fewer data.num_workers or more memory, and the same command again"
                ) from error
        raise


def _guard(parent: int, worker: int) -> None:
    """Leave Ctrl-C, SIGTERM and SIGUSR2 to the parent, and end when it is gone; called in worker `worker`.

    A terminal and a scheduler signal the whole process group or job. The parent answers by saving at the next
    step boundary, and needs its workers until then. It ends them by a SIGTERM of its own, which counts.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGUSR2"):  # how a job learns of its time limit
        signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    if hasattr(signal, "sigtimedwait"):  # not on macOS: there a SIGTERM to the group ends the workers too
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_watch, args=(parent, os.getppid()), daemon=True).start()


def _watch(parent: int, forked_from: int) -> None:
    """End this process on the parent's SIGTERM, or within a second after the parent's end.

    The DataLoader's own watchdog looks only while its queue is empty, and then joins a thread that may wait
    for a reader that is gone. `forked_from` is the parent or its fork server.
    """
    while os.getppid() == forked_from:
        received = signal.sigtimedwait({signal.SIGTERM}, 1.0)
        if received is not None and received.si_pid == parent:
            break
    os._exit(0)
