"""Checkpoints that are whole or not there, and the safe reading of what torch.save wrote, here or elsewhere."""

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from pretext.runtime.foreign_files import STAND_INS, describe_other_kind
from pretext.runtime.whole_file import whole_file

_IS_FOLDER = 0x10  # among the attributes of a part of a zip archive


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write `state` (tensors and plain Python values) to `path`; a crash at any moment leaves the old file whole.

    Raises:
        OSError: the file could not be written; a checkpoint already at `path` is untouched.
    """
    # Through a file of Python's, as torch's own tells no reason where a write fails.
    with whole_file(path) as temporary:
        path.parent.mkdir(exist_ok=True)
        with temporary.open("wb") as file:
            torch.save(state, file)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `torch.save` wrote, onto the CPU, without running code from the file.

    Tensors and plain values come as they are, objects of the types in `foreign_files` as stand-ins.

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file is damaged, or of another kind, or no dictionary, or holds an object of another type.
    """
    try:
        path.open("rb").close()
    except FileNotFoundError:
        raise FileNotFoundError(f"there is no checkpoint {path}") from None
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}") from error
    verify_archive(path)
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(STAND_INS):
            warnings.simplefilter("ignore")  # about what then is an error
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may raise anything
        raise ValueError(f"{path} cannot be read as a checkpoint{_reason(path, error)}") from error
    if not isinstance(state, dict):
        raise ValueError(f"{path} holds a {type(state).__name__}, expected the dictionary of a checkpoint")
    return state


class DamagedFileError(ValueError):
    """The content of a file is not what was written."""


def verify_archive(path: Path) -> None:
    """Compare the contents of what `torch.save` wrote with its checksums, which torch.load does not do.

    It takes 0.3 s per GB. A file in the format from before PyTorch 1.6 has no checksums and passes.

    Raises:
        DamagedFileError: a checksum differs, or the archive cannot be read as one.
    """
    try:
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            parts = archive.infolist()
            # torch.serialization.set_crc32_options(False) writes zeros.
            damaged = archive.testzip() if any(part.CRC for part in parts) else None
            # The checksums do not cover the table of contents, where this bit makes torch.load read nothing.
            damaged = damaged or next(
                (part.filename for part in parts if part.external_attr & _IS_FOLDER), None
            )
    except Exception as error:  # a damaged archive may raise anything
        damaged = str(error) or type(error).__name__
    if damaged:
        raise DamagedFileError(
            f"{path} is damaged: its content differs from what was written ({printable(damaged)}); copy or download it "
            "again, or take an earlier checkpoint"
        )


def printable(text: str) -> str:
    """`text`, which may come from a damaged file, on one line and without control characters."""
    line = " ".join(text.split())
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in line)


def _reason(path: Path, error: Exception) -> str:
    message = str(error)
    refused = re.search(r"GLOBAL (\S+)", message)
    if refused or "Trying to call reduce" in message:
        what = printable(refused[1]) if refused else "a call of a method"
        return (
            f": it holds {what}, whose code could do anything when opened; where you trust the file, open it with the "
            "project that wrote it and save its weights alone, as torch.save({'state_dict': ...}, FILE)"
        )
    if kind := describe_other_kind(path):
        return f": it is {kind}"
    if "Unsupported operand" in message and zipfile.is_zipfile(path):
        return ": it was written with pickle_protocol=3 or higher; write it again with torch.save's default"
    detail = message.rpartition("WeightsUnpickler error:")[2].partition("Check the documentation")[0]
    detail = printable(detail) or type(error).__name__
    return f" (truncated, or another kind of file): {detail}"
