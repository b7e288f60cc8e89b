"""Every benchmark that concerns a GPU, and whether it computes what the CPU does, in one command of a few minutes.

    python benchmarks/gpu.py [--device cpu]

Each is a process of its own; one that fails is named at the end, and the exit status is 1. With `--device cpu` all run
at sizes that show only that they run, and their results are thrown away.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

LIMIT = 120  # seconds for one on a GPU
# benchmark, its arguments on a GPU, and those that only show on a CPU that it runs
BENCHMARKS = (
    ("parity", "", ""),
    ("objective", "", "--batch_size 2"),
    ("lab", "", "--batch_size 2"),
    ("training_step", "--batch_size 40", "--batch_size 1 --rounds 1"),
    ("training_step", "--batch_size 256", "--batch_size 2 --rounds 1"),
    ("start_up", "--rounds 1", "--rounds 1"),
    ("from_files", "", "--batch_size 4 --steps 6 --images 20"),
    ("metrics", "", "--images 8"),
    ("knn", "--rounds 3", "--train 500 --test 50 --rounds 1"),
    ("linear", "--rounds 3", "--batch_size 1 --rounds 1"),
    ("frameworks", "", "--rounds 1"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    options = parser.parse_args()
    here, outcomes = Path(__file__).parent, []
    limit = LIMIT if options.device == "cuda" else None
    with ExitStack() as opened:
        environment = dict(os.environ)
        if options.device == "cpu":
            environment["BENCHMARK_RESULTS"] = opened.enter_context(tempfile.TemporaryDirectory())
        for name, on_gpu, on_cpu in BENCHMARKS:
            arguments = on_gpu if options.device == "cuda" else on_cpu
            script = str(here / f"{name}.py")
            command = [sys.executable, script, "--device", options.device, *arguments.split()]
            print(f"\n==== {name} {arguments}", flush=True)
            start = time.perf_counter()
            try:
                status = subprocess.run(command, env=environment, timeout=limit).returncode
                outcome = f"exit status {status}" if status else "done"
            except subprocess.TimeoutExpired:
                outcome = "not done in time"
            outcomes.append((f"{name} {arguments}", time.perf_counter() - start, outcome))
    print()
    for name, seconds, outcome in outcomes:
        print(f"{name:<50}{seconds:6.0f} s   {outcome}")
    raise SystemExit(any(outcome != "done" for *_, outcome in outcomes))


if __name__ == "__main__":
    main()
