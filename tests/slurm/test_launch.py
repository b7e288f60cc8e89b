"""Submissions, sweeps, chains and refusals on a real Slurm."""

import re
import sys
from pathlib import Path

import pytest
import yaml

import pretext
from pretext.cluster.snapshot import snapshot_code
from pretext.runtime.metrics_log import read_metrics
from tests.end_to_end.small_run import finish, small, start
from tests.slurm.cluster import slurm, wait_until

ROOT = Path(pretext.__file__).parents[1]


@pytest.fixture
def to_cluster(cluster, tmp_path):
    """Flags that send a command to the cluster."""
    path = tmp_path / "profile.yaml"
    path.write_text("{cluster: slurm, partition: main, time_limit_minutes: 10, signal_delay_seconds: 20}")
    return ["--cluster", str(path)]


@pytest.fixture
def hold(cluster, tmp_path):
    """Submits a held job for others to wait for, of that exit status; its id."""

    def submit(status):
        log = f"--output={tmp_path}/held.log"
        return slurm("sbatch", "--parsable", "--hold", log, f"--wrap=exit {status}").strip()

    return submit


def job_id(printed):
    return re.match(r"job (\d+)", printed)[1]


def run(argv, **options):
    """Exit status and output of a command."""
    with start(argv, **options) as process:
        output = process.stdout.read()
    return process.returncode, output


def running(cluster):
    """Jobs of the test that run at this moment."""
    rows = slurm("squeue", "--noheader", "--states=RUNNING", "--Format=JobArrayID:|,STDOUT:500").splitlines()
    return [row for row in rows if row.partition("|")[2].startswith(f"{cluster.output}/")]


def test_a_sweep_is_one_array_of_two_at_a_time_and_names_the_run_that_fails_while_the_others_finish(
    cluster, to_cluster, tmp_path
):
    values = ["1e-3", "1e30", "1e-4", "1e-5", "1e-6", "1e-7"]
    flags = ["--cluster.array_parallelism", "2", "--sweep", f"optim.lr={','.join(values)}", "--wait"]
    most = 0
    with start([*small(tmp_path / "runs", steps=2), *to_cluster, *flags]) as process:

        def ended():
            nonlocal most
            most = max(most, len(running(cluster)))
            return process.poll() is not None

        wait_until("the sweep ends", ended, seconds=180)
        output = process.stdout.read()
    assert process.returncode == 1, output
    assert most == 2
    statuses = dict(re.findall(r"^(optim\.lr=\S+) +(\d+) ", output, re.MULTILINE))
    assert statuses == {f"optim.lr={value}": "1" if value == "1e30" else "0" for value in values}
    jobs = slurm("sacct", "-X", "--noheader", "--parsable2", "--format=JobID", "-j", job_id(output)).split()
    assert sorted(jobs) == [f"{job_id(output)}_{index}" for index in range(6)]
    for value in values:
        config = yaml.safe_load((tmp_path / "runs" / f"optim.lr={value}" / "config.yaml").read_text())
        assert config["optim"]["lr"] == float(value)
        assert Path(config["run_dir"]).name == f"optim.lr={value}"


def test_a_benchmark_is_one_array_of_its_runs_and_ends_in_the_table_of_one_machine(to_cluster, tmp_path):
    here, there = tmp_path / "here", tmp_path / "there"
    keys = yaml.safe_load((ROOT / "configs" / "transfer" / "benchmark_sample.yaml").read_text())
    keys["train"] |= {"steps": 3, "device": "cpu"}
    for test in keys["tests"].values():
        test["device"] = "cpu"
    config = tmp_path / "benchmark.yaml"
    config.write_text(yaml.safe_dump(keys, sort_keys=False))
    argv, launcher = ["benchmark", str(config)], (sys.executable, "-m", "transfer")
    output = finish([*argv, "--out", str(there), *to_cluster, "--wait"], launcher=launcher)
    runs = [f"{name}_{seed}" for seed in (0, 1) for name in ("colorization", "rotation", "random")]
    assert re.findall(r"^(\w+_\d) +(\d+) ", output, re.MULTILINE) == [(name, "0") for name in runs]
    jobs = slurm("sacct", "-X", "--noheader", "--parsable2", "--format=JobID", "-j", job_id(output)).split()
    assert sorted(jobs) == [f"{job_id(output)}_{index}" for index in range(len(runs))]
    finish([*argv, "--out", str(here)], launcher=launcher)
    assert (there / "table" / "table.md").read_text() == (here / "table" / "table.md").read_text()


