"""`pretext`: train, prior, colorize, export.

Torch is imported only after a command line was understood, so that `--help` and a misspelt key answer at once.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from pretext.config import DEFAULT_WEIGHTS, Decoding, TrainConfig
from pretext.runtime.command_line import Command, Launchable, parse_config, run_command


def parse_train(argv: Sequence[str]) -> TrainConfig:
    return parse_config("pretext train", TrainConfig, argv)


def train(argv: Sequence[str]) -> None:
    config = parse_train(argv)
    from pretext.training import train

    train(config)


def prior(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="pretext prior",
        description="Measure the colours of a data set: ab bins, their prior, and a picture of it.",
    )
    parser.add_argument(
        "data", metavar="DATA", help="as data.train of a configuration: a folder, shards, sample, ..."
    )
    parser.add_argument(
        "--out", type=Path, required=True, help="the file to write, for objective.bins; .json"
    )
    parser.add_argument(
        "--kmeans",
        type=int,
        metavar="K",
        help="fit K bins to the data's colours instead of the 313 published ones",
    )
    parser.add_argument("--neighbours", type=int, default=5, help="bins that share a pixel (default: 5)")
    parser.add_argument(
        "--sigma", type=float, default=5.0, help="of the Gaussian that smooths, ab units (default: 5)"
    )
    parser.add_argument(
        "--image_size", type=int, default=256, help="side of the central squares read (default: 256)"
    )
    parser.add_argument("--num_workers", type=int, default=4, help="processes that read images (default: 4)")
    parser.add_argument("--seed", type=int, default=0, help="of the k-means (default: 0)")
    options = parser.parse_args(argv)
    from pretext.prior import measure_prior

    measure_prior(**vars(options))


def colorize(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="pretext colorize", description="Colorize images at full resolution, their lightness kept."
    )
    parser.add_argument("images", metavar="IMAGES", nargs="+", type=Path, help="files or folders")
    parser.add_argument("--out", type=Path, required=True, help="folder for the colorized images")
    parser.add_argument(
        "--weights",
        metavar="RUN_OR_WEIGHTS",
        default=DEFAULT_WEIGHTS,
        help="shipped network, run directory, checkpoint, .safetensors or published .pth (default: %(default)s)",
    )
    parser.add_argument("--decoding", choices=get_args(Decoding), help="(default: annealed_mean)")
    parser.add_argument(
        "--temperature", type=float, help="of the annealed mean (default: the run's, else 0.38)"
    )
    parser.add_argument("--top_k", type=int, help="bins of top_k_mean (default: 5)")
    parser.add_argument(
        "--size",
        type=int,
        help="pixels at which colours are predicted (default: the image_size of the training, else 256)",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="(default: auto)")
    options = parser.parse_args(argv)
    from pretext.colorize_files import colorize_files

    colorize_files(**vars(options))


def export(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="pretext export",
        description="Write a run's weights as safetensors, with bins, prior and normalisation.",
    )
    parser.add_argument("model", metavar="RUN", help="run directory or checkpoint")
    parser.add_argument("--out", type=Path, help="the file to write (default: RUN/weights.safetensors)")
    parser.add_argument(
        "--precision",
        choices=("float32", "float16"),
        default="float32",
        help="of the numbers in the file (default: float32)",
    )
    parser.add_argument(
        "--card", type=Path, help="YAML file of what else its metadata shall say: data, licence, figures, ..."
    )
    options = parser.parse_args(argv)
    from pretext.export import export_weights

    export_weights(**vars(options))


COMMANDS = {
    "train": Command(
        train,
        "train a network to colorize, from a configuration file",
        Launchable(parse=parse_train, folder="run_dir", progress="checkpoints/last.pt"),
    ),
    "prior": Command(prior, "measure the colours of a data set: ab bins and their prior"),
    "colorize": Command(colorize, "colorize images with the shipped network, a run or published weights"),
    "export": Command(export, "write a run's weights as safetensors"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, by default this process's, and return the exit status."""
    return run_command("pretext", COMMANDS, argv)


if __name__ == "__main__":
    sys.exit(main())
