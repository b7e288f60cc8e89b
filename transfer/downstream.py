"""The downstream tests: the built-in ones by the name of their command, and those of users."""

import os
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from pretext.outside import function_at
from pretext.runtime.aligned import aligned
from transfer.config import DownstreamTest
from transfer.detection.config import DETECT
from transfer.finetuning.config import FINETUNE
from transfer.geometry.config import GEOMETRY
from transfer.linear_probes.config import LINEAR
from transfer.linear_svms.config import SVM
from transfer.nearest_neighbours.config import KNN
from transfer.segmentation.config import SEGMENT

DOWNSTREAM_TESTS: dict[str, DownstreamTest] = {
    "linear": LINEAR,
    "knn": KNN,
    "svm": SVM,
    "finetune": FINETUNE,
    "detect": DETECT,
    "segment": SEGMENT,
    "geometry": GEOMETRY,
}


def run_outside_test(test: DownstreamTest, config: Any) -> None:
    """Run a user's own test and write its records into the folder `config.out`, which must not hold another run.

    Of several processes the first one writes.

    Raises:
        ValueError: `config.out` holds another run, or is no folder for a run.
    """
    from pretext.runtime.run_dir import RunDir, default_values, free_keys
    from transfer.results import write_records

    is_main = int(os.environ.get("RANK", 0)) == 0
    with ExitStack() as held:
        if is_main:
            free = {"out", "device", *free_keys(config)}
            RunDir(config.out).prepare(asdict(config), held, free=free, defaults=default_values(config))
        records = function_at(test.run)(config)
        if is_main:
            path = write_records(RunDir(config.out).path, records)
            rows = [(record.stage, record.metric, f"{record.value:.2f}") for record in records]
            print(f"{aligned(rows, num_names=2)}\nresults     {path}")
