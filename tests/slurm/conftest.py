from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, is_running


@pytest.fixture(scope="session")
def one_machine() -> None:
    """Skips where the one-machine cluster is not up; on any other Slurm too, where tests have no business."""
    if not is_running():
        pytest.skip("no Slurm here: sudo slurm/one_machine/up.sh brings one up")


@pytest.fixture
def cluster(one_machine: None, tmp_path: Path) -> Iterator[Cluster]:
    """The cluster with both nodes up; jobs whose logs lie under `tmp_path` are cancelled after the test."""
    cluster = Cluster(output=tmp_path)
    cluster.restore()
    yield cluster
    cluster.restore()
