import sys

import pytest


@pytest.fixture
def pretext(monkeypatch, capsys):
    """Runs a command line in this process; returns exit status, standard output and standard error."""
    from pretext.__main__ import main

    def run(*argv):
        monkeypatch.setattr(sys, "argv", ["pretext", *map(str, argv)])
        status = main()
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run
