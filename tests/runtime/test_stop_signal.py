"""Ctrl-C before the first step, when there is nothing to save, and afterwards."""

import contextlib
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


def test_an_interrupt_that_a_library_swallows_is_raised_again_at_the_first_step(stop):
    with contextlib.suppress(KeyboardInterrupt):  # as a bare `except` in an import does
        signal.raise_signal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        stop.agreed()


def test_after_the_first_step_an_interrupt_is_remembered_and_a_second_one_ends_the_process(stop):
    assert stop.agreed() == 0
    signal.raise_signal(signal.SIGINT)
    assert stop.agreed() == signal.SIGINT
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert stop.agreed() == signal.SIGINT


def test_an_ignored_interrupt_stays_ignored_before_the_first_step():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with join_world("cpu") as world, StopSignal(world):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
