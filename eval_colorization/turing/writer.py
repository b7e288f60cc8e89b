"""One thread that does all the writing, so that answers that come together share one commit.

A commit waits for the disk. Done for each answer in turn it would be the limit of how many participants a
server can take; here whatever has come in meanwhile goes into the next transaction.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from eval_colorization.turing.database import RefusedAnswerError, UnknownInvitationError, connect

Result = TypeVar("Result")
Work = Callable[[sqlite3.Connection], Any]
Job = tuple[Work, "Future[Any]"]

MAX_BATCH = 256  # jobs in one transaction, so that the first of them does not wait long


class Writer:
    """Runs functions of a connection in transactions, in the order of submission; to be used in a `with` block."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="database writer")

    def __enter__(self) -> "Writer":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._jobs.put(None)
        self._thread.join()
        self._connection.close()

    def submit(self, work: Callable[[sqlite3.Connection], Result]) -> "Future[Result]":
        """The result of `work(connection)`, there as soon as its transaction is on the disk.

        What `work` refuses (RefusedAnswerError, UnknownInvitationError) fails it alone; any other exception
        undoes the whole transaction and fails all that were in it.
        """
        future: Future[Result] = Future()
        self._jobs.put((work, future))
        return future

    def _run(self) -> None:
        stopped = False
        while not stopped:
            batch = [self._jobs.get()]
            while len(batch) < MAX_BATCH and not self._jobs.empty():
                batch.append(self._jobs.get())
            stopped = batch[-1] is None  # nothing is submitted after it
            # From here on a client that goes away cannot cancel its future any more.
            self._commit([job for job in batch if job and job[1].set_running_or_notify_cancel()])

    def _commit(self, batch: list[Job]) -> None:
        outcomes: list[Any] = []
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            for work, _ in batch:
                try:
                    outcomes.append(work(self._connection))
                except (RefusedAnswerError, UnknownInvitationError) as refusal:
                    outcomes.append(refusal)
            self._connection.execute("COMMIT")
        except Exception as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            outcomes = [error] * len(batch)
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)
