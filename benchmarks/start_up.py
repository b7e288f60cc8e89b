"""How long a command line waits for its help, and a training for its first step.

    python benchmarks/start_up.py [--device cuda]

The peer is what every answer waits for at least: starting Python and importing torch, which help does not need. The
training is eccv16 on the bundled photographs, at the published size on a GPU and in half width with 4 crops of 64 px on
a CPU, with two processes that read images.
"""

import argparse
import itertools
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Target, interleaved_medians, report

from pretext.runtime.metrics_log import read_metrics

SMALL = "--network.width 0.5 --batch_size 4 --data.crop_size 64"


def process(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def train_one_step(run_dir: Path, device: str) -> None:
    """From the command until the first step is logged."""
    command = [
        *(sys.executable, "-m", "pretext", "train", "--data.train", "sample", "--data.validation", "sample"),
        *("--data.num_workers", "2", "--precision", "auto", "--log_every", "1", "--steps", "1000000"),
        *("--run_dir", str(run_dir), "--device", device, *(SMALL.split() if device == "cpu" else ())),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as training:
        while not read_metrics(run_dir / "metrics.jsonl"):
            assert training.poll() is None, "the training has failed"
            time.sleep(0.01)
        training.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    first, torch = "pretext train: to its first step", "python -c 'import torch'"
    with tempfile.TemporaryDirectory() as name:
        numbers = itertools.count()
        seconds = interleaved_medians(
            {
                "pretext --help": lambda: process("-m", "pretext", "--help"),
                "pretext train --help": lambda: process("-m", "pretext", "train", "--help"),
                torch: lambda: process("-c", "import torch"),
                first: lambda: train_one_step(Path(name) / str(next(numbers)), options.device),
            },
            rounds=options.rounds,
        )
    report(
        "start_up",
        "whole processes",
        seconds,
        [
            Target("pretext --help, seconds", seconds["pretext --help"], 1.0, at_least=False),
            Target("pretext train --help, seconds", seconds["pretext train --help"], 1.0, at_least=False),
            Target(
                "first step after import torch, seconds", seconds[first] - seconds[torch], 5.0, at_least=False
            ),
        ],
        device=options.device,
    )


if __name__ == "__main__":
    main()
