"""Shell completion of every command and key, as a script that the shell reads once."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args, get_origin

import shtab

from pretext.cluster.profile import LAUNCH_FLAGS
from pretext.runtime.command_line import Command, key_types
from pretext.spelling import unknown_name


def completion_script(prog: str, commands: Mapping[str, Command], shell: str) -> str:
    """What `shell` reads to complete the command lines of `prog`.

    Raises:
        ValueError: there is no completion for such a shell.
    """
    if shell not in shtab.SUPPORTED_SHELLS:
        raise ValueError(unknown_name("shell", shell, shtab.SUPPORTED_SHELLS))
    parser = argparse.ArgumentParser(prog=prog)
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--completion", choices=shtab.SUPPORTED_SHELLS)
    names = parser.add_subparsers()
    for name, command in commands.items():
        of = names.add_parser(name, help=command.help)
        _takes_files(of.add_argument("words", nargs="*"))
        for key, hint in key_types(command.config).items():
            options = (hint, *get_args(hint))
            choices = [
                str(word)
                for of_type in options
                if get_origin(of_type) is Literal
                for word in get_args(of_type)
            ]
            option = of.add_argument(f"--{key}", choices=choices or None)
            if not choices and {str, Path, list[Path], list[str]} & set(options):
                _takes_files(option)
        for flag, has_value in LAUNCH_FLAGS.items() if command.folder else ():
            if has_value:
                _takes_files(of.add_argument(flag))
            else:
                of.add_argument(flag, action="store_true")
    return str(shtab.complete(parser, shell))


def _takes_files(option: argparse.Action) -> None:
    option.complete = shtab.FILE  # type: ignore[attr-defined]  # shtab's way