def test_a_report_waits_for_the_training_that_it_is_of(to_cluster, tmp_path):
    training = job_id(finish([*small(tmp_path / "run", steps=2), *to_cluster]))
    options = ["--data", "sample", "--max_images", "2", "--image_size", "32", "--resamples", "10"]
    options += ["--num_workers", "0", "--device", "cpu", "--out", str(tmp_path / "report")]
    argv = ["report", str(tmp_path / "run"), *options, *to_cluster, "--after", training, "--wait"]
    output = finish(argv, launcher=(sys.executable, "-m", "eval_colorization"))
    assert f"job {job_id(output)}: PENDING" in output
    assert read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]["step"] == 2
    assert (tmp_path / "report" / "index.html").exists()


def test_a_job_after_one_that_failed_never_starts_and_wait_says_so(hold, to_cluster, tmp_path):
    first = hold(1)
    with start([*small(tmp_path / "run"), *to_cluster, "--after", first, "--wait"]) as process:
        assert job_id(process.stdout.readline())
        slurm("scontrol", "release", first)
        output = process.stdout.read()
    assert process.returncode == 1
    assert "CANCELLED" in output
    assert not (tmp_path / "run" / "checkpoints").exists()
    status, complaint = run([*small(tmp_path / "run"), *to_cluster, "--after", first])
    assert (status, len(complaint.splitlines())) == (2, 1)


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (["--cluster.partition", "nope"], "invalid partition specified: nope"),
        (["--cluster.gpus_per_node", "99"], "PENDING (PartitionConfig)"),
        (["--after", "4294967295"], "Slurm knows of no job 4294967295"),
    ],
)
def test_what_the_cluster_refuses_is_one_line_in_its_words_and_leaves_nothing(
    cluster, to_cluster, tmp_path, flags, reason
):
    status, complaint = run([*small(tmp_path / "run"), *to_cluster, *flags])
    assert status == 2, complaint
    assert reason in complaint
    assert len(complaint.splitlines()) == 1
    assert not cluster.jobs()
    assert not (tmp_path / "run" / "job").exists()


def test_a_second_job_on_a_run_directory_is_refused_while_the_first_may_still_write_it(
    hold, to_cluster, tmp_path
):
    argv = [*small(tmp_path / "runs" / "seed=1"), *to_cluster]
    first = job_id(finish([*argv, "--after", hold(0)]))
    sweep = [*small(tmp_path / "runs"), *to_cluster, "--sweep", "seed=0..1"]
    for second in (argv, sweep):
        status, complaint = run(second)
        assert status == 2
        assert f"{tmp_path}/runs/seed=1 is being written by job {first}" in complaint
    slurm("scancel", first)
    wait_until(
        "the first is gone", lambda: not slurm("squeue", "--noheader", "--states=PENDING", "-j", first)
    )
    assert run([*argv, "--after", hold(0)])[0] == 0


def test_later_edits_of_code_and_configuration_do_not_reach_a_job(hold, to_cluster, tmp_path, monkeypatch):
    checkout, config = tmp_path / "checkout", tmp_path / "config.yaml"
    snapshot_code(ROOT, checkout, {})
    train = checkout / "pretext" / "training.py"
    train.write_text(train.read_text() + "print('the code as it was')\n")
    config.write_text("steps: 2\n")
    command, *flags = (word for word in small(tmp_path / "run") if not word.startswith("--steps="))
    first = hold(0)
    monkeypatch.setenv("PYTHONPATH", str(checkout))
    argv = [command, str(config), *flags, *to_cluster, "--after", first]
    job = job_id(finish(argv, launcher=(sys.executable, "-P", "-m", "pretext")))
    train.write_text("raise RuntimeError('the code as it is now')\n")
    config.write_text("steps: 3\n")
    slurm("scontrol", "release", first)
    wait_until("the job ends", lambda: not slurm("squeue", "--noheader", "-j", job), seconds=90)
    log = (tmp_path / "run" / "job" / "submitit" / f"{job}_0_log.out").read_text()
    assert "the code as it was" in log
    assert read_metrics(tmp_path / "run" / "metrics.jsonl")[-1]["step"] == 2, log
