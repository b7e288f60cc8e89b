"""What runs in each task of a job: a command line, and what a cluster does to it."""

import importlib
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

from submitit.helpers import DelayedSubmission, TorchDistributedEnvironment

from pretext.runtime.command_line import run_command
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
    then submitit's own handler puts the job back into the queue, under the same id. Whatever else ends an attempt,
    the next one goes on from what the command has saved.

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
        job_environment = environment._job_env
        is_main, job_id, history = (
            environment.rank == 0,
            job_environment.job_id,
            JobFolder(self.run_dir).history,
        )
        if is_main:
            history.start(job_id, list(job_environment.hostnames), environment.world_size, self._saved())
            if history.is_stuck(job_id):
                history.end(job_id, 1, "no progress")
                print(
                    f"error: {ATTEMPTS_WITHOUT_PROGRESS} attempts in a row have saved nothing new in {self.run_dir}; "
                    "the job is not put back into the queue. Give it more time, or see why in the log above",
                    file=sys.stderr,
                )
                sys.exit(1)
        commands = importlib.import_module(f"{self.prog}.__main__").COMMANDS
        status = run_command(self.prog, commands, list(self.argv))
        requeued = status == 128 + signal.SIGUSR2
        if is_main:
            history.end(job_id, status, "time limit or preemption" if requeued else _reason(status))
        if requeued:
            assert callable(requeue)
            requeue(signal.SIGUSR2, None)  # ends the first task; the others wait for Slurm to end them
            while True:
                signal.pause()
        if status:
            sys.exit(status)

    def checkpoint(self) -> DelayedSubmission:
        """The same again: what is to be kept lies in the run directory."""
        return DelayedSubmission(self)

    def _saved(self) -> str:
        times = [file.stat().st_mtime_ns for file in self.run_dir.glob(self.progress)]
        return f"{len(times)} files, the last at {max(times, default=0)}"


def _reason(status: int) -> str:
    if status > 128:
        return f"stopped by {signal.Signals(status - 128).name}"
    return {0: "done", 1: "failed", 2: "wrong input"}.get(status, f"status {status}")
