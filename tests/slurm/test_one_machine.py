"""The cluster itself: what the tests of the launcher rely on."""

import subprocess
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, as_root, slurm, wait_until


def submit(tmp_path: Path, script: str, *flags: str) -> str:
    return slurm("sbatch", "--parsable", f"--output={tmp_path}/log", *flags, "--wrap", script).strip()


def test_both_nodes_are_up(cluster):
    assert cluster.nodes_up() == {"n1": True, "n2": True}


def test_a_job_on_both_nodes_gets_its_gpus_and_an_accounting_line(cluster, tmp_path):
    script = "srun bash -c 'echo $SLURMD_NODENAME $CUDA_VISIBLE_DEVICES'"
    job = submit(tmp_path, script, "--nodes=2", "--gpus-per-node=2")
    accounting = (
        "sacct",
        "--jobs",
        job,
        "--allocations",
        "--noheader",
        "--parsable2",
        "--format=State,ExitCode",
    )
    wait_until("the job is accounted for", lambda: slurm(*accounting) == "COMPLETED|0:0\n")
    assert sorted((tmp_path / "log").read_text().splitlines()) == ["n1 0,1", "n2 0,1"]


def test_a_job_whose_node_loses_power_starts_again_under_the_same_number(cluster, tmp_path):
    job = submit(tmp_path, "echo start; sleep 600", "--nodelist=n2", "--requeue", "--open-mode=append")
    log = tmp_path / "log"

    def starts() -> int:
        return log.read_text().count("start") if log.exists() else 0

    wait_until("the job starts", lambda: starts() == 1)
    cluster.break_node("n2", noticed=True)
    assert cluster.nodes_up() == {"n1": True, "n2": False}
    cluster.mend_node("n2")
    wait_until("the job starts again", lambda: starts() == 2)
    assert cluster.jobs() == [job]


def test_a_node_that_was_broken_unnoticed_is_mended_with_its_jobs(cluster, tmp_path):
    submit(tmp_path, "sleep 600", "--nodelist=n1")
    wait_until(
        "the job runs", lambda: "RUNNING" in slurm("squeue", "--noheader", "--nodelist=n1", "--format=%T")
    )
    cluster.break_node("n1", noticed=False)
    cluster.restore()
    assert cluster.nodes_up()["n1"]
    assert not cluster.jobs()


def test_restoring_cancels_the_jobs_of_the_test_and_no_others(cluster, tmp_path):
    (tmp_path / "mine").mkdir()
    submit(tmp_path / "mine", "sleep 600")
    other = submit(tmp_path, "sleep 600")
    Cluster(output=tmp_path / "mine").restore()
    assert cluster.jobs() == [other]


@pytest.mark.parametrize(
    ("flag", "reason"),
    [
        ("--partition=nowhere", "Invalid partition name specified"),
        ("--account=nobody", "Invalid account or account/partition combination specified"),
        ("--qos=urgent", "Invalid qos specification"),
        ("--gpus-per-node=9", "Requested node configuration is not available"),
    ],
)
def test_what_the_cluster_does_not_have_is_refused_at_submission(cluster, tmp_path, flag, reason):
    with pytest.raises(subprocess.CalledProcessError) as refusal:
        submit(tmp_path, "hostname", flag)
    assert reason in refusal.value.stderr


def test_a_job_over_its_memory_is_killed_and_its_log_says_so(cluster, tmp_path):
    script = "python3 -c 'import time; much = bytearray(400 << 20); time.sleep(600)'"
    submit(tmp_path, script, "--mem=100M")
    wait_until("the job is killed", lambda: not cluster.jobs())
    assert "exceeded memory limit" in (tmp_path / "log").read_text()


def test_bringing_up_what_is_up_does_nothing(cluster):
    assert as_root("up.sh") == "up.sh: already up\n"
