import pytest


@pytest.fixture
def pretext(capsys):
    """Runs a command line in this process; returns exit status, standard output and standard error."""
    from pretext.__main__ import main

    def run(*argv):
        status = main([*map(str, argv)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run
