import dataclasses

import pytest
import yaml

from pretext.config import DataConfig, OptimConfig, TrainConfig
from pretext.runtime.metrics_log import MetricsLog, read_metrics
from pretext.runtime.run_dir import RunDir


def config(tmp_path, **changes):
    values = {"data": DataConfig(train="photos"), "run_dir": str(tmp_path / "run"), "steps": 10} | changes
    return dataclasses.asdict(TrainConfig(**values))


def test_the_stored_configuration_is_the_resolved_one(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    run_dir.prepare(config(tmp_path))
    stored = yaml.safe_load(run_dir.config.read_text())
    assert stored["optim"]["lr"] == 3e-5
    assert stored["objective"]["temperature"] == 0.38


def test_the_same_configuration_resumes_whatever_only_watches_it(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    run_dir.prepare(config(tmp_path))
    run_dir.prepare(config(tmp_path, log_every=1, data=DataConfig(train="photos", num_workers=0)))


def test_another_configuration_is_refused_with_the_difference(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    run_dir.prepare(config(tmp_path))
    with pytest.raises(ValueError, match=r"another configuration \(optim.lr: 3e-05 there, 0.001 now\)"):
        run_dir.prepare(config(tmp_path, optim=OptimConfig(lr=1e-3)))


def test_a_folder_with_other_files_is_not_taken_for_a_run(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("...")
    with pytest.raises(ValueError, match=r"holds files but no config.yaml"):
        RunDir(tmp_path / "run").prepare(config(tmp_path))


def test_resuming_drops_what_was_logged_beyond_the_checkpoint_and_half_written_lines(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    run_dir.prepare(config(tmp_path))
    with MetricsLog(run_dir, 0) as log:
        for step in (1, 2, 3):
            log.write(step, {"loss": 1.0 / step})
    with run_dir.metrics.open("a") as file:
        file.write('{"step": 4, "lo')
    with MetricsLog(run_dir, 2) as resumed:
        resumed.write(3, {"loss": 0.25})
    assert [(row["step"], row["loss"]) for row in read_metrics(run_dir.metrics)] == [
        (1, 1.0),
        (2, 0.5),
        (3, 0.25),
    ]
