"""`eval_colorization`: report, turing-export, turing-serve, turing-score.

Torch is imported only after a command line was understood, so that `--help` and a misspelt key answer at once.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from eval_colorization.config import ReportConfig, TuringConfig
from pretext.runtime.command_line import Command, Launchable, parse_config, run_command


def parse_report(argv: Sequence[str]) -> ReportConfig:
    argv = list(argv)
    if argv and not argv[0].startswith("-") and Path(argv[0]).suffix not in (".yaml", ".yml"):
        model = argv.pop(0)
        argv = ["--model", model, "--out", f"reports/{Path(model).resolve().name}", *argv]
    return parse_config("eval_colorization report", ReportConfig, argv, "CONFIG | RUN_OR_WEIGHTS --data DATA")


def report(argv: Sequence[str]) -> None:
    config = parse_report(argv)
    from eval_colorization.evaluation import make_report

    make_report(config)


def turing_export(argv: Sequence[str]) -> None:
    config = parse_config("eval_colorization turing-export", TuringConfig, argv)
    from eval_colorization.turing.paint import export_test

    export_test(config)


def turing_serve(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="eval_colorization turing-serve",
        description="Put a test of turing-export to people by links; answers are stored as they come.",
    )
    parser.add_argument("folder", metavar="TEST", type=Path, help="folder of turing-export")
    parser.add_argument(
        "--database", type=Path, help="SQLite file of the answers (default: TEST/answers.sqlite)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: this machine only)"
    )
    parser.add_argument("--port", type=int, default=8000, help="(default: 8000)")
    parser.add_argument("--invitations", type=int, default=0, help="links to make now (default: 0)")
    parser.add_argument(
        "--admin_token", help="for the page with the counts (default: made once, kept in the database)"
    )
    options = parser.parse_args(argv)
    from eval_colorization.turing.serve import serve

    serve(**vars(options))


def turing_score(argv: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="eval_colorization turing-score",
        description="Fooling rates with intervals, from result files, the server's database or crowd answers.",
    )
    parser.add_argument(
        "answers", metavar="ANSWERS", nargs="+", type=Path, help="result files, folders, .sqlite or .csv"
    )
    parser.add_argument("--key", type=Path, required=True, help="key.json of the test")
    parser.add_argument("--out", type=Path, required=True, help="folder for scores, trials and figures")
    parser.add_argument(
        "--min_vigilance",
        type=float,
        default=0.75,
        help="share of vigilance trials that a participant must get right to count (default: 0.75)",
    )
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    options = vars(parser.parse_args(argv))
    from eval_colorization.turing.score import score

    score(options.pop("answers"), options.pop("key"), options.pop("out"), **options)


COMMANDS = {
    "report": Command(
        report,
        "measure and show how good the colours of methods are",
        Launchable(parse=parse_report, folder="out", progress="parts/*.npz"),
    ),
    "turing-export": Command(turing_export, "make a visual Turing test: a folder to send, or to serve"),
    "turing-serve": Command(turing_serve, "put such a test to people by links"),
    "turing-score": Command(turing_score, "fooling rates from people's answers"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, by default this process's, and return the exit status."""
    return run_command("eval_colorization", COMMANDS, argv)


if __name__ == "__main__":
    sys.exit(main())
