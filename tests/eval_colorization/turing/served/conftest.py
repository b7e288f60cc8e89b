import httpx
import pytest

from tests.eval_colorization.turing.serving import serving, write_small_test


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "test"


@pytest.fixture
def key(folder):
    return write_small_test(folder)


@pytest.fixture
def server(folder, key):
    with serving(folder, invitations=4) as server:
        yield server


@pytest.fixture
def client():
    with httpx.Client() as client:
        yield client
