"""What was measured so far: one file per batch, so that an evaluation that was stopped resumes."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pretext.runtime.run_dir import flatten
from pretext.runtime.whole_file import make_folder, whole_file, write_whole

Part = dict[str, np.ndarray]


class Parts:
    """The parts of one evaluation in a folder, by number of the batch.

    Args:
        folder: where they lie; may not be there yet.
        identity: everything that the numbers depend on; parts of another identity are not mixed with these.
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any]) -> None:
        self._folder = folder
        self._identity = flatten(json.loads(json.dumps(identity)))
        self._identity_file = folder / "identity.json"

    def prepare(self) -> None:
        """Create the folder, or check that what lies there belongs to the same evaluation.

        Raises:
            ValueError: it does not; the differences are named. Or it cannot be made.
        """
        if self._identity_file.exists():
            stored = json.loads(self._identity_file.read_text())
            differences = [
                f"{key}: {stored.get(key)!r} there, {self._identity.get(key)!r} now"
                for key in sorted(stored.keys() | self._identity.keys())
                if stored.get(key) != self._identity.get(key)
            ]
            if differences:
                raise ValueError(
                    f"{self._folder} holds measurements of another evaluation ({'; '.join(differences)}); choose "
                    f"another folder, or delete {self._folder}"
                )
        make_folder(self._folder)
        write_whole(self._identity_file, json.dumps(self._identity, indent=2))

    def is_done(self, batch: int) -> bool:
        """Whether the batch was measured."""
        return self._file(batch).exists()

    def write(self, batch: int, part: Part) -> None:
        """Store the part of a batch, whole or not at all."""
        with whole_file(self._file(batch)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **part)  # type: ignore[arg-type]

    def read(self, num_batches: int) -> Iterator[Part]:
        """The parts of all batches, in order.

        Raises:
            ValueError: a part is damaged.
        """
        for batch in range(num_batches):
            file = self._file(batch)
            try:
                with file.open("rb") as stream, np.load(stream) as stored:
                    part = dict(stored)
            except Exception as error:  # zipfile and NumPy let through whatever they trip over
                raise ValueError(
                    f"{file} is damaged ({error}); delete it, and the same command measures it again"
                ) from error
            yield part

    def _file(self, batch: int) -> Path:
        return self._folder / f"{batch:06d}.npz"


def fingerprint(content: Any) -> str:
    """A short hash of any JSON content."""
    return hashlib.sha256(json.dumps(content).encode(errors="surrogateescape")).hexdigest()[:16]
