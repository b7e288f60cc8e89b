"""The console scripts: which command, here or on a cluster, one-line errors and exit statuses.

Exit statuses: 0 done; 2 the user's input is wrong; 1 the work itself failed; 130 and 143 stopped by Ctrl-C or
SIGTERM.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence

from pretext.cluster.profile import LAUNCH_HELP, wants_cluster
from pretext.outside import is_outside
from pretext.runtime.aligned import aligned
from pretext.runtime.command_line import Command, RunFailedError, StoppedError
from pretext.runtime.versions import package_version
from pretext.spelling import unknown_name

EXIT_FAILED = 1
EXIT_BAD_INPUT = 2


def run_command(
    prog: str,
    commands: Mapping[str, Command],
    argv: Sequence[str] | None = None,
    from_outside: Callable[[str], Command] | None = None,
) -> int:
    """Run the sub-command that `argv` names and return the exit status.

    Args:
        prog: name of the console script; `prog.__main__` has a function `main` that takes `argv`.
        commands: by name.
        argv: the command line without the program's name; `sys.argv[1:]` by default.
        from_outside: makes a command of a user's own `module:Name`.

    With the environment variable TRACEBACK=1 an error keeps its traceback.
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if not argv or argv[0] in ("-h", "--help"):
        print(_listing(prog, commands))
        return 0 if argv else EXIT_BAD_INPUT
    if argv == ["--version"]:
        print(f"{prog} {package_version('colorization-benchmark')}")
        return 0
    name, *words = argv
    before, sys.argv = sys.argv, [prog, *argv]  # what environment.json and messages call the command
    try:
        if name == "--completion":
            from pretext.completion import completion_script  # shtab is needed only here

            print(completion_script(prog, commands, " ".join(words)))
            return 0
        command = _find(name, commands, from_outside)
        if wants_cluster(words):
            from pretext.cluster.submit import launch  # submitit is needed only here

            launch(prog, name, command, words)
        else:
            command(command.parse(words, f"{prog} {name}"))
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


def _find(
    name: str, commands: Mapping[str, Command], from_outside: Callable[[str], Command] | None
) -> Command:
    if name in commands:
        return commands[name]
    if from_outside is not None and is_outside(name):
        return from_outside(name)
    own = ", or module:Name of your own" if from_outside else ""
    raise ValueError(unknown_name("command", name, commands) + own)


def _listing(prog: str, commands: Mapping[str, Command]) -> str:
    table = aligned([(f"  {name}", command.help) for name, command in commands.items()], num_names=2)
    launchable = ", ".join(name for name, command in commands.items() if command.folder)
    cluster = f"\n{launchable} {LAUNCH_HELP}\n" if launchable else ""
    return (
        f"usage: {prog} COMMAND ...\n       {prog} --version\n       {prog} --completion SHELL\n\n"
        f"commands:\n{table}\n{cluster}\n"
        f"'{prog} COMMAND --help' explains each."
    )
