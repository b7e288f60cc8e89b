"""The one-machine cluster as tests see it: its nodes, its queue, and what Slurm says."""

import os
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
ONE_MACHINE = ROOT / "slurm" / "one_machine"
PROFILE = ROOT / "slurm" / "one_machine.yaml"
NODES = ("n1", "n2")


def slurm(*command: str | Path) -> str:
    """What a command of Slurm prints."""
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout


def as_root(script: str, *arguments: str) -> str:
    """What a script of slurm/one_machine says."""
    sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    command = [*sudo, str(ONE_MACHINE / script), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def is_running() -> bool:
    """Whether the Slurm of this machine is the one that `slurm/one_machine/up.sh` brings up."""
    try:
        return "one_machine" in slurm("scontrol", "show", "config").partition("ClusterName")[2].split("\n")[0]
    except (FileNotFoundError, subprocess.CalledProcessError):
        return False


def wait_until(what: str, condition: Callable[[], bool], seconds: float = 60) -> None:
    """Return as soon as `condition` holds; fail, naming `what`, if it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.1)


@dataclass(frozen=True)
class Cluster:
    """The cluster during one test.

    Attributes:
        output: folder; jobs that write their logs in it are the test's own.
    """

    output: Path
    _broken: set[str] = field(default_factory=set)

    def break_node(self, node: str) -> None:
        """Cut the power of a node, of which Slurm is told."""
        self._broken.add(node)
        as_root("node.sh", "fail", node)

    def mend_node(self, node: str) -> None:
        """Return when the node takes jobs."""
        as_root("node.sh", "start", node)
        self._broken.discard(node)

    def nodes_up(self) -> dict[str, bool]:
        """node -> whether Slurm believes that it takes jobs."""
        rows = slurm("sinfo", "--noheader", "--Node", "--partition=main", "--format=%N %t").splitlines()
        return {node: state in ("idle", "mix", "alloc", "comp") for node, state in map(str.split, rows)}

    def jobs(self) -> list[str]:
        """Jobs of the test that Slurm has not done with."""
        rows = slurm("squeue", "--noheader", "--Format=JobID:|,STDOUT:500").splitlines()
        found = [row.partition("|") for row in rows]
        return [job for job, _, log in found if log.startswith(f"{self.output}/")]

    def restore(self) -> None:
        """Bring back the nodes that are down and cancel the test's jobs."""
        # In this order: a job cannot end on a node that does not answer.
        for node, up in self.nodes_up().items():
            if not up or node in self._broken:
                self.mend_node(node)
        if jobs := self.jobs():
            slurm("scancel", *jobs)
            wait_until("the test's jobs end when cancelled", lambda: not self.jobs())
