"""A real browser for the pages that people will open, trained networks to evaluate, and photographs."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.end_to_end.small_run import trained
from tests.eval_colorization.reporting import save_photos

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
QUIET = ("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync")


@pytest.fixture(scope="session")
def browser() -> "Iterator[Browser]":
    """The Chromium of this machine, headless."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="Playwright is missing: pip install playwright"
    )
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu", "--disable-quic", *QUIET]
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small trained network: a run directory of `pretext train`, classification over the 313 bins."""
    return trained(tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="session")
def regression_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, trained by regression."""
    return trained(tmp_path_factory.mktemp("runs") / "regression", task="colorization_regression")


@pytest.fixture(scope="session")
def learned_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for TORCH_HOME with random weights of LPIPS and FID."""
    pytest.importorskip(
        "torch_fidelity", reason="FID is missing: pip install 'colorization-benchmark[perceptual]'"
    )
    from tests.eval_colorization.learned_weights import save_learned_weights

    home = tmp_path_factory.mktemp("torch_home")
    save_learned_weights(home)
    return home


@pytest.fixture
def evaluate(
    capsys: pytest.CaptureFixture[str],
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line in this process; returns exit status, standard output and standard error."""
    from eval_colorization.__main__ import main

    def run(*argv: object) -> tuple[int, str, str]:
        status = main([*map(str, argv)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """See `save_photos`."""
    return save_photos(tmp_path / "photos")
