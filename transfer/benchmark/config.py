"""The keys of `transfer benchmark`."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class BenchmarkConfig:
    """Train networks on several tasks, test what each has learned, over seeds, and put all of it into one table.

    What is finished is not done again: the same command on the same folder resumes. On a cluster each run is a job
    of an array.

    Args:
        out: folder of everything: for each run and seed NAME_SEED/training and NAME_SEED/tests, and table/.
        seeds: of trainings, random networks and tests; each is done once for each.
        train: keys of `pretext train` that all runs share, nested as in its files.
        runs: name -> further keys of `pretext train`; or `backbone` alone, with the keys of `transfer`'s backbone, for
            a network that is not trained here.
        tests: name -> `test`, a command of `transfer` such as linear, knn or detect, or `module:Name` of your own, and
            its keys.
    """

    out: str
    seeds: list[int] = field(default_factory=lambda: [0])
    train: dict[str, Any] = field(default_factory=dict)
    runs: dict[str, dict[str, Any]]
    tests: dict[str, dict[str, Any]]
