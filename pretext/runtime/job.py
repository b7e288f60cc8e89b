"""What runs in each task of a job: a command line, and what a cluster does to it."""

import importlib
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from submitit.core.job_environment import JobEnvironment
from submitit.helpers import DelayedSubmission, TorchDistributedEnvironment

from pretext.runtime.history import ATTEMPTS_WITHOUT_PROGRESS, History


class JobFolder:
    """Where a run keeps what belongs to its jobs: `job/` in its directory."""

    def __init__(self, run_dir: Path) -> None:
        self.path = run_dir / "job"
        self.code = self.path / "code"
        self.submitit = self.path / "submitit"
        self.history = History(self.path / "history.jsonl")
        self.last_id = self.path / "last_id"


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command line as a job, called once in each task of each attempt.

    Time limit and preemption come as SIGUSR2. The command saves at its next step boundary and ends as stopped;
    then submitit's own handler puts the job back into the queue, under the same id. A bare SIGTERM (`scontrol
    requeue`, scancel) is answered by saving too. Whatever else ends an attempt, the next one goes on from what the
    command has saved.

    Attributes:
        prog: the console script.
        argv: its command line.
        run_dir: of the run.
        progress: pattern of the files in it that hold what was saved.
    """

    prog: str
    argv: tuple[str, ...]
    run_dir: Path
    progress: str

    def __call__(self) -> None:
        requeue = signal.getsignal(signal.SIGUSR2)
        environment = TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        on_slurm = environment._job_env.cluster == "slurm"
        if not on_slurm:
            os.setpgid(0, 0)  # Ctrl-C in the terminal that follows the job is not meant for it
        if environment.rank == 0:
            status = self._first_task(environment._job_env, environment.world_size)
        else:
            status = self._run()
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
            status = self._run()
        except Exception as error:
            history.end(job.job_id, 1, f"crashed: {type(error).__name__}: {error}")
            raise
        history.end(job.job_id, status, _reason(status))
        return status

    def _run(self) -> int:
        status: int = importlib.import_module(f"{self.prog}.__main__").main(self.argv)
        return status

    def checkpoint(self) -> DelayedSubmission:
        """The same again: what is to be kept lies in the run directory."""
        return DelayedSubmission(self)

    def _saved(self) -> str:
        times = [file.stat().st_mtime_ns for file in self.run_dir.glob(self.progress)]
        return f"{len(times)} files, the last at {max(times, default=0)}"


def _reason(status: int) -> str:
    if status == 128 + signal.SIGUSR2:
        return "time limit or preemption"
    if status > 128:
        return f"stopped by {signal.Signals(status - 128).name}"
    return {0: "done", 1: "failed", 2: "wrong input"}.get(status, f"status {status}")


def _wait_for_the_end() -> NoReturn:
    while True:
        signal.pause()
