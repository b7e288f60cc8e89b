"""`eval_colorization`: report, turing-export, turing-serve, turing-score.

Torch is imported only after a command line was understood, so that `--help` and a misspelt key answer at once.
"""

import sys
from collections.abc import Sequence

from eval_colorization.config import ReportConfig, TuringConfig, TuringScoreConfig, TuringServeConfig
from pretext.console import run_command
from pretext.runtime.command_line import Command

COMMANDS = {
    "report": Command(
        config=ReportConfig,
        run="eval_colorization.evaluation:make_report",
        help="measure and show how good the colours of methods are",
        page="docs/compare.md",
        words="model",
        folder="out",
        saved="parts/*.npz",
    ),
    "turing-export": Command(
        config=TuringConfig,
        run="eval_colorization.turing.export:export_test",
        help="make a visual Turing test: a folder to send, or to serve",
        page="docs/turing.md",
    ),
    "turing-serve": Command(
        config=TuringServeConfig,
        run="eval_colorization.turing.serve:serve",
        help="put such a test to people by links",
        page="docs/turing.md",
        words="folder",
    ),
    "turing-score": Command(
        config=TuringScoreConfig,
        run="eval_colorization.turing.score:score",
        help="fooling rates from people's answers",
        page="docs/turing.md",
        words="answers",
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, by default this process's, and return the exit status."""
    return run_command("eval_colorization", COMMANDS, argv)


if __name__ == "__main__":
    sys.exit(main())
