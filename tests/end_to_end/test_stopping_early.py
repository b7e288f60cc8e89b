"""A signal before the first step ends a run at once: there is nothing to save."""

import signal

import pytest

from tests.end_to_end.small_run import TORCHRUN, small, start

TWO_PROCESSES = (*TORCHRUN, "-m", "pretext")


def stopped_at(moment, argv, number, **options):
    """Exit status and output of a command that gets a signal when it prints a line that begins so."""
    with start(argv, **options) as process:
        for line in process.stdout:
            if line.startswith(moment):
                process.send_signal(number)
                break
        output = process.stdout.read()  # ends when every process that could write there has ended
    return process.returncode, output


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_during_the_first_step_ends_the_run_with_nothing_to_save(tmp_path, number):
    # Compiling takes seconds, beginning with the line that says what is trained.
    argv = small(tmp_path / "run", compile="true", data__num_workers=2)
    returned, output = stopped_at("eccv16 (width", argv, number)
    if number == signal.SIGINT:
        assert returned == 130, output
        assert "pretext train: interrupted" in output
    else:
        assert returned == -number, output
    assert not (tmp_path / "run" / "checkpoints" / "last.pt").exists()


@pytest.mark.slow
def test_sigterm_to_torchrun_during_the_first_step_ends_all_processes(tmp_path):
    argv = small(tmp_path / "run", compile="true", data__num_workers=1)
    returned, output = stopped_at("eccv16 (width", argv, signal.SIGTERM, launcher=TWO_PROCESSES)
    assert returned != 0
    assert "got signal: 15" in output, output
    assert not (tmp_path / "run" / "checkpoints" / "last.pt").exists()
