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

# benchmark -> its arguments in small, on a CPU; on a GPU those behind it
BENCHMARKS: dict[str, tuple[str, str]] = {
    "parity": ("", ""),
    "objective": ("--batch_size 4", ""),
    "lab": ("--batch_size 4", ""),
    "training_step": ("--batch_size 2", "--batch_size 40"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    options = parser.parse_args()
    here, outcomes = Path(__file__).parent, []
    with ExitStack() as opened:
        environment = dict(os.environ)
        if options.device == "cpu":
            environment["BENCHMARK_RESULTS"] = opened.enter_context(tempfile.TemporaryDirectory())
        for name, (small, full) in BENCHMARKS.items():
            arguments = (small if options.device == "cpu" else full).split()
            command = [sys.executable, str(here / f"{name}.py"), "--device", options.device, *arguments]
            print(f"\n==== {name} {' '.join(arguments)}", flush=True)
            start = time.perf_counter()
            status = subprocess.run(command, env=environment).returncode
            seconds = time.perf_counter() - start
            outcomes.append((name, status, seconds))
    print()
    for name, status, seconds in outcomes:
        print(f"{name:<16}{seconds:6.0f} s  {'' if status == 0 else f'failed with exit status {status}'}")
    raise SystemExit(any(status for _, status, _ in outcomes))


if __name__ == "__main__":
    main()
