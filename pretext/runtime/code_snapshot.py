"""The code that a job runs: a copy in its folder, so that no later edit reaches one of its attempts."""

import shutil
import subprocess
from pathlib import Path

PACKAGES = ("pretext", "eval_colorization", "transfer")


def snapshot_code(root: Path, code: Path) -> None:
    """Copy this project's packages from `root` into `code`.

    From a git checkout all that git tracks or does not ignore is taken, local changes included; an installed
    package is copied as it is.
    """
    shutil.rmtree(code, ignore_errors=True)
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
