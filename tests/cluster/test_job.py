"""The story of a run's attempts, as jobs on clusters tell it."""

import subprocess

import pytest

from pretext.cluster import states
from pretext.cluster.job import History

HOSTS = ["n1", "n2"]


@pytest.fixture
def history(tmp_path, monkeypatch):
    """A history on a machine whose accounting knows that the attempt before this one lost its node."""

    def sacct(command, **options):
        return subprocess.CompletedProcess(command, 0, stdout="NODE_FAIL\nRUNNING\n")

    monkeypatch.setattr(states.subprocess, "run", sacct)
    return History(tmp_path / "history.jsonl")


def test_attempts_are_counted_for_each_job(history):
    for job in ("7", "7", "8"):
        history.start(job, HOSTS, 2, "")
        history.end(job, 1, "failed")
    starts = [event for event in history.read() if event["event"] == "start"]
    assert [(start["job"], start["attempt"]) for start in starts] == [("7", 1), ("7", 2), ("8", 1)]


def test_an_attempt_that_was_killed_gets_its_end_and_what_slurm_says_from_the_next(history):
    history.start("7", HOSTS, 2, "")
    history.start("7", HOSTS, 2, "")
    first, end, second = history.read()
    assert first["after"] is None
    assert (end["event"], end["status"], end["reason"]) == ("end", None, "killed")
    assert second["after"] == "NODE_FAIL"


def test_where_there_is_no_slurm_an_attempt_starts_all_the_same(history, monkeypatch):
    def no_sacct(command, **options):
        raise FileNotFoundError(command[0])

    monkeypatch.setattr(states.subprocess, "run", no_sacct)
    history.start("7", HOSTS, 2, "")
    history.start("7", HOSTS, 2, "")
    assert history.read()[-1]["after"] is None


@pytest.mark.parametrize(
    ("saved", "is_stuck"),
    [
        (["none", "none", "none", "none"], True),
        (["a", "b", "b", "b", "b"], True),
        (["none", "none", "none"], False),
        (["b", "b", "b", "c"], False),
    ],
)
def test_a_job_is_stuck_when_three_attempts_in_a_row_have_saved_nothing_new(history, saved, is_stuck):
    for progress in saved:
        history.start("7", HOSTS, 2, progress)
    assert history.is_stuck("7") is is_stuck


def test_a_new_job_of_the_same_run_gets_its_own_attempts(history):
    for job in ("7", "7", "7", "8"):
        history.start(job, HOSTS, 2, "none")
    assert not history.is_stuck("8")
