"""Checkpoints that are whole or not there."""

import pickle
from pathlib import Path
from typing import Any

import torch

from pretext.runtime.command_line import RunFailedError
from pretext.runtime.whole_file import whole_file


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain Python values) to `path`; a crash at any moment leaves the old file whole.

    Raises:
        RunFailedError: the file could not be written; a checkpoint already at `path` is untouched.
    """
    try:
        with whole_file(path) as temporary:
            torch.save(state, temporary)
    except (OSError, RuntimeError) as error:  # torch's writer turns a short write into a RuntimeError
        kept = "the checkpoint of before is whole; " if path.exists() else ""
        raise RunFailedError(
            f"cannot save {path}: {_first_line(error)}; {kept}make room and give the same command again"
        ) from error


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote, onto the CPU, with `weights_only=True`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is truncated, or not a checkpoint, or holds more than tensors and plain values.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no checkpoint {path}") from None
    except (RuntimeError, EOFError, pickle.UnpicklingError, OSError) as error:
        raise ValueError(
            f"{path} cannot be read as a checkpoint (truncated, or another kind of file): {_first_line(error)}"
        ) from error
    if not isinstance(state, dict):
        raise ValueError(f"{path} holds a {type(state).__name__}, expected the dictionary of a checkpoint")
    return state


def _first_line(error: BaseException) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
