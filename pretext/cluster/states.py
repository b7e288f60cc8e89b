"""The states of jobs, from Slurm's queue and from its accounting."""

import shlex
import subprocess
from collections.abc import Sequence

OVER = {
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "OUT_OF_MEMORY",
    "NODE_FAIL",
    "PREEMPTED",
    "BOOT_FAIL",
    "DEADLINE",
}


def states_in_queue(ids: Sequence[str]) -> dict[str, str] | None:
    """job -> state and reason, of those jobs and members of arrays that are not over; None where Slurm does not answer.

    Not from accounting: that says NODE_FAIL for a while of a job that is back in the queue.
    """
    jobs = ",".join(dict.fromkeys(ids))
    command = [*shlex.split("squeue --noheader --array --format '%i|%T|%r' --jobs"), jobs]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode and "Invalid job id" not in answer.stderr:  # invalid: it ended long ago
        return None
    states = {}
    for line in answer.stdout.splitlines():
        job, state, reason = line.strip().split("|")
        if state not in OVER:
            states[job] = state if reason == "None" else f"{state} ({reason})"
    return states


def accounted_states(job: str, *, all_attempts: bool = False) -> list[str]:
    """What accounting says of a job (of each member of an array), or of each attempt of one; empty without any.

    In sacct's words, such as `COMPLETED` or `CANCELLED by 1000`.
    """
    attempts = ["--duplicates"] if all_attempts else []
    command = [*shlex.split("sacct -X --noheader --parsable2 --format=State"), *attempts, "-j", job]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line for line in answer.stdout.splitlines() if line]
