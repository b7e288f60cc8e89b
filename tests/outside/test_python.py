"""The examples of the public functions run as they stand."""

import multiprocessing
import runpy
from pathlib import Path

import pytest
from joblib.externals.loky.backend.process import LokyProcess

EXAMPLES = sorted((Path(__file__).parent / "python").glob("*.py"))
OPTIONAL = {"detect": "detectron2", "segment": "mmseg", "linear": "timm"}  # what an example stands on


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_prints_what_it_measured_and_leaves_no_process_behind(example, project, capsys):
    pytest.importorskip(OPTIONAL.get(example.stem, "torch"), reason="see `transfer doctor` and the README")
    runpy.run_path(str(example), run_name="__main__")
    assert capsys.readouterr().out
    # joblib keeps its pool for the next call; the pool inherits nothing, and ends when it is idle.
    assert [p for p in multiprocessing.active_children() if not isinstance(p, LokyProcess)] == []
