"""One process at a time in a run directory."""

import errno
import fcntl
import json
import os
import shlex
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

FILE = "lock"
_HELD_BY_ANOTHER = (errno.EACCES, errno.EAGAIN)
_NOT_SUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@contextmanager
def run_lock(folder: Path) -> Iterator[None]:
    """Keep other processes out of `folder` for the duration of the block, on this host and on others.

    The lock is a POSIX record lock on `folder/lock`, not the file itself: the kernel, or the server of a network file
    system, drops it when its process ends in whatever way, or when its node is lost; worker processes do not inherit
    it. A requeued job need not wait for that: it takes the lock over from its own earlier attempt. On a file system
    without locks a warning is printed and nothing is locked.

    Raises:
        ValueError: another process holds the lock; its host, number, job and command are named.
    """
    path = folder / FILE
    with _open_locked(path) as file:
        try:
            yield
        finally:
            if _is_still_at(file, path):
                path.unlink()


def _open_locked(path: Path) -> TextIO:
    us = _this_process()
    while True:
        file = path.open("a+")
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NOT_SUPPORTED:
                print(
                    f"warning: the file system of {path} has no locks ({error.strerror}); "
                    "do not give the same command twice",
                    file=sys.stderr,
                )
                return file
            holder = _read_holder(file)
            file.close()
            if error.errno not in _HELD_BY_ANOTHER:
                raise
            if not _is_earlier_attempt(holder, us):
                raise ValueError(
                    f"{path.parent} is in use by {_described(holder)}; wait for it to end, stop it, or choose "
                    "another folder"
                ) from None
            path.unlink(missing_ok=True)  # a new file has no lock; the lost attempt keeps that of the old one
            continue
        if _is_still_at(file, path):
            file.truncate(0)
            json.dump(us, file)
            file.flush()
            return file
        file.close()


def _is_still_at(file: TextIO, path: Path) -> bool:
    """Whether `path` is this file, which another process may have removed or replaced."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _this_process() -> dict[str, Any]:
    return {
        "host": socket.gethostname(),
        "process": os.getpid(),
        "command": shlex.join(sys.argv),
        "job": os.environ.get("SLURM_JOB_ID"),
        "attempt": int(os.environ.get("SLURM_RESTART_COUNT", 0)),
    }


def _read_holder(file: TextIO) -> dict[str, Any]:
    """What the holder has written; nothing in the moment between its locking and its writing."""
    file.seek(0)
    try:
        return json.loads(file.read())
    except json.JSONDecodeError:
        return {}


def _is_earlier_attempt(holder: dict[str, Any], us: dict[str, Any]) -> bool:
    """Whether Slurm has ended the holder: it requeues a job only then, under the same number."""
    return us["job"] is not None and holder.get("job") == us["job"] and holder["attempt"] < us["attempt"]


def _described(holder: dict[str, Any]) -> str:
    if not holder:
        return "another process"
    job = f" (job {holder['job']})" if holder["job"] else ""
    return f"process {holder['process']} on {holder['host']}{job}: {holder['command']}"
