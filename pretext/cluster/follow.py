"""Following submitted jobs to their end."""

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pretext.cluster.job import JobFolder
from pretext.cluster.states import OVER, accounted_states, states_in_queue
from pretext.runtime.aligned import aligned
from pretext.runtime.metrics_log import read_metrics
from pretext.runtime.run_dir import RunDir

POLL_SECONDS = 1.0


@dataclass(kw_only=True)
class Submitted:
    """A run and its job, one of submitit's; its state when last seen, and its exit status once it has ended."""

    name: str
    run_dir: Path
    job: Any
    state: str = ""
    status: int = 0

    @property
    def id(self) -> str:
        """The job's number, with that in its array; known once all of the array are submitted."""
        return str(self.job.job_id)

    @property
    def log(self) -> Path:
        """What the first process of the job prints."""
        return Path(self.job.paths.stdout)


def follow(submitted: Sequence[Submitted], *, on_slurm: bool) -> int:
    """Wait until all have ended, printing changes of state and, of a single job, its log; the exit status of all.

    That is the job's own; of several 1 if one failed.
    """
    try:
        return _follow(submitted, on_slurm)
    except KeyboardInterrupt:
        jobs = dict.fromkeys(run.id.partition("_")[0] for run in submitted)
        cancel = f"{'scancel' if on_slurm else 'kill'} {' '.join(jobs)}"
        print(f"\nno longer following; the job continues (cancel it with: {cancel})", file=sys.stderr)
        raise


def _follow(submitted: Sequence[Submitted], on_slurm: bool) -> int:
    log = _Log(submitted[0].log) if len(submitted) == 1 else None
    open_jobs = list(submitted)
    while open_jobs:
        running = {run.id: "" for run in open_jobs if not (on_slurm or run.job.done())}
        states = states_in_queue([run.id.partition("_")[0] for run in open_jobs]) if on_slurm else running
        if states is None:
            time.sleep(POLL_SECONDS)
            continue
        for run in list(open_jobs):
            if run.id in states:
                if run.state != states[run.id]:
                    run.state = states[run.id]
                    print(f"job {run.id}: {run.state}", flush=True)
                continue
            open_jobs.remove(run)
            run.state, run.status = _ending(run, on_slurm)
            if log:
                log.show()
            print(
                f"job {run.id} ({run.name}) ended: {run.state} status {run.status}; log {run.log}", flush=True
            )
        if log:
            log.show()
        if open_jobs:
            time.sleep(POLL_SECONDS)
    statuses = [run.status for run in submitted]
    return statuses[0] if len(statuses) == 1 else int(any(statuses))


def sweep_table(submitted: Sequence[Submitted]) -> str:
    """One row per run: how it ended, how far it came, and its last losses."""
    last = {
        run.name: {
            key: value for row in read_metrics(RunDir(run.run_dir).metrics) for key, value in row.items()
        }
        for run in submitted
    }
    losses = list(dict.fromkeys(key for metrics in last.values() for key in metrics if key.endswith("loss")))
    rows: list[tuple[str, ...]] = [("run", "status", "step", *losses)]
    for run in submitted:
        metrics = last[run.name]
        numbers = [f"{metrics[key]:.4g}" if key in metrics else "-" for key in losses]
        rows.append((run.name, str(run.status), str(metrics.get("step", "-")), *numbers))
    return aligned(rows)


def _ending(run: Submitted, on_slurm: bool) -> tuple[str, int]:
    """Slurm's state of a job that is over, and its exit status: its own, where it lived to say it."""
    events = JobFolder(run.run_dir).history.read()
    last = events[-1] if events and events[-1]["job"] == run.id else {}
    own = last.get("status") if last.get("event") == "end" else None
    if not on_slurm:
        return "", 1 if own is None else own
    state = ""
    for _ in range(10):  # accounting is a moment behind
        state = next(iter(accounted_states(run.id)), "").partition(" ")[0]
        if state in OVER or (not state and own is not None):
            break
        time.sleep(POLL_SECONDS)
    if state == "COMPLETED":
        return state, 0
    if not state:  # a cluster without accounting
        return state, 1 if own is None else own
    return state, own if state == "FAILED" and own else 1


class _Log:
    """Prints what has been added to a file since the last look."""

    def __init__(self, path: Path) -> None:
        self._path, self._position = path, 0

    def show(self) -> None:
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._position)
                text = file.read()
            self._position += len(text)
            print(text.decode(errors="replace"), end="", flush=True)
