import dataclasses
from contextlib import ExitStack

import pytest
import yaml

from pretext.config import DataConfig, OptimConfig, TrainConfig
from pretext.runtime.metrics_log import MetricsLog, read_metrics
from pretext.runtime.run_dir import RunDir, default_values, free_keys
from transfer.detection.config import DetectionDataConfig


def config(tmp_path, **changes):
    values = {"data": DataConfig(train="photos"), "run_dir": str(tmp_path / "run"), "steps": 10} | changes
    return TrainConfig(**values)


def prepare(run_dir, config, free=(), **options):
    """As a command does that ends at once."""
    with ExitStack() as held:
        run_dir.prepare(dataclasses.asdict(config), held, free={*free_keys(config), *free}, **options)


def test_the_stored_configuration_is_the_resolved_one(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    prepare(run_dir, config(tmp_path))
    stored = yaml.safe_load(run_dir.config.read_text())
    assert stored["optim"]["lr"] == 3e-5
    assert stored["task"] == "colorization"


def test_the_same_configuration_resumes_whatever_only_watches_it(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    prepare(run_dir, config(tmp_path))
    prepare(run_dir, config(tmp_path, log_every=1, data=DataConfig(train="photos", num_workers=0)))


@pytest.mark.parametrize(
    "changes", [{"device": "cpu"}, {"accumulation_steps": 4}, {"compile": True}, {"keep_every": 5}], ids=str
)
def test_what_decides_nothing_that_is_learnt_may_change(tmp_path, changes):
    run_dir = RunDir(tmp_path / "run")
    prepare(run_dir, config(tmp_path))
    prepare(run_dir, config(tmp_path, **changes))
    stored = yaml.safe_load(run_dir.config.read_text())
    assert changes.items() <= stored.items()


def test_data_may_be_named_by_another_path_from_another_folder(tmp_path, monkeypatch):
    for folder in ("photos", "others", "elsewhere"):
        (tmp_path / folder).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    run_dir = RunDir(tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    prepare(run_dir, config(tmp_path))
    monkeypatch.chdir(tmp_path / "elsewhere")
    for spelling in (str(tmp_path / "photos"), "../photos", str(tmp_path / "link")):
        prepare(run_dir, config(tmp_path, data=DataConfig(train=spelling)))
    with pytest.raises(ValueError, match=r"data.train: '.*link' there, '../others' now"):
        prepare(run_dir, config(tmp_path, data=DataConfig(train="../others")))
    with pytest.raises(ValueError, match=r"data.train: '.*link' there, 'photos' now"):
        prepare(run_dir, config(tmp_path, data=DataConfig(train="photos")))


def test_paths_inside_addresses_and_lists_are_compared_as_paths(tmp_path, monkeypatch):
    (tmp_path / "voc").mkdir()
    monkeypatch.chdir(tmp_path)
    run_dir = RunDir("run")
    prepare(run_dir, DetectionDataConfig(train=["voc:voc:train", "voc:voc:val"], test="a"))
    prepare(run_dir, DetectionDataConfig(train=[f"voc:{tmp_path}/voc:train", "voc:./voc:val"], test="a"))
    for others in (["voc:voc:train"], ["voc:voc:train", "voc:voc:test"], "voc:voc:train"):
        with pytest.raises(ValueError, match=r"train: \["):
            prepare(run_dir, DetectionDataConfig(train=others, test="a"))


def test_a_command_may_free_more_keys_and_give_the_reason_for_those_it_does_not(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    prepare(run_dir, config(tmp_path))
    because = {"steps": "the schedule depends on it"}
    with pytest.raises(ValueError, match=r"\(steps: 10 there, 20 now, and the schedule depends on it\)"):
        prepare(run_dir, config(tmp_path, steps=20), fixed_because=because)
    prepare(run_dir, config(tmp_path, steps=20), free=["steps"], fixed_because=because)


def test_another_configuration_is_refused_with_the_difference(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    prepare(run_dir, config(tmp_path))
    with pytest.raises(ValueError, match=r"another configuration \(optim.lr: 3e-05 there, 0.001 now\)"):
        prepare(run_dir, config(tmp_path, optim=OptimConfig(lr=1e-3)))


def test_a_run_from_before_a_key_has_its_default(tmp_path):
    run_dir, before = RunDir(tmp_path / "run"), config(tmp_path)
    prepare(run_dir, before)
    stored = yaml.safe_load(run_dir.config.read_text())
    del stored["optim"]["betas"], stored["seed"]
    run_dir.config.write_text(yaml.safe_dump(stored))
    prepare(run_dir, before, defaults=default_values(before))
    assert yaml.safe_load(run_dir.config.read_text())["optim"]["betas"] == [0.9, 0.99]
    run_dir.config.write_text(yaml.safe_dump(stored))
    changed = config(tmp_path, optim=OptimConfig(betas=(0.5, 0.99)))
    with pytest.raises(ValueError, match=r"betas: \[0.9, 0.99\] there, \[0.5, 0.99\] now"):
        prepare(run_dir, changed, defaults=default_values(changed))


def test_a_folder_with_other_files_is_not_taken_for_a_run(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.tex").write_text("...")
    with pytest.raises(ValueError, match=r"holds files but no config.yaml"):
        prepare(RunDir(tmp_path / "run"), config(tmp_path))
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("content", [b"\xff\xfe", b"optim: [", b"- 1", b""], ids=repr)
def test_a_damaged_configuration_is_named(tmp_path, content):
    run_dir = RunDir(tmp_path / "run")
    prepare(run_dir, config(tmp_path))
    run_dir.config.write_bytes(content)
    with pytest.raises(ValueError, match=r"run/config.yaml or environment.json .* damaged \(.+\); restore"):
        prepare(run_dir, config(tmp_path))


def test_resuming_drops_what_was_logged_beyond_the_checkpoint_and_half_written_lines(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    prepare(run_dir, config(tmp_path))
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
