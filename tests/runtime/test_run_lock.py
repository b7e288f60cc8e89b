import errno
import fcntl
import os
import signal
import socket
import subprocess
import sys

import pytest

from pretext.runtime.run_lock import run_lock

HOLD = """
import sys
from pathlib import Path
from pretext.runtime.run_lock import run_lock
with run_lock(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def hold(folder, **environment):
    """A process that has locked `folder`, until its input is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder],
        env=os.environ | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "locked\n"
    return process


def test_a_second_process_is_refused_and_told_who_is_there(tmp_path):
    with hold(tmp_path, SLURM_JOB_ID="4711") as process:
        named = rf"{tmp_path} is in use by process {process.pid} on {socket.gethostname()} \(job 4711\): -c {tmp_path}"
        with pytest.raises(ValueError, match=named), run_lock(tmp_path):
            pass
        process.stdin.close()


def test_the_end_of_the_holder_frees_the_folder_however_it_ended(tmp_path):
    with hold(tmp_path) as process:
        process.stdin.close()
    with hold(tmp_path) as process:
        process.send_signal(signal.SIGKILL)
    for _ in range(2):  # and so does the end of the block
        with run_lock(tmp_path):
            pass
    assert list(tmp_path.iterdir()) == []
    with hold(tmp_path) as process:
        process.stdin.close()


def test_processes_that_the_holder_starts_do_not_keep_the_folder_locked(tmp_path):
    with run_lock(tmp_path):
        child = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    with hold(tmp_path) as process:
        process.stdin.close()
    child.communicate()


@pytest.mark.parametrize(
    ("job", "attempt", "takes_over"), [("4711", "1", True), ("4711", "0", False), ("4712", "1", False)]
)
def test_a_requeued_job_takes_over_from_its_earlier_attempt_alone(
    tmp_path, monkeypatch, job, attempt, takes_over
):
    """The node of that attempt is lost, and its file server has not noticed yet."""
    monkeypatch.setenv("SLURM_JOB_ID", job)
    monkeypatch.setenv("SLURM_RESTART_COUNT", attempt)
    with hold(tmp_path, SLURM_JOB_ID="4711", SLURM_RESTART_COUNT="0") as lost:
        if takes_over:
            with run_lock(tmp_path), pytest.raises(subprocess.CalledProcessError):
                subprocess.run(
                    [sys.executable, "-c", HOLD, tmp_path],
                    env=os.environ | {"SLURM_JOB_ID": "5000"},
                    capture_output=True,
                    check=True,
                )
            assert lost.poll() is None
        else:
            with pytest.raises(ValueError, match="is in use by"), run_lock(tmp_path):
                pass
        lost.stdin.close()


def test_a_file_system_without_locks_is_said_and_the_work_goes_on(tmp_path, monkeypatch, capsys):
    def refuse(*arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "lockf", refuse)
    with run_lock(tmp_path):
        assert (
            "has no locks (No locks available); do not give the same command twice" in capsys.readouterr().err
        )
