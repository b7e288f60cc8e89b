"""`transfer`: linear, knn, svm, finetune, detect, segment, table, doctor, sample-voc.

Torch is imported only after a command line was understood, so that `--help` and a misspelt key answer at once.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pretext.runtime.command_line import Command, Launchable, parse_config, run_command
from transfer.config import DownstreamTest
from transfer.downstream import DOWNSTREAM_TESTS, outside_test, run_outside_test


def command_of(
    name: str, test: DownstreamTest, run_test: Callable[[DownstreamTest, Any], None] | None = None
) -> Command:
    """The command `transfer NAME` that runs a downstream test, by `run_test` or by its own function alone."""

    def parse(argv: Sequence[str]) -> Any:
        return parse_config(f"transfer {name}", test.config, argv)

    def run(argv: Sequence[str]) -> None:
        config = parse(argv)
        if test.framework is not None:
            from transfer.frameworks import require_framework

            require_framework(test.framework)
        if run_test is None:
            test.function()(config)
        else:
            run_test(test, config)

    return Command(run, test.help, Launchable(parse=parse, folder="out", progress=test.saved))


def outside_command(name: str) -> Command:
    """The command that runs a user's own downstream test, `module:Name`.

    Raises:
        ValueError: there is none of that name.
    """
    return command_of(name, outside_test(name), run_outside_test)


def table(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="transfer table",
        description="One table of all results, with mean and deviation over seeds, beside the published numbers: "
        "Markdown, LaTeX and a page with a plot of accuracy by stage.",
    )
    parser.add_argument(
        "results",
        metavar="RESULTS",
        nargs="+",
        type=Path,
        help="--out folders of transfer commands, or above them",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the tables")
    options = parser.parse_args(argv)
    from transfer.table.make import make_table

    make_table(options.results, options.out)


def doctor(argv: Sequence[str]) -> None:
    argparse.ArgumentParser(
        prog="transfer doctor",
        description="Say whether Detectron2 (detect) and mmsegmentation (segment) can be used here, in which versions, "
        "and what to type where they cannot.",
    ).parse_args(argv)
    from transfer.frameworks import doctor

    doctor()


def sample_voc(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="transfer sample-voc",
        description="Write a small data set in PASCAL VOC's layout, with boxes and masks, made of the bundled "
        "photographs: splits train and val, to try detection and segmentation on.",
    )
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a new folder")
    options = parser.parse_args(argv)
    from transfer.data.sample_voc import write_sample_voc

    write_sample_voc(options.folder)
    print(f"the splits voc:{options.folder}:train and voc:{options.folder}:val")


COMMANDS = {
    **{name: command_of(name, test) for name, test in DOWNSTREAM_TESTS.items()},
    "table": Command(table, "all results in one table, beside the published numbers"),
    "doctor": Command(doctor, "whether Detectron2 and mmsegmentation can be used here"),
    "sample-voc": Command(
        sample_voc, "write a small data set with boxes and masks, of the bundled photographs"
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, by default this process's, and return the exit status."""
    return run_command("transfer", COMMANDS, argv, outside_command)


if __name__ == "__main__":
    sys.exit(main())
