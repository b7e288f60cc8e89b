"""Command lines: typed configurations from YAML and flags, and the errors that end a command in one line."""

import re
import shlex
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import yaml

from pretext.outside import function_at
from pretext.spelling import did_you_mean, unknown_name

Config = TypeVar("Config")


class RunFailedError(RuntimeError):
    """The input was fine but the work could not be finished; the message is for the user."""


class StoppedError(RuntimeError):
    """A signal stopped the work after everything was saved; the message says how to resume."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.signal_number = signal_number
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
class Command:
    """A sub-command of a console script: a function of a configuration.

    Attributes:
        config: the dataclass that its command line is read into.
        run: the function, or `module:function`, imported after the command line was understood.
        help: one line.
        page: of the documentation, which explains it.
        words: the key that takes words without a flag, as in `colorize a.jpg b.jpg`; None takes a YAML file.
        folder: the key that names the folder which it writes and resumes; None for a quick command, which runs on this
            machine only.
        saved: pattern of the files in there that change when it saves its progress.
        parts: `module:function` that splits a configuration into the jobs of an array: name of a folder in `folder` ->
            flags that make the command line that of one job. None is one job.
    """

    config: type[Any]
    run: Callable[..., Any] | str
    help: str
    page: str = ""
    words: str | None = None
    folder: str | None = None
    saved: str = ""
    parts: str | None = None

    def parse(self, argv: Sequence[str], prog: str = "") -> Any:
        """The configuration that a command line gives; see `parse_config`."""
        return parse_config(prog, self.config, argv, self.words, self.page)

    def __call__(self, config: Any) -> None:
        """Do what the command does."""
        function_at(self.run)(config)


def parse_config(
    prog: str, config_class: type[Config], argv: Sequence[str], words_key: str | None = None, page: str = ""
) -> Config:
    """Read `[CONFIG] [--key value ...]` into `config_class`; flags win over the YAML file CONFIG.

    Args:
        prog: the command, for its help.
        config_class: a dataclass, maybe of dataclasses, whose docstrings explain their keys under `Args:`.
        argv: every flag has one value, in YAML; `--a.b value` sets the key b of a.
        words_key: the key that takes the words that are neither flags nor their values; then CONFIG ends in .yaml.
        page: of the documentation, which the help names.

    Raises:
        ValueError: an unknown key (the nearest valid one is named), a wrong type, a missing value or file.
        SystemExit: the help was asked for, and is printed.
    """
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(
        prog=prog,
        usage=f"{prog} {f'{words_key.upper()} ...' if words_key else 'CONFIG'} [--key value ...]",
        description=(config_class.__doc__ or "").partition("Args:")[0].strip(),
        epilog=page and f"Explained in {page}.",
        exit_on_error=False,
        allow_abbrev=False,
    )
    parser.add_argument("--config", action="config", help="the YAML file CONFIG")
    parser.add_class_arguments(config_class)
    types = key_types(config_class)
    for action in parser._actions:
        if types.get(action.dest) == list[Path]:
            action.metavar = None  # of the key, as for any other; jsonargparse's is half a line of syntax
    words, flags = _split(argv)
    given: dict[str, tuple[str, Any]] = {}  # key -> where it stands, and its value
    argv = [f"--{key}" if value is None else f"--{key}={value}" for key, value in flags]
    if words and (words_key is None or words[0].endswith((".yaml", ".yml"))):
        file = words.pop(0)
        given |= {key: (f"{file}: {key}", value) for key, value in flatten(read_yaml(Path(file))).items()}
        argv = ["--config", file, *argv]
    if words:
        several = words_key is not None and get_origin(types[words_key]) is list
        if words_key is None or (len(words) > 1 and not several):
            raise ValueError(
                f"unexpected {words[-1]!r}; a key is set by --KEY VALUE, and --help lists every key"
            )
        parser.set_defaults({words_key: words if several else words[0]})
    given |= {key.removesuffix("+"): (f"--{key}", value) for key, value in flags if value is not None}
    for key, (place, _) in given.items():
        # A group of keys, one of them, or one in a dictionary.
        if not any(f"{key}.".startswith(f"{known}.") or known.startswith(f"{key}.") for known in types):
            raise ValueError(
                f"{place}: unknown configuration key {key!r}{did_you_mean(key, types)}; --help lists every key"
            )
    try:
        namespace = parser.parse_args(argv)
    except ArgumentError as error:
        raise ValueError(_explanation(str(error), given, types)) from error
    namespace.pop("config", None)
    return config_class(**vars(parser.instantiate(namespace)))


def flatten(tree: Mapping[Any, Any], prefix: str = "") -> dict[str, Any]:
    """{"optim": {"lr": 1}} -> {"optim.lr": 1}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def key_types(config_class: type[Any], prefix: str = "") -> dict[str, Any]:
    """Full key -> its declared type, of all keys but those that are dataclasses."""
    hints = get_type_hints(config_class)
    types: dict[str, Any] = {}
    for field in fields(config_class):
        key, hint = prefix + field.name, hints[field.name]
        is_group = isinstance(hint, type) and is_dataclass(hint)
        types |= key_types(hint, f"{key}.") if is_group else {key: hint}
    return types


def _split(argv: Sequence[str]) -> tuple[list[str], list[tuple[str, str | None]]]:
    """The words that are neither flags nor their values, and the flags with their values, None for --help."""
    words: list[str] = []
    flags: list[tuple[str, str | None]] = []
    rest = iter(argv)
    for word in rest:
        key, equals, value = word.removeprefix("--").partition("=")
        if word in ("-h", "--help", "--print_config"):
            flags.append((key.replace("-h", "help"), None))
        elif not word.startswith("--"):
            words.append(word)
        elif equals or not (value := next(rest, "--")).startswith("--"):
            flags.append((key, value))
        else:
            raise ValueError(f"--{key} needs a value")
    return words, flags


def read_yaml(file: Path) -> dict[str, Any]:
    """The keys and values of a YAML file. Raises ValueError if it is not there or holds something else."""
    try:
        tree = yaml.safe_load(file.read_text())
    except FileNotFoundError:
        raise ValueError(f"there is no configuration file '{file}'") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"{file} is not a configuration: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise ValueError(f"{file} is not a configuration: expected keys with values")
    return tree


def _explanation(message: str, given: Mapping[str, tuple[str, Any]], types: Mapping[str, Any]) -> str:
    """jsonargparse's message on one line; of a wrong type, where it stands, what it is and what was expected."""
    message = " ".join(message.split())
    match = re.match(r'Parser key "([\w.]+)":', message)
    if match is None or match[1] not in given or match[1] not in types:
        return message
    (place, value), hint = given[match[1]], types[match[1]]
    options = [get_args(option) for option in (hint, *get_args(hint)) if get_origin(option) is Literal]
    if options:
        return f"{place}: {unknown_name(match[1], str(value), list(map(str, options[0])))}"
    kind = hint.__name__ if isinstance(hint, type) and not get_args(hint) else str(hint)
    return f"{place}: expected {kind.replace('None', 'null')}, got {value!r}"
