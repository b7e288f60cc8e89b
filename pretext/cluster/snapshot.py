"""The code that a job runs: a copy in its folder, so that no later edit reaches one of its attempts."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pretext.outside import is_outside, modules_to_copy

PACKAGES = ("pretext", "eval_colorization", "transfer")


def snapshot_code(root: Path, code: Path, outside: Mapping[Path, Path]) -> None:
    """Copy this project's packages from `root` into the folder `code`, which holds nothing else afterwards.

    From a git checkout all that git tracks or does not ignore is taken, local changes included; an installed
    package is copied as it is.

    Args:
        outside: path below `code` -> file of the user's own to copy there; see `outside_modules`.
    """
    shutil.rmtree(code, ignore_errors=True)
    for path, file in outside.items():
        (code / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, code / path)
    for file in _listed_by_git(root) or _all_files(root):
        if (root / file).is_file():  # git also lists what was deleted
            (code / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / file, code / file)


def _listed_by_git(root: Path) -> list[Path]:
    if not (root / ".git").exists() or shutil.which("git") is None:
        return []
    command = [
        "git",
        "-C",
        str(root),
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        *PACKAGES,
    ]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    return [Path(name) for name in listed.split("\0") if name]


def _all_files(root: Path) -> list[Path]:
    files = (file for package in PACKAGES for file in (root / package).rglob("*.*"))
    return [file.relative_to(root) for file in files if file.suffix != ".pyc"]


def outside_modules(command: str, *configs: Any) -> dict[Path, Path]:
    """The user's own files that a command and its configurations name as `module:Name`: path to import from -> file.

    A value that has this form without being one, such as a title, is passed over where there is no such module.
    """
    files: dict[Path, Path] = {}
    for value in (command, *_texts([asdict(config) for config in configs])):
        address = ":".join(value.split(":")[:2])  # mydata:Photos:ARGUMENT
        if is_outside(address):
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
