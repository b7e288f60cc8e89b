"""The code that a job runs: a copy in its folder, so that no later edit reaches one of its attempts."""

import re
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pretext.outside import is_outside, modules_to_copy

PACKAGES = ("pretext", "eval_colorization", "transfer")


def snapshot_code(root: Path, code: Path, outside: Mapping[Path, Path]) -> None:
    """Copy this project's packages from `root` into the folder `code`, which holds nothing else afterwards.

    Args:
        outside: path below `code` -> file of the user's own to copy there; see `outside_modules`.
    """
    shutil.rmtree(code, ignore_errors=True)
    for path, file in outside.items():
        (code / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, code / path)
    for package in PACKAGES:
        shutil.copytree(root / package, code / package, ignore=shutil.ignore_patterns("__pycache__"))


def outside_modules(command: str, *configs: Any) -> dict[Path, Path]:
    """The user's own files that a command and its configurations name as `module:Name`: path to import from -> file.

    A value that has this form without being one, such as a title, is passed over where there is no such module.
    """
    files: dict[Path, Path] = {}
    for value in (command, *_texts([asdict(config) for config in configs])):
        address = ":".join(value.split(":")[:2])  # mydata:Photos:ARGUMENT
        if is_outside(address) and re.split("[.:]", address)[0] not in PACKAGES:
            try:
                files |= modules_to_copy(address)
            except ValueError:
                continue
    return files


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, (dict, list, tuple)):
        for branch in tree.values() if isinstance(tree, dict) else tree:
            yield from _texts(branch)
