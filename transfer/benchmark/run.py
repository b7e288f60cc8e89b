"""`transfer benchmark`: train -> test -> table, each of them a command of its own that can be given alone."""

from collections.abc import Mapping
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
    """Do all that is not done, and make the table.

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
    make_table(TableConfig(results=[config.out / "results"], out=config.out / "table"))


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
    trainings: list[Step] = []
    tests: list[Step] = []
    for seed in config.seeds:
        for name, keys in config.runs.items():
            backbone = _backbone(config, name, keys, seed, trainings)
            for test, test_keys in config.tests.items():
                tests.append(_test(config, test, test_keys, f"{name}_{seed}", backbone, seed))
    return [*trainings, *tests]


def _backbone(
    config: BenchmarkConfig, name: str, keys: Mapping[str, Any], seed: int, trainings: list[Step]
) -> dict[str, Any]:
    """What the tests call the network of a run; the training that makes it is added to `trainings`."""
    if "backbone" in keys:
        if len(keys) > 1:
            others = ", ".join(key for key in keys if key != "backbone")
            raise ValueError(f"run {name} has a backbone, which is not trained, and {others}; leave one out")
        return {"name": name, **keys["backbone"]}
    folder = config.out / "runs" / f"{name}_{seed}"
    whole = _merged(config.train, keys) | {"seed": seed, "run_dir": str(folder)}
    training = _step(
        config.out, f"train_{name}_{seed}", f"run {name}", "pretext train", PRETEXT["train"], whole
    )
    try:
        check(training.config)
    except ValueError as error:
        raise ValueError(f"run {name}: {error}") from error
    trainings.append(training)
    return {"model": str(folder), "name": name}


def _test(
    config: BenchmarkConfig,
    name: str,
    keys: Mapping[str, Any],
    run: str,
    backbone: Mapping[str, Any],
    seed: int,
) -> Step:
    if "test" not in keys:
        raise ValueError(f"test {name} does not say which it is; give test: linear, knn, ...")
    command = _command(keys["test"])
    whole = {key: value for key, value in keys.items() if key != "test"}
    whole |= {"backbone": dict(backbone), "seed": seed, "out": str(config.out / "results" / name / run)}
    return _step(config.out, f"{name}_{run}", f"test {name}", f"transfer {keys['test']}", command, whole)


def _step(
    out: Path, file_name: str, what: str, words: str, command: Command, keys: Mapping[str, Any]
) -> Step:
    """Write the configuration, and read it as the command does."""
    file = out / "configs" / f"{file_name}.yaml"
    make_folder(file.parent)
    write_whole(file, yaml.safe_dump(dict(keys), sort_keys=False))
    try:
        config = command.parse([str(file)], words)
    except ValueError as error:
        raise ValueError(f"{what}: {error}") from error
    results = Path(config.out) / FILE if words.startswith("transfer ") else None
    return Step(file=file, words=words, command=command, config=config, results=results)


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
