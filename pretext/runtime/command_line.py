"""The console scripts' outer shell: typed configs from YAML and flags, one-line errors, exit statuses.

Exit statuses: 0 done; 2 the user's input is wrong; 1 the work itself failed; 130 and 143 stopped by Ctrl-C or
SIGTERM.
"""

import argparse
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from jsonargparse import ArgumentError, ArgumentParser

from pretext.outside import is_outside
from pretext.runtime.launch_options import LAUNCH_HELP, wants_cluster
from pretext.spelling import did_you_mean, unknown_name

Config = TypeVar("Config")

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2


class RunFailedError(RuntimeError):
    """The input was fine but the work could not be finished; the message is for the user."""


class StoppedError(RuntimeError):
    """A signal stopped the work after everything was saved; the message says how to resume."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_status = 128 + signal_number

    @classmethod
    def after_step(cls, step: int, num_steps: int, saved_in: Path, signal_number: int) -> "StoppedError":
        """A training was stopped after `step` of its steps by the signal `signal_number`."""
        name = signal.Signals(signal_number).name
        return cls(
            f"stopped by {name} after step {step} of {num_steps}, saved in {saved_in}; "
            f"the same command resumes: {shlex.join(sys.argv)}",
            signal_number,
        )


@dataclass(frozen=True, kw_only=True)
class Launchable:
    """What the launcher must know of a command that can run on a cluster.

    Attributes:
        parse: command line -> configuration.
        folder: the configuration's key that names the folder which the command writes and goes on from.
        progress: pattern of the files in there that hold what was saved.
    """

    parse: Callable[[Sequence[str]], Any]
    folder: str
    progress: str


class Command(NamedTuple):
    """A sub-command: a function of the rest of the command line, and one line of help."""

    run: Callable[[Sequence[str]], None]
    help: str
    launchable: Launchable | None = None


def run_command(
    prog: str,
    commands: Mapping[str, Command],
    argv: Sequence[str] | None = None,
    from_outside: Callable[[str], Command] | None = None,
) -> int:
    """Run the sub-command that `argv` names and return the exit status.

    Args:
        prog: name of the console script.
        commands: by name.
        argv: the command line without the program's name; `sys.argv[1:]` by default.
        from_outside: makes a command of a user's own `module:Name`.

    With the environment variable TRACEBACK=1 an error keeps its traceback.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    width = max(len(name) for name in commands)
    listing = "\n".join(f"  {name:<{width}}  {command.help}" for name, command in commands.items())
    launchable = [name for name, command in commands.items() if command.launchable]
    if launchable:
        listing += f"\n\n{', '.join(launchable)} {LAUNCH_HELP}"
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=f"{prog} COMMAND ...",
        description=f"commands:\n{listing}\n\n'{prog} COMMAND --help' explains each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", metavar="COMMAND", help=argparse.SUPPRESS)
    name = parser.parse_args(argv[:1]).command
    outside = from_outside is not None and is_outside(name)
    if name not in commands and not outside:
        own = ", or module:Name of your own" if from_outside else ""
        parser.error(unknown_name("command", name, commands) + own)
    before, sys.argv = sys.argv, [prog, *argv]  # what environment.json and messages call the command
    try:
        if from_outside is not None and outside:
            commands = {**commands, name: from_outside(name)}
        if wants_cluster(argv[1:]):
            from pretext.runtime.launch import launch  # submitit is needed only here

            launch(prog, name, commands, argv[1:])
        else:
            commands[name].run(argv[1:])
    except StoppedError as stopped:
        print(f"{prog} {name}: {stopped}", file=sys.stderr)
        return stopped.exit_status
    except (ValueError, OSError, RunFailedError) as error:
        if os.environ.get("TRACEBACK"):
            raise
        print(f"{prog} {name}: error: {error}", file=sys.stderr)
        return EXIT_BAD_INPUT if isinstance(error, (ValueError, FileNotFoundError)) else EXIT_FAILED
    except KeyboardInterrupt:
        print(f"{prog} {name}: interrupted", file=sys.stderr)
        return 130
    finally:
        sys.argv = before
    return 0


def parse_config(
    prog: str, config_class: type[Config], argv: Sequence[str], target: str = "CONFIG"
) -> Config:
    """Read `CONFIG [--key value ...]` into `config_class`, a dataclass of dataclasses; flags win over the YAML file.

    `target` is what the help calls the first argument.

    Raises:
        ValueError: an unknown key (the nearest valid one is named), a wrong type, a missing value or file.
    """
    parser = ArgumentParser(
        prog=prog,
        usage=f"{prog} {target} [--key value ...]",
        description=(config_class.__doc__ or "").partition("Args:")[0].strip(),
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="the YAML file CONFIG")
    parser.add_class_arguments(config_class)
    argv = list(argv)
    if argv and not argv[0].startswith("-"):
        if not Path(argv[0]).is_file():
            raise ValueError(f"there is no configuration file {argv[0]!r}")
        argv[:1] = ["--config", argv[0]]
    try:
        namespace = parser.parse_args(argv)
    except ArgumentError as error:
        keys = [action.dest for action in parser._actions]
        raise ValueError(_one_line(str(error), keys)) from error
    namespace.pop("config", None)
    return config_class(**vars(parser.instantiate(namespace)))


def _one_line(message: str, keys: Sequence[str]) -> str:
    """jsonargparse's message on one line, with the nearest valid key where an unknown one is the matter."""
    message = re.sub(r"\s+", " ", message).strip()
    unknown_flag = re.search(r"unrecognized arguments: --([\w.]+)", message)
    unknown_key = re.search(r"Group '([\w.]+)' does not accept option '([\w.]+)'", message)
    unknown_top_key = re.match(r"Option '([\w.]+)' is not accepted", message)
    unknown_choice = re.search(
        r'key "([\w.]+)": Expected a typing\.Literal\[(.+)\]\. Got value: (.+)', message
    )
    if unknown_flag:
        key = unknown_flag[1]
    elif unknown_key:
        key = f"{unknown_key[1]}.{unknown_key[2]}"
    elif unknown_top_key:
        key = unknown_top_key[1]
    elif unknown_choice:
        key, choices, value = unknown_choice.groups()
        return unknown_name(key, value, re.findall("'(.*?)'", choices))
    else:
        return message
    return f"unknown configuration key {key!r}{did_you_mean(key, keys)}; --help lists every key"
