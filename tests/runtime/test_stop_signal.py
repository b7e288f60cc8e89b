"""Ctrl-C once there is something to save."""

import signal

import pytest

from pretext.runtime.distributed import join_world
from pretext.runtime.stop_signal import StopSignal


@pytest.fixture
def stop():
    before = signal.getsignal(signal.SIGINT)
    with join_world("cpu") as world, StopSignal(world) as stop:
        yield stop
    assert signal.getsignal(signal.SIGINT) is before


def test_after_the_first_step_an_interrupt_is_remembered_and_a_second_one_ends_the_process(stop):
    assert stop.agreed() == 0
    signal.raise_signal(signal.SIGINT)
    assert stop.agreed() == signal.SIGINT
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert stop.agreed() == signal.SIGINT
