"""A small training as a job of the one-machine cluster, watched through its files and its processes."""

import json
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from pretext.runtime.checkpoint import load_checkpoint
from pretext.runtime.metrics_log import read_metrics
from tests.end_to_end.small_run import finish, small
from tests.slurm.cluster import PROFILE, slurm, wait_until

STEPS = 60
SAVE_EVERY = 5


def training(run_dir: Path, **changes: Any) -> list[str]:
    return small(run_dir, **{"steps": STEPS, "save_every": SAVE_EVERY} | changes)


def on_cluster(**changes: Any) -> list[str]:
    """The launcher's flags for two nodes of one task each; `changes` to the profile."""
    profile = {
        "nodes": 2,
        "tasks_per_node": 1,
        "time_limit_minutes": 10,
        "signal_delay_seconds": 20,
    } | changes
    return ["--cluster", str(PROFILE), *(f"--cluster.{key}={value}" for key, value in profile.items())]


@dataclass(frozen=True)
class TrainingJob:
    run_dir: Path
    id: str

    @staticmethod
    def submit(run_dir: Path, profile: dict[str, Any] | None = None, **changes: Any) -> "TrainingJob":
        output = finish([*training(run_dir, **changes), *on_cluster(**(profile or {}))])
        found = re.match(r"job (\d+)\n", output)
        assert found, output
        return TrainingJob(run_dir, found[1])

    @property
    def log(self) -> str:
        log = self.run_dir / "job" / "submitit" / f"{self.id}_0_log.out"
        return log.read_text() if log.exists() else ""

    @property
    def history(self) -> list[dict[str, Any]]:
        file = self.run_dir / "job" / "history.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    @property
    def starts(self) -> list[dict[str, Any]]:
        return [event for event in self.history if event["event"] == "start"]

    @property
    def ends(self) -> list[tuple[int | None, str]]:
        """Status and reason of each attempt that is over."""
        return [(event["status"], event["reason"]) for event in self.history if event["event"] == "end"]

    def wait_for(self, what: str, condition: Any, seconds: float = 90) -> None:
        try:
            wait_until(what, condition, seconds)
        except AssertionError as error:
            state = slurm("squeue", "--jobs", self.id)
            raise AssertionError(f"{error}\n{state}{self.history}\n{self.log}") from error

    def wait_for_step(self, step: int) -> None:
        metrics = self.run_dir / "metrics.jsonl"
        self.wait_for(f"step {step}", lambda: any(row["step"] >= step for row in read_metrics(metrics)))

    def wait_for_end(self) -> None:
        state = ("squeue", "--noheader", "--jobs", self.id, "--format=%T")
        over = {"", "COMPLETED", "FAILED", "CANCELLED", "TIMEOUT"}  # no line: it is over
        self.wait_for("the job's end", lambda: slurm(*state).strip() in over)

    def lost_steps(self) -> list[int]:
        """Steps that each attempt but the first had to do again."""
        *attempts, _ = parts = re.split(r"^resumes after step (\d+) ", self.log, flags=re.MULTILINE)
        logged = [int(re.findall(r"^step (\d+)/", text, re.MULTILINE)[-1]) for text in attempts[::2]]
        return [last - int(first) for last, first in zip(logged, parts[1::2], strict=True)]

    def process(self, task: int) -> int:
        """The process that does the work of a task."""
        marks = {f"SLURM_JOB_ID={self.id}", f"SLURM_PROCID={task}"}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                works = (folder / "comm").read_text().startswith("python")
                if works and marks <= set((folder / "environ").read_text().split("\0")):
                    return int(folder.name)
            except OSError:  # it has ended in between
                pass
        raise AssertionError(f"no process of task {task} of job {self.id}\n{self.log}")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Both tasks stand still in mid-step, until Slurm sends them something."""
        processes = [self.process(task) for task in range(2)]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        # A process that computes goes on for a moment, and would be taken for one that Slurm has woken.
        self.wait_for("the processes' standing still", lambda: all(_stands_still(one) for one in processes))
        yield
        self.wait_for("Slurm's signal", lambda: _is_told(processes[0]))
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)


def _status(process: int) -> dict[str, str]:
    """What Linux tells of a process; nothing of one that has ended."""
    try:
        text = (Path("/proc") / str(process) / "status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return dict(re.findall(r"^(\w+):\s*(\w+)", text, re.MULTILINE))


def _stands_still(process: int) -> bool:
    return _status(process).get("State") == "T"


def _is_told(process: int) -> bool:
    """Whether a signal waits for a stopped process, or has woken or ended it: Slurm sends SIGCONT with some."""
    return not _stands_still(process) or int(_status(process).get("ShdPnd", "0"), 16) > 0


def weights(run_dir: Path) -> dict[str, torch.Tensor]:
    state = load_checkpoint(run_dir / "checkpoints" / "last.pt")
    assert state["step"] == STEPS
    return state["network"]


def assert_same_weights(run_dir: Path, expected: dict[str, torch.Tensor]) -> None:
    found = weights(run_dir)
    assert found.keys() == expected.keys()
    assert [name for name in found if not torch.equal(found[name], expected[name])] == []


TORCHRUN = (
    sys.executable,
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--nproc_per_node=2",
    "-m",
    "pretext",
)
