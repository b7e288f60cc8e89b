"""How a loader's worker process answers signals, and that it ends with its parent."""

import os
import signal
import threading


def guard_worker(parent: int, worker: int) -> None:
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
