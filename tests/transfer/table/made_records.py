"""Records made up for the tests of the results table."""

from dataclasses import replace

import numpy as np

from transfer.results import Record, read_records, write_records
from transfer.table.comparison import make_tables

HOSTILE = (
    r"""a_b _c_ 100% $x^2$ #1 & {y} ~ \end{table} | **z** <script src="http://x.example/x.js"> `q` [l](u)"""
)
BASE = Record(
    task="linear",
    data="VOC2007 test",
    protocol="zhang16",
    backbone="colorization",
    weights="ab" * 32,
    stage="conv1",
    metric="top1",
    value=50.0,
    seed=0,
)


def record(**changes):
    return replace(BASE, **changes)


def table_of(*records):
    (table,) = make_tables(records)
    return table


def random_records(tmp_path, **changes):
    """Values of three seeds at three stages, as read back from a file."""
    values = np.random.default_rng(0).uniform(10, 60, (3, 3))
    records = [
        record(stage=f"conv{stage + 1}", seed=seed, value=float(values[stage, seed]), **changes)
        for seed in range(3)
        for stage in range(3)
    ]
    write_records(tmp_path, records)
    return values, read_records([tmp_path])
