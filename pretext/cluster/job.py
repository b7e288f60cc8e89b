"""What runs in each task of a job: a command line, what a cluster does to it, and the history of its attempts."""

import importlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from submitit.core.job_environment import JobEnvironment
from submitit.helpers import DelayedSubmission, TorchDistributedEnvironment

from pretext.cluster.states import accounted_states

ATTEMPTS_WITHOUT_PROGRESS = 3


class JobFolder:
    """Where a run keeps what belongs to its jobs: `job/` in its directory."""

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / "job"
        self.code = self.path / "code"
        self.submitit = self.path / "submitit"
        self.history = History(self.path / "history.jsonl")
        self.last_id = self.path / "last_id"


@dataclass(frozen=True)
class Job:
    """A command line as a job, called once in each task of each attempt.

    Time limit and preemption come as SIGUSR2. The command saves at its next step boundary and ends as stopped;
    then submitit's own handler puts the job back into the queue, under the same id. A bare SIGTERM (`scontrol
    requeue`, scancel) is answered by saving too. Whatever else ends an attempt, the next one resumes from what the
    command has saved.

    Attributes:
        prog: the console script.
        argv: its command line.
        run_dir: of the run.
        saved: pattern of the files in it that change when the command saves its progress.
    """

    prog: str
    argv: tuple[str, ...]
    run_dir: Path
    saved: str

    def __call__(self) -> None:
        requeue = signal.getsignal(signal.SIGUSR2)
        environment = TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        on_slurm = environment._job_env.cluster == "slurm"
        if not on_slurm:
            os.setpgid(0, 0)  # Ctrl-C in the terminal that follows the job is not meant for it
        if environment.rank == 0:
            status = self._first_task(environment._job_env, environment.world_size)
        else:
            status = run_command_line(self.prog, self.argv)
        if status == 128 + signal.SIGUSR2:
            assert callable(requeue)
            requeue(signal.SIGUSR2, None)  # ends the first task; the others wait for it to end them
            _wait_for_the_end()
        if status == 128 + signal.SIGTERM and on_slurm:
            # Slurm ends this attempt and knows whether there is another: an exit now would look like a failure.
            _wait_for_the_end()
        if status:
            sys.exit(status)

    def _first_task(self, job: JobEnvironment, num_tasks: int) -> int:
        """The exit status of the first task, which writes the history."""
        history = JobFolder(self.run_dir).history
        history.start(job.job_id, list(job.hostnames), num_tasks, self._saved())
        if history.is_stuck(job.job_id):
            history.end(job.job_id, 1, "no progress")
            print(
                f"error: {ATTEMPTS_WITHOUT_PROGRESS} attempts in a row have saved nothing new in {self.run_dir}; "
                "the job is not put back into the queue. Give it more time, or see why in the log above",
                file=sys.stderr,
            )
            return 1
        try:
            status = run_command_line(self.prog, self.argv)
        except Exception as error:
            history.end(job.job_id, 1, f"crashed: {type(error).__name__}: {error}")
            raise
        history.end(job.job_id, status, _reason(status))
        return status

    def checkpoint(self) -> DelayedSubmission:
        """What submitit runs after a requeue: the same again, as what is to be kept lies in the run directory."""
        return DelayedSubmission(self)

    def _saved(self) -> str:
        times = [file.stat().st_mtime_ns for file in self.run_dir.glob(self.saved)]
        return f"{len(times)} files, the last at {max(times, default=0)}"


def run_command_line(prog: str, argv: Sequence[str]) -> int:
    """Run a command line of the console script `prog` in this process; its exit status."""
    status: int = importlib.import_module(f"{prog}.__main__").main(argv)
    return status


class History:
    """The attempts of a run, in `history.jsonl` of its job folder: a line when one starts and a line when it ends.

    A start has job, attempt, hosts, tasks, progress (what the run had saved by then) and after: what Slurm's
    accounting says of the previous attempt, such as REQUEUED or NODE_FAIL. An end has status and reason; if the attempt
    could not write it, the next one does.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> list[dict[str, Any]]:
        """All events, oldest first."""
        lines = self._path.read_text().splitlines() if self._path.exists() else []
        return [json.loads(line) for line in lines]

    def start(self, job: str, hosts: list[str], tasks: int, progress: str) -> None:
        """A new attempt; first the end of the last one, if nobody has written it."""
        events = self.read()
        if events and events[-1]["event"] == "start":
            self.end(events[-1]["job"], None, "killed")
        attempt = 1 + sum(event["event"] == "start" and event["job"] == job for event in events)
        after = _last_state(events[-1]["job"]) if events else None
        self._write(
            event="start", job=job, attempt=attempt, after=after, hosts=hosts, tasks=tasks, progress=progress
        )

    def end(self, job: str, status: int | None, reason: str) -> None:
        """The attempt under way has ended; `status` is None where it could not say so itself."""
        self._write(event="end", job=job, status=status, reason=reason)

    def is_stuck(self, job: str) -> bool:
        """Whether the attempts before this one, which has started, have saved nothing new."""
        starts = [event for event in self.read() if event["event"] == "start" and event["job"] == job]
        last = [event["progress"] for event in starts[-ATTEMPTS_WITHOUT_PROGRESS - 1 :]]
        return len(last) > ATTEMPTS_WITHOUT_PROGRESS and len(set(last)) == 1

    def _write(self, **event: Any) -> None:
        with self._path.open("a") as file:
            file.write(json.dumps({"time": datetime.now(UTC).isoformat(timespec="seconds")} | event) + "\n")


def _last_state(job: str) -> str | None:
    """What Slurm's accounting says of the last attempt of a job that is over; None where there is no accounting."""
    states = accounted_states(job, all_attempts=True)
    over = [state for state in states if state not in ("RUNNING", "PENDING")]
    return over[-1] if over else None


def _reason(status: int) -> str:
    if status == 128 + signal.SIGUSR2:
        return "time limit or preemption"
    if status > 128:
        return f"stopped by {signal.Signals(status - 128).name}"
    return {0: "done", 1: "failed", 2: "wrong input"}.get(status, f"status {status}")


def _wait_for_the_end() -> NoReturn:
    while True:
        signal.pause()
