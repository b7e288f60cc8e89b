"""A user's own code on a real Slurm: it travels with the job as it was when the job was sent."""

import re
import sys

import pytest

from tests.end_to_end.small_run import finish, small
from tests.slurm.cluster import slurm
from tests.slurm.conftest import cluster, one_machine
from tests.slurm.training_job import TrainingJob, assert_same_weights, on_cluster, weights
from transfer.results import read_records

__all__ = ["cluster", "one_machine"]  # fixtures
pytestmark = pytest.mark.slow
ON_CLUSTER = on_cluster(nodes=1)


def training(run_dir):
    return small(
        run_dir,
        steps=60,
        save_every=5,
        batch_size=24,
        task="mytasks:Rotation",
        network__name="mynets:Tiny",
        network__args="{depth: 2}",
        data__train="mydata:Photos:photos.txt",
    )


def test_a_requeued_training_ends_as_one_that_nobody_disturbed_whatever_became_of_the_users_files(
    cluster, project
):
    finish(training("undisturbed"), folder=project)
    output = finish([*training("run"), *ON_CLUSTER], folder=project)
    job = TrainingJob(project / "run", re.match(r"job (\d+)\n", output)[1])
    job.wait_for_step(7)
    (project / "mynets.py").write_text("raise RuntimeError('a later edit')\n")
    (project / "mytasks.py").unlink()
    slurm("scontrol", "requeue", job.id)
    job.wait_for_end()
    assert job.ends[-1] == (0, "done"), job.log
    assert [start["attempt"] for start in job.starts] == [1, 2]
    assert_same_weights(project / "run", weights(project / "undisturbed"))


def test_a_downstream_test_of_ones_own_is_sent_like_a_built_in_one(cluster, project):
    argv = [
        "mytests:Retrieval",
        "--backbone.model=random:alexnet",
        "--backbone.width=0.25",
        "--out=retrieval",
    ]
    argv += ["--data.train=sample", "--data.test=sample", *ON_CLUSTER, "--wait"]
    finish(argv, folder=project, launcher=(sys.executable, "-m", "transfer"))
    records = read_records([project / "retrieval"])
    assert {record.metric for record in records} == {"recall1"}
    assert (project / "retrieval" / "job" / "code" / "mytests.py").exists()
