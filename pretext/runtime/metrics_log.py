"""Numbers of a run: metrics.jsonl, TensorBoard and other trackers, and the picture of the curves."""

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from pretext.runtime.run_dir import RunDir
from pretext.runtime.trackers import TRACKERS
from pretext.runtime.whole_file import write_whole

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class MetricsLog:
    """Appends to a run's metrics; made at `step`, it first drops what a killed process logged beyond that step.

    Args:
        run_dir: the run.
        step: that was done last.
        trackers: names in TRACKERS of what gets the numbers too.
        config: of the run, for these.
    """

    def __init__(
        self,
        run_dir: RunDir,
        step: int,
        trackers: Sequence[str] = (),
        config: Mapping[str, Any] = MappingProxyType({}),
    ) -> None:
        kept = [row for row in read_metrics(run_dir.metrics) if row["step"] <= step]
        write_whole(run_dir.metrics, "".join(json.dumps(row) + "\n" for row in kept))
        self._file = run_dir.metrics.open("a")
        self._tensorboard_folder, self._first_step = run_dir.tensorboard, step + 1
        self._trackers = [TRACKERS[name](run_dir, config) for name in trackers]

    @cached_property
    def _tensorboard(self) -> "SummaryWriter":
        from torch.utils.tensorboard import SummaryWriter  # the first step need not wait for it

        return SummaryWriter(str(self._tensorboard_folder), purge_step=self._first_step)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """One line of metrics.jsonl and one point of each TensorBoard curve."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        self._file.flush()
        for name, value in values.items():
            self._tensorboard.add_scalar(name, value, step)
        self._tensorboard.flush()
        for tracker in self._trackers:
            tracker.write(step, values)

    def write_image(self, step: int, name: str, image: np.ndarray) -> None:
        """`image`: uint8, (height, width, 3)."""
        self._tensorboard.add_image(name, image, step, dataformats="HWC")
        for tracker in self._trackers:
            tracker.write_image(step, name, image)

    def __enter__(self) -> "MetricsLog":
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()
        if "_tensorboard" in vars(self):
            self._tensorboard.close()
        for tracker in self._trackers:
            tracker.close(finished=exception[0] is None)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl; a last line that a killed process left half-written is passed over."""
    rows = []
    for line in path.read_text(errors="replace").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows
