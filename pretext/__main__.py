"""`pretext`: train, prior, colorize, export, weights.

Torch is imported only after a command line was understood, so that `--help` and a misspelt key answer at once.
"""

import sys
from collections.abc import Sequence

from pretext.config import ColorizeConfig, ExportConfig, PriorConfig, TrainConfig, WeightsConfig
from pretext.console import run_command
from pretext.runtime.command_line import Command

COMMANDS = {
    "train": Command(
        config=TrainConfig,
        run="pretext.training:run",
        help="train a network without labels, from a configuration file",
        page="docs/train.md",
        folder="run_dir",
        saved="checkpoints/last.pt",
    ),
    "prior": Command(
        config=PriorConfig,
        run="pretext.prior:measure_prior",
        help="measure the colours of a data set: ab bins and their prior",
        page="docs/train.md",
        words="data",
    ),
    "colorize": Command(
        config=ColorizeConfig,
        run="pretext.colorize_files:colorize_files",
        help="colorize images with the shipped network, a run or published weights",
        page="docs/colorize.md",
        words="images",
    ),
    "export": Command(
        config=ExportConfig,
        run="pretext.export:export_weights",
        help="write a trained network for others: weights, a folder for timm and the Hub, ONNX, a program of PyTorch",
        page="docs/export.md",
        words="model",
    ),
    "weights": Command(
        config=WeightsConfig,
        run="pretext.describe_weights:describe_weights",
        help="list the trained networks that there are, or say what is in a file of one",
        page="docs/colorize.md",
        words="models",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, by default this process's, and return the exit status."""
    return run_command("pretext", COMMANDS, argv)


if __name__ == "__main__":
    sys.exit(main())
