"""Files that are there whole or not at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_WAYS_OUT = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "delete files of yours, or ask for a larger quota,",
    errno.EFBIG: "raise the limit on the size of a file (ulimit -f)",
    errno.EACCES: "make it writable",
    errno.EPERM: "make it writable",
    errno.EROFS: "make it writable",
    errno.ENOENT: "see whether its folder was removed or another process writes the same file,",
}


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of `path` when the block ends well.

    So whoever reads `path`, at any moment and after any crash, finds the old file or the new one, whole.

    Raises:
        OSError: the file could not be written; the message names it, the reason and the way out, and what was at `path`
            is still there.
    """
    temporary = path.with_name(path.name + ".tmp")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, RuntimeError) as error:
        cause = _os_error(error)
        if cause is None:
            raise
        kept = "what was there before is whole; " if path.exists() else ""
        way_out = f"{_WAYS_OUT[cause.errno]} and " if cause.errno in _WAYS_OUT else ""
        raise OSError(
            f"cannot write {path}: {cause.strerror or cause}; {kept}{way_out}give the same command again"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write `text` as a `whole_file`, in UTF-8.

    A file name that is not UTF-8 comes from the file system as lone surrogates, which cannot be encoded: they are
    written as backslash escapes.
    """
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace", newline="")


def make_folder(path: Path) -> None:
    """Make the folder `path`, with those above it, unless it is there.

    Raises:
        ValueError: that is not possible.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f"{path} cannot be made a folder: {error.strerror}; choose another") from error


def _os_error(error: BaseException | None) -> OSError | None:
    """The operating system's error behind `error`: torch's writer raises a RuntimeError after it."""
    while error is not None and not isinstance(error, OSError):
        error = error.__cause__ or error.__context__
    return error
