"""A run and its resumption are one run in Weights & Biases and in MLflow, without a network."""

import json
import sys

import pytest

from pretext.__main__ import main
from pretext.pretrained import load_pretrained
from pretext.runtime.metrics_log import MetricsLog, read_metrics
from pretext.runtime.run_dir import RunDir
from tests.end_to_end.small_run import finish, small


def resumed(run, tracker):
    """A small training of 2 steps, then of 4, and its id at both times."""
    ids = []
    for steps in (2, 4):
        finish(small(run, steps=steps, trackers=f"[{tracker}]", validate_every=2))
        ids.append(json.loads((run / "trackers.json").read_text())[tracker])
    return ids


@pytest.mark.slow
def test_mlflow_has_the_numbers_of_both_attempts_in_one_run(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="pip install 'colorization-benchmark[mlflow]'")
    first, second = resumed(tmp_path / "runs" / "small", "mlflow")
    assert first == second
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "runs" / "mlruns").as_uri())
    rows = [row for row in read_metrics(tmp_path / "runs" / "small" / "metrics.jsonl") if "loss" in row]
    logged = [(point.step, point.value) for point in client.get_metric_history(first, "loss")]
    assert logged == [(row["step"], row["loss"]) for row in rows]
    assert len(rows) == 4
    run = client.get_run(first)
    assert (run.info.status, run.info.run_name) == ("FINISHED", "small")
    assert run.data.params["network.name"] == "eccv16"


@pytest.mark.slow
def test_mlflow_tells_a_run_that_was_stopped_from_one_that_finished(tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="pip install 'colorization-benchmark[mlflow]'")
    run = RunDir(tmp_path / "runs" / "stopped")
    run.path.mkdir(parents=True)

    def stop_after_a_step():
        with MetricsLog(run, 0, ["mlflow"]) as log:
            log.write(1, {"loss": 2.5})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_after_a_step()
    client = mlflow.MlflowClient(tracking_uri=(tmp_path / "runs" / "mlruns").as_uri())
    known = client.get_run(json.loads(run.trackers.read_text())["mlflow"])
    assert (known.info.status, known.data.metrics) == ("KILLED", {"loss": 2.5})


@pytest.mark.slow
def test_wandb_offline_keeps_both_attempts_under_one_id(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="pip install 'colorization-benchmark[wandb]'")
    monkeypatch.setenv("WANDB_MODE", "offline")
    first, second = resumed(tmp_path / "small", "wandb")
    assert first == second
    kept = sorted(file.name for file in (tmp_path / "small" / "wandb").glob("offline-run-*/*.wandb"))
    assert kept == [f"run-{first}.wandb"] * 2


@pytest.mark.slow
def test_a_run_is_the_same_with_a_tracker_as_without(tmp_path):
    pytest.importorskip("mlflow", reason="pip install 'colorization-benchmark[mlflow]'")
    hashes = []
    for trackers in ("[]", "[mlflow]"):
        run = tmp_path / trackers.strip("[]") / "run"
        finish(small(run, steps=2, trackers=trackers))
        hashes.append(load_pretrained(run).sha256)
    assert hashes[0] == hashes[1]


def test_a_tracker_whose_package_is_missing_is_named_before_anything_begins(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)
    assert main(small(tmp_path / "run", trackers="[wandb]")) == 2
    assert "trackers: wandb needs the package wandb" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
