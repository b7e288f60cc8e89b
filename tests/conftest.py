import os
import signal

import jaxtyping
import pytest
import torch

# Without a GPU, Triton's kernels run in its interpreter; it reads this when it is imported.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

# A script's background job is started with Ctrl-C ignored, and so would be the processes that tests send it to.
signal.signal(signal.SIGINT, signal.default_int_handler)

SLOW_FIXTURES = {"browser", "one_machine"}  # Chromium, and the Slurm of two nodes


@pytest.fixture
def unchecked_types():
    """Without the run-time check of types: while a graph is recorded or compiled, sizes are symbols, not integers."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Mark every test that uses one of SLOW_FIXTURES; other slow tests carry the mark themselves."""
    for item in items:
        if SLOW_FIXTURES & set(item.fixturenames):
            item.add_marker(pytest.mark.slow)


def pytest_terminal_summary(terminalreporter, exitstatus, config):
    """Under FAIL_ON_SKIP, as in .ci/run, a skipped test is a failed run."""
    if os.environ.get("FAIL_ON_SKIP") and terminalreporter.stats.get("skipped"):
        terminalreporter.section("skipped tests fail this run (FAIL_ON_SKIP)")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session, exitstatus):
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("FAIL_ON_SKIP") and reporter and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
