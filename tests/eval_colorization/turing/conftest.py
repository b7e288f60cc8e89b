"""A small test, exported once; and one without images, with simulated participants."""

from typing import Any

import numpy as np
import pytest

from eval_colorization.config import TuringConfig
from eval_colorization.turing.export import write_test
from eval_colorization.turing.key import Key
from tests.eval_colorization.turing.sample_pairs import METHODS, PHOTOS, Exported, colorize
from tests.eval_colorization.turing.simulation import FOOLING, make_key, simulate


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Four forms of 2 practice, 3 test and 1 vigilance trials; of the ten photographs one is left over."""
    folder = tmp_path_factory.mktemp("turing") / "out"
    config = TuringConfig(
        data="",
        out=str(folder),
        methods={},
        practice_trials=2,
        test_trials=3,
        vigilance_trials=1,
        display_seconds=0.05,
    )
    key = write_test(config, photos=PHOTOS, methods=METHODS, colorize=colorize, manifest={"images": PHOTOS})
    return Exported(folder, key)


@pytest.fixture(scope="module")
def key() -> Key:
    """Two forms of two methods, as `turing-score` reads them."""
    return make_key(np.random.default_rng(0), tuple(method for method in FOOLING if method), test=6)


@pytest.fixture
def results(key: Key) -> list[dict[str, Any]]:
    """The result files of four simulated participants."""
    return simulate(key, np.random.default_rng(1), 4, FOOLING)
