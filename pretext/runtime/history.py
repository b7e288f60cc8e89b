"""What became of a run's attempts: a line when one starts, a line when it ends in order."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pretext.runtime.slurm_states import accounted_states

ATTEMPTS_WITHOUT_PROGRESS = 3


class History:
    """The file `history.jsonl` of a job's folder.

    A start has job, attempt, hosts, tasks, progress (what the run had saved by then) and after: what Slurm's
    accounting says of the attempt before, such as REQUEUED or NODE_FAIL. An end has status and reason; if the attempt
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
        """The attempt under way ended; `status` is None where it could not say so itself."""
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
