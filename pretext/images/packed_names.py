"""Millions of file names in two arrays instead of millions of Python objects."""

import os
from array import array
from collections.abc import Iterable


class PackedNames:
    """An immutable sequence of names: about 8 bytes more than their characters each.

    Python strings would take some 100 bytes more each, and again in every forked worker that touches their
    reference counts.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._characters = bytearray()
        self._ends = array("q", [0])
        for name in names:
            self._characters += os.fsencode(name)
            self._ends.append(len(self._characters))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> str:
        return os.fsdecode(bytes(self._characters[self._ends[index] : self._ends[index + 1]]))
