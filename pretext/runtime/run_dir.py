"""The run directory: the one place that names the files of a run.

config.yaml        the resolved configuration
environment.json   versions, hardware, command
metrics.jsonl      one line of numbers every `log_every` steps and for each validation
curves.png         the losses so far
tensorboard/       the same numbers and the galleries
checkpoints/       last.pt and step_*.pt
samples/           galleries: grey | colorized | truth
detectron2/        of detection: configuration, log and checkpoints of its trainer
mmengine/          of segmentation: configuration and log of its runner
job/               of runs on a cluster: history.jsonl, logs, the code that runs
"""

import json
import platform
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml

from pretext.runtime.whole_file import write_whole

# Where these differ from the stored configuration the run is still the same run.
FREE_KEYS = (
    "run_dir",
    "out",
    "data.num_workers",
    "log_every",
    "save_every",
    "keep_every",
    "validate_every",
    "evaluate_every",
    "gallery_images",
)


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
        self.samples = self.path / "samples"
        self.detectron2 = self.path / "detectron2"
        self.mmengine = self.path / "mmengine"

    def step_checkpoint(self, step: int) -> Path:
        return self.checkpoints / f"step_{step:07d}.pt"

    def gallery(self, step: int) -> Path:
        return self.samples / f"step_{step:07d}.png"

    def prepare(self, config: Mapping[str, Any]) -> None:
        """Create the folders and files of a new run, or check that the run here is of the same `config`.

        Raises:
            ValueError: the folder holds a run with another configuration, or files that are no run at all.
        """
        if self.config.exists():
            self._refuse_another(config)
        elif self.path.exists() and any(
            p for p in self.path.iterdir() if p.suffix != ".tmp" and p.name != "job"
        ):
            raise ValueError(
                f"{self.path} holds files but no config.yaml, so it is not a run; choose another folder"
            )
        self.path.mkdir(parents=True, exist_ok=True)
        write_whole(self.config, yaml.safe_dump(dict(config), sort_keys=False))
        write_whole(self.environment, json.dumps(describe_environment(), indent=2))
        self.checkpoints.mkdir(exist_ok=True)

    def _refuse_another(self, config: Mapping[str, Any]) -> None:
        stored = flatten(yaml.safe_load(self.config.read_text()))
        asked = flatten(yaml.safe_load(yaml.safe_dump(dict(config))))
        differences = [
            f"{key}: {stored.get(key)!r} there, {asked.get(key)!r} now"
            for key in sorted(stored.keys() | asked.keys())
            if key not in FREE_KEYS and stored.get(key) != asked.get(key)
        ]
        if differences:
            raise ValueError(
                f"{self.path} holds a run with another configuration ({'; '.join(differences)}); "
                "choose another folder, or give the same values"
            )


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"optim": {"lr": 1}} -> {"optim.lr": 1}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def describe_environment() -> dict[str, Any]:
    """Versions, hardware and command line of this process."""
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {
            name: version(name) for name in ("torch", "torchvision", "numpy", "pillow", "scikit-learn")
        },
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cpu_threads": torch.get_num_threads(),
    }
