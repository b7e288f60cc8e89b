"""A shell script for clusters without Slurm: each node runs it, by whatever starts programs there."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from pretext.cluster.profile import ClusterProfile

PORT = 29400


def torchrun_script(profile: ClusterProfile, prog: str, argv: Sequence[str]) -> str:
    """The script that runs the command line `prog argv` on all nodes, under torchrun.

    Its argument is the name of one of the nodes, where the others meet.
    """
    command = shlex.join([prog, *argv])
    torchrun = [sys.executable, "-m", "torch.distributed.run"]
    processes = profile.processes_per_node
    lines = [
        "#!/usr/bin/env bash",
        f"# {command}",
        f"# {profile.nodes} nodes, {processes} processes each. All nodes run it, with the name of one of them:",
        "#   PBS   pbsdsh -u -- bash SCRIPT $(head -1 $PBS_NODEFILE)",
        "#   SGE   for n in $(cut -d' ' -f1 $PE_HOSTFILE); do qrsh -inherit $n bash SCRIPT $HOSTNAME & done; wait",
        "#   ssh   for node in one two; do ssh $node bash SCRIPT one & done; wait",
        "# A run that is stopped resumes when the script runs again.",
        "set -euo pipefail",
        *profile.environment,
        f"cd {shlex.quote(str(Path.cwd()))}",
        f"export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{profile.cpus_per_task}}}",
        f"exec {shlex.join(torchrun)} --nnodes {profile.nodes} --nproc_per_node {processes} \\",
        f'  --rdzv_backend c10d --rdzv_endpoint "$1:{PORT}" --rdzv_id {shlex.quote(argv[0])} \\',
        f"  -m {command}",
    ]
    return "\n".join(lines)
