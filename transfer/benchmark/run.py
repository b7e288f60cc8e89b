"""`transfer benchmark`: train -> test -> table, each of them a command of its own that can be given alone."""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pretext.__main__ import COMMANDS as PRETEXT
from pretext.outside import is_outside
from pretext.runtime.command_line import Command
from pretext.runtime.whole_file import make_folder, write_whole
from pretext.spelling import unknown_name
from pretext.training import check
from transfer.__main__ import command_of, outside_command
from transfer.benchmark.config import BenchmarkConfig
from transfer.config import TableConfig
from transfer.downstream import DOWNSTREAM_TESTS
from transfer.results import FILE
from transfer.table.make import make_table


@dataclass(frozen=True, kw_only=True)
class Step:
    """One command of a benchmark.

    Attributes:
        file: its configuration, as it can be given to the command alone.
        words: the command.
        config: what the file says.
        results: the file that it makes at its end; None of a training, which finds out itself that it is at its end.
    """

    file: Path
    words: str
    command: Command
    config: Any
    results: Path | None


def run(config: BenchmarkConfig) -> None:
    """Do all that is not done, run by run, and make the table of what there is.

    Raises:
        ValueError: the configuration names an unknown task, network, test or key; nothing was trained then.
        RunFailedError: a training or a test failed.
        StoppedError: a signal came; what was at work has saved its progress.
    """
    steps = plan(config)
    for number, step in enumerate(steps, start=1):
        print(f"{number}/{len(steps)}  {step.words} {step.file}", flush=True)
        if step.results is None or not step.results.exists():
            step.command(step.config)
    out = Path(config.out)
    with _only_one(out / "table.lock"):
        make_table(TableConfig(results=[out], out=out / "table"))


def parts(config: BenchmarkConfig) -> dict[str, dict[str, str]]:
    """The jobs of an array that do together what `run` does: name -> flags of each; raises ValueError as `run`.

    Each makes the table anew when it ends, so that of the last one has everything.
    """
    plan(config)
    return {
        f"{name}_{seed}": {"runs": json.dumps({name: keys}), "seeds": json.dumps([seed])}
        for seed in config.seeds
        for name, keys in config.runs.items()
    }


def plan(config: BenchmarkConfig) -> list[Step]:
    """The commands in their order, each with its configuration written to a file.

    Raises:
        ValueError: the configuration names an unknown task, network, test or key.
    """
    if not config.seeds or not config.runs or not config.tests:
        raise ValueError("a benchmark needs seeds, runs and tests; give at least one of each")
    for name in (*config.runs, *config.tests):
        if not name.isidentifier():
            raise ValueError(
                f"{name!r} names folders of a benchmark; give it letters, digits and underscores"
            )
    return [
        step
        for seed in config.seeds
        for name, keys in config.runs.items()
        for step in _steps(config, name, keys, seed)
    ]


def _steps(config: BenchmarkConfig, name: str, keys: Mapping[str, Any], seed: int) -> Iterator[Step]:
    """The training of a run, if there is one, and all tests."""
    folder = Path(config.out, f"{name}_{seed}")
    if "backbone" in keys:
        if len(keys) > 1:
            others = ", ".join(key for key in keys if key != "backbone")
            raise ValueError(f"run {name} has a backbone, which is not trained, and {others}; leave one out")
        backbone = {"name": name, **keys["backbone"]}
    else:
        training = folder / "training"
        whole = _merged(config.train, keys) | {"seed": seed, "run_dir": str(training)}
        step = _step(training, f"run {name}", "pretext train", PRETEXT["train"], whole)
        try:
            check(step.config)
        except ValueError as error:
            raise ValueError(f"run {name}: {error}") from error
        yield step
        backbone = {"model": str(training), "name": name}
    for test, test_keys in config.tests.items():
        if "test" not in test_keys:
            raise ValueError(f"test {test} does not say which it is; give test: linear, knn, ...")
        command, out = _command(test_keys["test"]), folder / "tests" / test
        whole = {key: value for key, value in test_keys.items() if key != "test"}
        whole |= {"backbone": backbone, "seed": seed, "out": str(out)}
        yield _step(out, f"test {test}", f"transfer {test_keys['test']}", command, whole, out / FILE)


def _step(
    folder: Path,
    what: str,
    words: str,
    command: Command,
    keys: Mapping[str, Any],
    results: Path | None = None,
) -> Step:
    """Write the configuration beside the folder, and read it as the command does."""
    file = folder.with_suffix(".yaml")
    make_folder(file.parent)
    write_whole(file, yaml.safe_dump(dict(keys), sort_keys=False))
    try:
        config = command.parse([str(file)], words)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    for key in ("train", "validation", "test"):
        address = getattr(getattr(config, "data", None), key, None) or "sample"
        is_folder = address != "sample" and ":" not in address and ".tar" not in address
        if (
            is_folder and not Path(address).expanduser().is_dir()
        ):  # which it would find out when its turn comes
            raise ValueError(f"{what}: data.{key}: there is no folder {address}")
    return Step(file=file, words=words, command=command, config=config, results=results)


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    """Let other jobs wait that would do the same, on a file system with locks."""
    with path.open("w") as file:
        with suppress(OSError):
            fcntl.lockf(file, fcntl.LOCK_EX)
        yield


def _command(test: str) -> Command:
    if test in DOWNSTREAM_TESTS:
        return command_of(DOWNSTREAM_TESTS[test], DOWNSTREAM_TESTS[test].run)
    if is_outside(test):
        return outside_command(test)
    raise ValueError(f"{unknown_name('downstream test', test, DOWNSTREAM_TESTS)}, or module:Name of your own")


def _merged(common: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Both, those of `own` winning, key by key in nested ones."""
    merged = dict(common)
    for key, value in own.items():
        both_nest = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = _merged(merged[key], value) if both_nest else value
    return merged
