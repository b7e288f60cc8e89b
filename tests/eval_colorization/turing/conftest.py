"""A small test, exported once."""

import pytest

from eval_colorization.turing.export import write_test
from tests.eval_colorization.turing.sample_pairs import METHODS, PHOTOS, Exported, paint


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Exported:
    """Four forms of 2 practice, 3 test and 1 vigilance trials; of the ten photographs one is left over."""
    folder = tmp_path_factory.mktemp("turing") / "out"
    key = write_test(
        folder,
        photos=PHOTOS,
        methods=METHODS,
        paint=paint,
        manifest={"images": PHOTOS},
        practice_trials=2,
        test_trials=3,
        vigilance_trials=1,
        display_seconds=0.05,
    )
    return Exported(folder, key)
