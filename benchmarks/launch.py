"""From submission to the first training step on the one-machine Slurm, and from a preemption to the next step.

Run: slurm/one_machine/up.sh; python benchmarks/launch.py
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import report

from pretext.runtime.metrics_log import read_metrics

ROOT = Path(__file__).parents[1]
ROUNDS = 3
TRAIN = [
    sys.executable, "-m", "pretext", "train", "--data.train", "sample", "--data.validation", "sample",
    "--data.image_size", "40", "--data.crop_size", "32", "--data.num_workers", "0", "--network.width", "0.125",
    "--batch_size", "4", "--device", "cpu", "--log_every", "1", "--validate_every", "1000", "--save_every", "1000",
    "--gallery_images", "1", "--steps", "1000",
]  # fmt: skip
CLUSTER = ["--cluster", str(ROOT / "slurm" / "one_machine.yaml"), "--cluster.partition", "low"]


def seconds_until(run_dir: Path, more_than: int) -> tuple[float, int]:
    """Seconds from now until the run has logged a step beyond `more_than`, and the first such step seen."""
    start = time.perf_counter()
    while True:
        steps = [row["step"] for row in read_metrics(run_dir / "metrics.jsonl")]
        if steps and steps[-1] > more_than:
            return time.perf_counter() - start, steps[-1]
        time.sleep(0.02)


def direct(run_dir: Path) -> float:
    """Seconds to the first step of the command without a cluster."""
    with subprocess.Popen([*TRAIN, "--run_dir", str(run_dir)], stdout=subprocess.DEVNULL) as process:
        seconds, _ = seconds_until(run_dir, 0)
        process.terminate()
    return seconds


def submitted(run_dir: Path) -> tuple[float, float, int]:
    """Seconds to the first step of a job, from its preemption to the next step, and the steps lost by that."""
    start = time.perf_counter()
    subprocess.run(
        [*TRAIN, "--run_dir", str(run_dir), *CLUSTER], cwd=ROOT, stdout=subprocess.DEVNULL, check=True
    )
    seconds_until(run_dir, 0)
    first_step = time.perf_counter() - start
    job = (run_dir / "job" / "last_id").read_text()
    subprocess.run(
        ["srun", "--partition=high", "--nodes=2", "--exclusive", "--quiet", "true"], check=True
    )  # returns once the victim has gone
    start = time.perf_counter()
    reached = read_metrics(run_dir / "metrics.jsonl")[-1]["step"]
    resumed, _ = seconds_until(run_dir, reached)
    log = next((run_dir / "job" / "submitit").glob(f"{job}_0_log.out")).read_text()
    went_on = int(log.rpartition("going on after step ")[2].split()[0])
    subprocess.run(["scancel", job], check=True)
    return first_step, resumed, reached - went_on


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        here = [direct(folder / f"direct-{number}") for number in range(ROUNDS)]
        there = [submitted(folder / f"job-{number}") for number in range(ROUNDS)]
        firsts, resumes, lost = zip(*there, strict=True)
    report(
        "launch",
        f"to the first training step, and after a preemption; steps lost: {json.dumps(lost)}",
        {
            "the command itself: to its first step": statistics.median(here),
            "submitted: to its first step": statistics.median(firsts),
            "preempting job done: to the next step": statistics.median(resumes),
        },
        [],
        ("submitit",),
    )


if __name__ == "__main__":
    main()
