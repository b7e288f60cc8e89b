"""The run directory: the one place that names the files of a run.

config.yaml        the resolved configuration
environment.json   versions, hardware, command
metrics.jsonl      one line of numbers every `log_every` steps and for each validation
curves.png         the losses so far
tensorboard/       the same numbers and the galleries
checkpoints/       last.pt, step_*.pt and best.pt
samples/           pictures of what it does, one file per validation or test
job/               of runs on a cluster: history.jsonl, logs, the code that runs
lock               locked while a process works in here (see run_lock)
"""

import json
import os
import platform
import sys
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from pretext.runtime.command_line import flatten, read_yaml
from pretext.runtime.run_lock import FILE as LOCK_FILE
from pretext.runtime.run_lock import run_lock
from pretext.runtime.versions import package_version
from pretext.runtime.whole_file import make_folder, write_whole


class RunDir:
    """Paths of a run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.environment = self.path / "environment.json"
        self.metrics = self.path / "metrics.jsonl"
        self.curves = self.path / "curves.png"
        self.tensorboard = self.path / "tensorboard"
        self.checkpoints = self.path / "checkpoints"
        self.last_checkpoint = self.checkpoints / "last.pt"
        self.best_checkpoint = self.checkpoints / "best.pt"
        self.samples = self.path / "samples"
        self.trackers = self.path / "trackers.json"

    def step_checkpoint(self, step: int) -> Path:
        """The file of the checkpoint that is kept after `step`."""
        return self.checkpoints / f"step_{step:07d}.pt"

    def gallery(self, step: int) -> Path:
        """The file of the pictures drawn after `step`."""
        return self.samples / f"step_{step:07d}.png"

    def read_environment(self) -> dict[str, Any]:
        """What `describe_environment` said when the run was last begun or resumed; nothing where that is missing.

        Raises:
            ValueError: the file is damaged.
        """
        environment: dict[str, Any] = (
            json.loads(self.environment.read_text()) if self.environment.exists() else {}
        )
        return environment

    def prepare(
        self,
        config: Mapping[str, Any],
        held: ExitStack,
        *,
        free: Collection[str] = (),
        fixed_because: Mapping[str, str] | None = None,
        defaults: Mapping[str, Any] | None = None,
    ) -> None:
        """Create the folders and files of a new run, or check that the run here is of the same `config`.

        Values that name the same file or folder are the same, whatever the working directory.

        Args:
            config: the resolved configuration, nested dictionaries of plain values.
            held: when this is closed, other processes may use the folder again.
            free: keys that may differ from those of the run here, such as `data.num_workers`; see `free_keys`.
            fixed_because: key -> why it must not differ, where the user may ask.
            defaults: key -> its value in runs from before there was this key; see `default_values`.

        Raises:
            ValueError: the folder holds a run with another configuration, or files but no run, or another process is
                working in it.
        """
        make_folder(self.path)
        if not self.config.exists():
            known = ("job", LOCK_FILE)
            if any(p for p in self.path.iterdir() if p.suffix != ".tmp" and p.name not in known):
                raise ValueError(
                    f"{self.path} holds files but no config.yaml, so it is not a run; choose another folder"
                )
        held.enter_context(run_lock(self.path))
        if self.config.exists():
            self._refuse_another(config, free, fixed_because or {}, defaults or {})
        write_whole(self.config, yaml.safe_dump(dict(config), sort_keys=False))
        write_whole(self.environment, json.dumps(describe_environment(), indent=2))

    def _refuse_another(
        self,
        config: Mapping[str, Any],
        free: Collection[str],
        fixed_because: Mapping[str, str],
        defaults: Mapping[str, Any],
    ) -> None:
        try:
            stored = _as_yaml_has(defaults) | flatten(read_yaml(self.config))
            environment = self.read_environment()
        except ValueError as error:
            raise ValueError(
                f"{self.config} or {self.environment.name} beside it is damaged ({error}); restore it, or choose "
                "another folder"
            ) from error
        asked = flatten(_as_yaml_has(config))
        folder = environment.get("folder", ".")
        differences = [
            f"{key}: {stored.get(key)!r} there, {asked.get(key)!r} now"
            + (f", and {fixed_because[key]}" if key in fixed_because else "")
            for key in sorted(stored.keys() | asked.keys())
            if key not in free and not _same_value(stored.get(key), folder, asked.get(key))
        ]
        if differences:
            raise ValueError(
                f"{self.path} holds a run with another configuration ({'; '.join(differences)}), which decides its "
                "result; choose another folder, or give the same values"
            )


def _as_yaml_has(values: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = yaml.safe_load(yaml.safe_dump(dict(values)))
    return plain


def _same_value(stored: Any, stored_folder: str, asked: Any) -> bool:
    """Whether two values of a configuration are equal, or name the same files: `voc:photos:train` in two spellings.

    `stored_folder` was the working directory when `stored` was given.
    """
    if stored == asked:
        return True
    if isinstance(stored, list) and isinstance(asked, list):
        return len(stored) == len(asked) and all(
            _same_value(one, stored_folder, other) for one, other in zip(stored, asked, strict=True)
        )
    if not isinstance(stored, str) or not isinstance(asked, str):
        return False
    one, other = stored.split(":"), asked.split(":")
    return len(one) == len(other) and all(
        part == another
        or _same_file(Path(stored_folder, Path(part).expanduser()), Path(another).expanduser())
        for part, another in zip(one, other, strict=True)
    )


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:  # one is not there, or the value is not a path
        return False


def free_keys(config: Any, prefix: str = "") -> set[str]:
    """The keys that decide no result: those in FREE_KEYS of a dataclass and of the dataclasses in it.

    Returns:
        Their full names, such as `data.num_workers`.
    """
    free = {prefix + key for key in getattr(config, "FREE_KEYS", ())}
    for field in fields(config):
        if is_dataclass(value := getattr(config, field.name)):
            free |= free_keys(value, f"{prefix}{field.name}.")
    return free


def default_values(config: Any, prefix: str = "") -> dict[str, Any]:
    """The defaults of a dataclass and of those in it, by their full names: what runs had before a key was new.

    Those that are dictionaries, whose keys are not the class's, are left out.
    """
    values: dict[str, Any] = {}
    for field in fields(config):
        if is_dataclass(value := getattr(config, field.name)):
            values |= default_values(value, f"{prefix}{field.name}.")
        elif field.default is not MISSING:
            values[prefix + field.name] = field.default
    return values


def describe_environment() -> dict[str, Any]:
    """Versions, hardware and command line of this process."""
    return {
        "command": sys.argv,
        "folder": str(Path.cwd()),  # where the command's relative paths start
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {
            name: package_version(name)
            for name in ("torch", "torchvision", "numpy", "pillow", "scikit-learn")
        },
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cpu_threads": torch.get_num_threads(),
        "processes": int(os.environ.get("WORLD_SIZE", 1)),
    }
