"""What a table of published results is, and when one's own are comparable with it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pretext.quoted import FromMemory


@dataclass(frozen=True, kw_only=True)
class PublishedRows:
    """Numbers of a paper, in percent, as it printed them.

    Attributes:
        data: what they were measured on: a data set and its split.
        network: which backbone, and whatever else a column's name does not say.
        columns: stages, in the paper's words.
        rows: method -> its number by column, `FromMemory` where it was not read in the source; None where the paper has
            none.
        source: the paper, and which of its tables.
        remark: sentences on what the rows are, and on what this project does otherwise.
    """

    data: str
    network: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float | None, ...]]
    source: str
    remark: str = ""

    @property
    def from_memory(self) -> bool:
        """Whether any of the numbers is."""
        return any(isinstance(number, FromMemory) for numbers in self.rows.values() for number in numbers)


@dataclass(frozen=True, kw_only=True)
class PublishedTable(PublishedRows):
    """Those of one task.

    Attributes:
        protocol: how they were measured, in this project's words.
        metrics: of the results that they stand beside; they themselves are of the first.
    """

    task: str
    protocol: str
    metrics: tuple[str, ...]

    @property
    def family(self) -> str:
        return family(self.protocol)

    def is_on(self, data: str) -> bool:
        """Whether `data` names their data set: `imagenet val` and `ImageNet` both name `ImageNet val`."""
        return _plain(data) in map(_plain, (self.data, self.data.split()[0]))

    def comparable(self, data: str, protocol: str, metric: str) -> bool:
        """Whether results on `data` under `protocol` were measured as these were, as far as names tell."""
        return (protocol, metric) == (self.protocol, self.metrics[0]) and self.is_on(data)


def side_by_side(network: str, heads: Mapping[str, str], tables: Sequence[PublishedTable]) -> PublishedRows:
    """Tables of one paper as one; a method that a table lacks has no numbers there.

    Args:
        heads: task -> head of its columns, with {} for their names.
    """
    methods = dict.fromkeys(method for table in tables for method in table.rows)
    return PublishedRows(
        data=" and ".join(dict.fromkeys(table.data for table in tables)),
        network=network,
        columns=tuple(heads[table.task].format(column) for table in tables for column in table.columns),
        rows={
            method: tuple(
                number for table in tables for number in table.rows.get(method, (None,) * len(table.columns))
            )
            for method in methods
        },
        source=tables[0].source,
        remark=tables[0].remark,
    )


def family(protocol: str) -> str:
    """A protocol's name without stages and what the user changed: `zhang16` of `zhang16, 112 px of 128`."""
    return re.split(r"[, ]", protocol, maxsplit=1)[0]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()
