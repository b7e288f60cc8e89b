"""`transfer benchmark`: several tasks, tests and seeds by one command, which may be killed, and one table."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from pretext import training
from pretext.runtime.command_line import parse_config
from tests.killed_loader import killed_before
from transfer.__main__ import main
from transfer.benchmark.config import BenchmarkConfig
from transfer.benchmark.run import plan, run
from transfer.nearest_neighbours import run as neighbours
from transfer.results import read_records

SAMPLE = Path(__file__).parents[3] / "configs" / "transfer" / "benchmark_sample.yaml"
PROJECT = Path(__file__).parents[2] / "outside" / "project"


def small(out, **changes):
    """The bundled example in a few seconds."""
    values = yaml.safe_load(SAMPLE.read_text()) | {"out": str(out), "seeds": [0]}
    values["train"] |= {"steps": 4, "save_every": 1, "device": "cpu"}
    for test in values["tests"].values():
        test["device"] = "cpu"
    return BenchmarkConfig(**(values | changes))


def numbers(out):
    return {
        (record.task, record.backbone, record.seed, record.stage, record.metric): record.value
        for record in read_records([out])
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("benchmark") / "whole"
    run(small(out))
    return out


def test_every_run_has_every_test_and_a_row_of_the_table(finished):
    found = numbers(finished)
    assert {(task, backbone, seed) for task, backbone, seed, *_ in found} == {
        (task, backbone, 0)
        for task in ("linear", "knn")
        for backbone in ("colorization", "rotation", "random")
    }
    table = (finished / "table" / "table.md").read_text()
    for backbone in ("colorization", "rotation", "random"):
        assert f"| {backbone} " in table


def test_the_page_links_what_each_network_was_trained_and_tested_with(finished):
    table = finished / "table"
    links = re.findall(r'<a href="([^#"]+)">([^<]+)</a>', (table / "index.html").read_text())
    words = ["configuration", "log", "curves", "weights"]
    tests = ["linear on sample", "knn on sample"]
    assert sorted(word for _, word in links) == sorted(2 * words + 3 * tests)
    assert all((table / address).exists() for address, _ in links)
    assert "4 steps of 9 images" in (table / "index.html").read_text()


def test_a_benchmark_killed_in_a_training_and_in_a_test_ends_in_the_same_table(
    finished, tmp_path, monkeypatch
):
    out = tmp_path / "whole"

    with monkeypatch.context() as patched:
        patched.setattr(training, "shuffled_batches", killed_before(2))
        with pytest.raises(KeyboardInterrupt):
            run(small(out))
    assert not list(out.glob("*/tests/*/"))
    with monkeypatch.context() as patched:
        patched.setattr(neighbours, "nearest_neighbours", lambda *args: killed_now())
        with pytest.raises(KeyboardInterrupt):
            run(small(out))
    assert numbers(out)  # the tests before
    run(small(out))
    assert numbers(out) == numbers(finished)
    assert (out / "table" / "table.md").read_text() == (finished / "table" / "table.md").read_text()


def killed_now():
    raise KeyboardInterrupt


def test_what_is_finished_is_not_done_again(finished, monkeypatch):
    files = list(finished.rglob("results.jsonl"))
    before = {path: path.stat().st_mtime_ns for path in files}
    monkeypatch.setattr(neighbours, "nearest_neighbours", lambda *args: pytest.fail("searched again"))
    run(small(finished))
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_each_command_is_one_that_can_be_given_alone(finished):
    steps = plan(small(finished))
    tests = ["transfer linear", "transfer knn"]
    assert [step.words for step in steps] == ["pretext train", *tests, "pretext train", *tests, *tests]
    for step in steps:
        assert parse_config(step.words, step.command.config, [str(step.file)]) == step.config


def test_a_task_of_ones_own_is_in_the_same_table(tmp_path, monkeypatch):
    shutil.copy(PROJECT / "mytasks.py", tmp_path)
    monkeypatch.chdir(tmp_path)
    config = small(tmp_path / "out")
    tests = {"neighbours": config.tests["neighbours"]}
    runs = {"mine": {"task": "mytasks:Rotation", "task_args": {"turns": 2}}, "random": config.runs["random"]}
    run(small(tmp_path / "out", runs=runs, tests=tests))
    table = (tmp_path / "out" / "table" / "table.md").read_text()
    assert "| mine " in table
    assert "| random " in table


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"runs": {"x": {"task": "rotatoin"}}},
            "run x: there is no task 'rotatoin' .did you mean 'rotation'",
        ),
        (
            {"runs": {"x": {"task": "autoencoder"}}},
            "run x: an autoencoder reproduces Lab, but Eccv16 sees lightness",
        ),
        (
            {"runs": {"x": {"task": "jigsaw", "data": {"crop_size": 24}}}},
            "run x: crop_size 24 has no room for 3 x 3",
        ),
        ({"runs": {"x": {"network": {"name": "resnet5"}}}}, "run x: .*no network 'resnet5'"),
        ({"runs": {"x": {"stepps": 3}}}, "run x: .*unknown configuration key 'stepps'"),
        (
            {"runs": {"x": {"backbone": {"model": "random:eccv16"}, "task": "rotation"}}},
            "run x has a backbone, which",
        ),
        ({"runs": {"a/b": {}}}, "'a/b' names folders of a benchmark"),
        ({"tests": {"y": {"test": "linaer"}}}, "no downstream test 'linaer' .did you mean 'linear'"),
        ({"tests": {"y": {"epochs": 3}}}, "test y does not say which it is"),
        ({"tests": {"y": {"test": "knn", "epochs": 3}}}, "test y: .*unknown configuration key 'epochs'"),
        (
            {"tests": {"y": {"test": "knn", "data": {"train": "sample", "test": "phtoos"}}}},
            "test y: data.test: there is no folder phtoos",
        ),
        ({"seeds": []}, "a benchmark needs seeds, runs and tests"),
    ],
)
def test_what_cannot_be_run_is_refused_before_anything_trains(tmp_path, changes, message):
    with pytest.raises(ValueError, match=message):
        run(small(tmp_path / "out", **changes))
    assert not list((tmp_path / "out").glob("*/training/"))


@pytest.mark.slow
def test_the_command_makes_the_table_of_the_bundled_example(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["benchmark", str(SAMPLE), "--seeds", "[1]"]) == 0
    assert "the page: results/benchmark_sample/table/index.html" in capsys.readouterr().out
