"""What a table of published results is, and when one's own are comparable with it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class PublishedRows:
    """Numbers of a paper, in percent, as it printed them.

    Attributes:
        data: what they were measured on: a data set and its split.
        network: which backbone, and whatever else a column's name does not say.
        columns: stages, in the paper's words.
        rows: method -> its number by column; None where the paper has none.
        source: the paper, and which of its tables.
        from_memory: not checked against the source.
    """

    data: str
    network: str
    columns: tuple[str, ...]
    rows: Mapping[str, tuple[float | None, ...]]
    source: str
    from_memory: bool


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

    def comparable(self, data: str, protocol: str, metric: str) -> bool:
        """Whether results on `data` under `protocol` were measured as these were, as far as names tell.

        `imagenet val` and `ImageNet` both name `ImageNet val`.
        """
        names = (self.data, self.data.split()[0])
        return (protocol, metric) == (self.protocol, self.metrics[0]) and _plain(data) in map(_plain, names)


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
        from_memory=any(table.from_memory for table in tables),
    )


def family(protocol: str) -> str:
    """A protocol's name without stages and what the user changed: `zhang16` of `zhang16, 112 px of 128`."""
    return re.split(r"[, ]", protocol, maxsplit=1)[0]


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()
