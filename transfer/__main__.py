"""`transfer`: linear, knn, svm, finetune, detect, segment, geometry, a downstream test of your own, and what is beside.

Torch is imported only after a command line was understood, so that `--help` and a misspelt key answer at once.
"""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from pretext.console import run_command
from pretext.outside import import_outside
from pretext.runtime.command_line import Command
from transfer.benchmark.config import BenchmarkConfig
from transfer.config import DoctorConfig, DownstreamTest, ProtocolsConfig, SampleVocConfig, TableConfig
from transfer.downstream import DOWNSTREAM_TESTS, run_outside_test
from transfer.features.config import FeaturesConfig
from transfer.pictures.config import PicturesConfig
from transfer.prediction.config import PredictConfig


def command_of(test: DownstreamTest, run: Callable[[Any], Any] | str) -> Command:
    """The command that runs a downstream test, by `run`."""
    return Command(
        config=test.config, run=run, help=test.help, page="docs/features.md", folder="out", saved=test.saved
    )


def outside_command(address: str) -> Command:
    """The command that runs a user's own downstream test, `module:Name`.

    Raises:
        ValueError: there is none.
    """
    test = import_outside(address, "downstream test")
    if not isinstance(test, DownstreamTest):
        raise ValueError(
            f"downstream test {address} is a {type(test).__name__}, expected a transfer.DownstreamTest"
        )
    return command_of(test, partial(run_outside_test, test))


def sample_voc(config: SampleVocConfig) -> None:
    """Write the small data set and print how to name its splits."""
    from transfer.data.sample_voc import write_sample_voc

    write_sample_voc(config.folder)
    print(f"the splits voc:{config.folder}:train and voc:{config.folder}:val")


COMMANDS = {
    **{name: command_of(test, test.run) for name, test in DOWNSTREAM_TESTS.items()},
    "benchmark": Command(
        config=BenchmarkConfig,
        run="transfer.benchmark.run:run",
        help="train networks on several tasks, test them all, and put the results into one table",
        page="docs/benchmark.md",
        folder="out",
        saved="t*/**/*",  # of training/ and tests/ in the folder of a run
        parts="transfer.benchmark.run:parts",
    ),
    "table": Command(
        config=TableConfig,
        run="transfer.table.make:make_table",
        help="all results in one table, beside the published numbers",
        page="docs/features.md",
        words="results",
    ),
    "predict": Command(
        config=PredictConfig,
        run="transfer.prediction.run:run",
        help="the classes that a trained linear probe sees in images",
        page="docs/features.md",
        words="results",
    ),
    "features": Command(
        config=FeaturesConfig,
        run="transfer.features.run:run",
        help="features as NumPy arrays, for tools of your own, knn and svm",
        page="docs/features.md",
        folder="out",
        saved="*.json",
    ),
    "pictures": Command(
        config=PicturesConfig,
        run="transfer.pictures.run:run",
        help="one page to look at networks: filters, maps, nearest neighbours, all images in a plane",
        page="docs/features.md",
        folder="out",
        saved="index.html",
    ),
    "protocols": Command(
        config=ProtocolsConfig,
        run="transfer.protocols:print_protocols",
        help="list the published protocols: whose they are, how they train, where they differ",
        page="docs/protocols.md",
        words="tests",
    ),
    "doctor": Command(
        config=DoctorConfig,
        run="transfer.frameworks:doctor",
        help="whether Detectron2 and mmsegmentation can be used here",
        page="docs/features.md",
    ),
    "sample-voc": Command(
        config=SampleVocConfig,
        run=sample_voc,
        help="write a small data set with boxes and masks, of the bundled photographs",
        page="docs/features.md",
        words="folder",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, by default this process's, and return the exit status."""
    return run_command("transfer", COMMANDS, argv, outside_command)


if __name__ == "__main__":
    sys.exit(main())
