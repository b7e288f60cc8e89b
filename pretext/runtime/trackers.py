"""Experiment trackers beside TensorBoard: Weights & Biases and MLflow, with or without a network.

A run keeps its id in its folder, so that after a requeue it is the same run there. Both take their settings from their
own environment variables (WANDB_PROJECT, WANDB_MODE=offline, MLFLOW_TRACKING_URI, ...).
"""

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Protocol

import numpy as np

from pretext.optional import missing_package
from pretext.runtime.command_line import flatten
from pretext.runtime.run_dir import RunDir
from pretext.runtime.whole_file import write_whole

PROJECT = "colorization-benchmark"


class Tracker(Protocol):
    """Where a run's numbers go beside its own folder."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """The numbers of a step; those of a step that was logged before are passed over or repeated."""
        ...

    def write_image(self, step: int, name: str, image: np.ndarray) -> None:
        """`image`: uint8, (height, width, 3)."""
        ...

    def close(self, *, finished: bool) -> None:
        """Send what is left, and whether the run finished or was stopped."""
        ...


class WandbTracker:
    """A run of Weights & Biases, in `RUN/wandb`; offline it is sent later by `wandb sync`."""

    def __init__(self, run_dir: RunDir, config: Mapping[str, Any]) -> None:
        import wandb

        self._wandb = wandb
        known = _read_ids(run_dir).get("wandb")
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", PROJECT),
                id=known,
                resume="allow" if known else None,
                name=run_dir.path.name,
                dir=str(run_dir.path),
                config=dict(config),
                settings=wandb.Settings(console="off"),
            )
        except wandb.errors.Error as error:
            raise ValueError(
                f"trackers: wandb: {error}; log in by 'wandb login', or set WANDB_MODE=offline"
            ) from error
        _keep_id(run_dir, "wandb", self._run.id)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`; numbers of a step that was logged before are passed over."""
        self._run.log(dict(values), step=step)

    def write_image(self, step: int, name: str, image: np.ndarray) -> None:
        """See `Tracker`."""
        self._run.log({name: self._wandb.Image(image)}, step=step)

    def close(self, *, finished: bool) -> None:
        """See `Tracker`."""
        self._run.finish(exit_code=0 if finished else 1)


class MlflowTracker:
    """A run of MLflow; without MLFLOW_TRACKING_URI in `mlruns` beside the run's folder."""

    def __init__(self, run_dir: RunDir, config: Mapping[str, Any]) -> None:
        from mlflow import MlflowClient
        from mlflow.entities import Metric, Param
        from mlflow.exceptions import MlflowException

        self._metric, self._error, self._is_lost = Metric, MlflowException, False
        store = os.environ.get("MLFLOW_TRACKING_URI")
        if store is None:
            os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"  # else MLflow asks for a database
            store = (run_dir.path.parent / "mlruns").absolute().as_uri()
        self._client = MlflowClient(tracking_uri=store)
        known = _read_ids(run_dir).get("mlflow")
        try:
            if known is None:
                name = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
                experiment = self._client.get_experiment_by_name(name)
                place = experiment.experiment_id if experiment else self._client.create_experiment(name)
                known = self._client.create_run(place, run_name=run_dir.path.name).info.run_id
                params = [Param(key, str(value)) for key, value in flatten(config).items()]
                self._client.log_batch(known, params=params)
                _keep_id(run_dir, "mlflow", known)
            else:
                self._client.update_run(known, status="RUNNING")
        except MlflowException as error:
            raise ValueError(f"trackers: mlflow at {store}: {error}; see MLFLOW_TRACKING_URI") from error
        self._id: str = known

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """See `Tracker`."""
        now = int(time.time() * 1000)
        metrics = [self._metric(name, value, now, step) for name, value in values.items()]
        self._send(lambda: self._client.log_batch(self._id, metrics=metrics))

    def write_image(self, step: int, name: str, image: np.ndarray) -> None:
        """See `Tracker`."""
        self._send(lambda: self._client.log_image(self._id, image, key=name, step=step))

    def close(self, *, finished: bool) -> None:
        """See `Tracker`."""
        self._send(lambda: self._client.set_terminated(self._id, "FINISHED" if finished else "KILLED"))

    def _send(self, call: Callable[[], Any]) -> None:
        """A server that does not answer any more ends the tracking, not the training."""
        if self._is_lost:
            return
        try:
            call()
        except self._error as error:
            self._is_lost = True
            print(f"mlflow takes no more numbers of this run ({error}); all of them are in metrics.jsonl")


TRACKERS: dict[str, Callable[[RunDir, Mapping[str, Any]], Tracker]] = {
    "wandb": WandbTracker,
    "mlflow": MlflowTracker,
}


def require_trackers(names: Sequence[str]) -> None:
    """Raises ValueError if the package of one is missing."""
    for name in names:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            raise ValueError(str(missing_package(f"trackers: {name}", error, name))) from error


def _read_ids(run_dir: RunDir) -> dict[str, str]:
    ids: dict[str, str] = json.loads(run_dir.trackers.read_text()) if run_dir.trackers.exists() else {}
    return ids


def _keep_id(run_dir: RunDir, tracker: str, id: str) -> None:
    write_whole(run_dir.trackers, json.dumps({**_read_ids(run_dir), tracker: id}))
