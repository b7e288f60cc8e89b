"""How long a command line waits for its help.  Run: python benchmarks/start_up.py

The peer is what every answer waits for at least: starting Python and importing torch, which help does not need.
"""

import subprocess
import sys

from measure import Target, interleaved_medians, report


def process(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def main() -> None:
    seconds = interleaved_medians(
        {
            "pretext --help": lambda: process("-m", "pretext", "--help"),
            "pretext train --help": lambda: process("-m", "pretext", "train", "--help"),
            "python -c 'import torch'": lambda: process("-c", "import torch"),
        },
        rounds=7,
    )
    report(
        "start_up",
        "whole processes",
        seconds,
        [
            Target("pretext --help, seconds", seconds["pretext --help"], 1.0, at_least=False),
            Target("pretext train --help, seconds", seconds["pretext train --help"], 1.0, at_least=False),
        ],
    )


if __name__ == "__main__":
    main()
