import importlib
import signal
import socket
import sys
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from eval_colorization.config import TuringServeConfig
from eval_colorization.turing import serve as serve_module
from eval_colorization.turing.serve import serve
from pretext.runtime.command_line import RunFailedError
from tests.eval_colorization.turing.serving import Participant, page_data, rows, serving, write_small_test


def test_sigterm_ends_it_in_order_and_a_restart_keeps_links_and_token(folder, key, client):
    with serving(folder, invitations=1) as server:
        first = Participant(client, server.links[0])
        first.open()
        first.answer(0)
        server.process.terminate()
        assert server.process.wait() == 128 + signal.SIGTERM
        assert "every acknowledged answer is in" in server.log.read_text()
    assert not (folder / "answers.sqlite-wal").exists()  # SQLite's sign of a database that was closed
    with serving(folder) as again:
        assert again.token == server.token
        assert page_data(client.get(again.address + urlsplit(first.link).path).text)["answered"] == 1


def test_the_admin_token_can_be_given(folder, key):
    with serving(folder, admin_token="correct-horse-battery") as server:
        assert server.token == "correct-horse-battery"
    with pytest.raises(ValueError, match=r"--admin_token must be 16 to 128 letters"):
        serve(TuringServeConfig(folder=folder, admin_token="1234"))


def test_a_database_of_another_test_is_refused(folder, key, tmp_path):
    other = write_small_test(tmp_path / "other")
    with serving(folder):
        pass
    with pytest.raises(
        ValueError, match=f"holds the answers of test {key.test_id}, the folder holds test {other.test_id}"
    ):
        serve(TuringServeConfig(folder=tmp_path / "other", database=folder / "answers.sqlite"))


def test_a_folder_without_key_or_with_a_missing_image_is_refused(folder, key, tmp_path):
    with pytest.raises(ValueError, match=r"there is no answer key .*key.json"):
        serve(TuringServeConfig(folder=tmp_path))
    missing = folder / "form-02" / "images" / key.forms[1].trials[0].fake
    missing.unlink()
    with pytest.raises(ValueError, match=f"lacks 1 images of its test, {missing} for one"):
        serve(TuringServeConfig(folder=folder))


def test_a_port_in_use_is_said_before_anything_is_printed(folder, key, capsys):
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(RunFailedError, match=rf"cannot listen on port {port} of 127.0.0.1 .*--port"):
            serve(TuringServeConfig(folder=folder, port=port, invitations=3))
    assert capsys.readouterr().out == ""
    assert rows(folder / "answers.sqlite", "SELECT * FROM participants") == []


def test_numbers_that_make_no_sense_are_refused(folder, key):
    with pytest.raises(ValueError, match=r"--port must be from 0 .* not 70000"):
        serve(TuringServeConfig(folder=folder, port=70000))
    with pytest.raises(ValueError, match=r"--invitations is a number of new links, not -1"):
        serve(TuringServeConfig(folder=folder, invitations=-1))


def test_without_the_web_server_installed_it_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(
        ValueError, match=r"turing-serve needs uvicorn: pip install 'colorization-benchmark\[turing\]'"
    ):
        importlib.reload(serve_module)
