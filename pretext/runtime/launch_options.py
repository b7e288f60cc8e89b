"""The flags with which a command is sent to a cluster instead of being run here."""

import argparse
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

LAUNCH_HELP = """on a cluster:
  --cluster PROFILE       send this command to the cluster that a file of slurm/ describes
  --cluster.KEY VALUE     another value than the profile's, such as --cluster.nodes 2;
                          --cluster PROFILE --help explains each
  --dry-run               print the job script and the configuration, send nothing
  --wait                  follow the log to the end; the exit status is the job's
  --after JOB             begin when that job has ended well
  --sweep KEY=VALUES ...  one run for each combination: optim.lr=1e-5,3e-5 seed=0..4"""


@dataclass(frozen=True, kw_only=True)
class LaunchOptions:
    """How to send a command.

    Attributes:
        profile: command line of the profile, for `parse_config`.
        sweep: key -> values, as typed.
    """

    profile: list[str]
    dry_run: bool
    wait: bool
    after: str | None
    sweep: dict[str, list[str]]

    def combinations(self) -> list[dict[str, str]]:
        """key -> value of each run of the sweep."""
        return [
            dict(zip(self.sweep, values, strict=True)) for values in itertools.product(*self.sweep.values())
        ]


def wants_cluster(argv: Sequence[str]) -> bool:
    """Whether a command line has any of the launcher's flags."""
    return any(re.match(r"--(cluster|dry-run|wait|after|sweep)(=|\.|$)", word) for word in argv)


def split_launch_options(argv: Sequence[str]) -> tuple[list[str], LaunchOptions]:
    """The command line without the launcher's flags, and these.

    Raises:
        ValueError: a flag without its value, or a sweep that is none.
    """
    command, profile = [], []
    words = iter(argv)
    for word in words:
        key = re.match(r"--cluster\.([\w]+)(?:=(.*))?$", word)
        if key:
            value = key[2] if key[2] is not None else next(words, None)
            if value is None:
                raise ValueError(f"{word} needs a value")
            profile += [f"--{key[1]}", value]
        else:
            command.append(word)
    parser = argparse.ArgumentParser(exit_on_error=False, add_help=False, allow_abbrev=False)
    parser.add_argument("--cluster", type=Path)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--wait", action="store_true")
    parser.add_argument("--after")
    parser.add_argument("--sweep", nargs="+", action="extend", default=[])
    try:
        options, command = parser.parse_known_args(command)
    except argparse.ArgumentError as error:
        raise ValueError(str(error)) from error
    if options.cluster is None:
        raise ValueError(
            "--cluster.KEY, --dry-run, --wait, --after and --sweep need --cluster PROFILE beside them"
        )
    if "--help" in command:
        profile.append("--help")
    sweep: dict[str, list[str]] = {}
    for text in options.sweep:
        name, values = parse_sweep(text)
        if name in sweep:
            raise ValueError(f"--sweep has {name} twice; give all its values at once: {name}=VALUE,VALUE,...")
        sweep[name] = values
    return command, LaunchOptions(
        profile=[str(options.cluster), *profile],
        dry_run=options.dry_run,
        wait=options.wait,
        after=options.after,
        sweep=sweep,
    )


def parse_sweep(text: str) -> tuple[str, list[str]]:
    """`optim.lr=1e-5,3e-5` or `seed=0..4` as key and values.

    Raises:
        ValueError: neither.
    """
    key, equals, values = text.partition("=")
    span = re.fullmatch(r"(-?\d+)\.\.(-?\d+)", values)
    found = [str(n) for n in range(int(span[1]), int(span[2]) + 1)] if span else values.split(",")
    if not (key and equals and found and all(found)):
        raise ValueError(f"a sweep is KEY=VALUE,VALUE,... or KEY=FIRST..LAST, not {text!r}")
    if len(set(found)) < len(found):
        raise ValueError(f"a sweep has a run for each value, but one of {text!r} comes twice")
    return key, found
