"""The script for other batch systems, run by two nodes that are this machine."""

import subprocess

import pytest

from pretext.__main__ import main
from pretext.runtime.metrics_log import read_metrics
from tests.end_to_end.small_run import small, trained


@pytest.fixture
def profile(tmp_path):
    path = tmp_path / "profile.yaml"
    path.write_text(
        "cluster: torchrun\nnodes: 2\ntasks_per_node: 1\nenvironment: [export NODES_READ_THIS=1]\n"
    )
    return path


@pytest.mark.slow
def test_two_nodes_that_run_the_script_train_as_one_process_does(profile, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    argv = small("run with blanks", batch_size=4, steps=3)
    assert main([*argv, "--cluster", str(profile), "--dry-run"]) == 0
    script = tmp_path / "train.sh"
    script.write_text(capsys.readouterr().out)
    assert not (tmp_path / "run with blanks").exists()
    nodes = [subprocess.Popen(["bash", script, "127.0.0.1"], cwd="/") for _ in range(2)]
    assert [node.wait(timeout=300) for node in nodes] == [0, 0]
    alone = trained(tmp_path / "alone", batch_size=4, steps=3)
    losses = [
        [row["loss"] for row in read_metrics(run / "metrics.jsonl") if "loss" in row]
        for run in (tmp_path / "run with blanks", alone)
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert len(losses[0]) == 3


@pytest.mark.parametrize(
    "flags",
    [[], ["--dry-run", "--wait"], ["--dry-run", "--sweep", "seed=0..1"], ["--dry-run", "--after", "7"]],
    ids=str,
)
def test_what_only_a_queue_can_do_is_refused(flags, profile, tmp_path, capsys):
    assert main([*small(tmp_path / "run"), "--cluster", str(profile), *flags]) == 2
    assert "cluster: torchrun sends nothing, it prints a script for one command" in capsys.readouterr().err
