"""The notebooks run from top to bottom, give outputs of the kinds that are shown in them, and hold what they say."""

import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat", reason="pip install -e '.[dev]'")
NotebookClient = pytest.importorskip("nbclient", reason="pip install -e '.[dev]'").NotebookClient

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "notebooks"
# What holds at the end of a notebook, in its own variables.
CHECKS = {
    "colorize": """
from pretext.color.lab import rgb_to_lab

assert all(picture.size == photograph.size for picture in colorized)
labs = [rgb_to_lab(torch.from_numpy(np.array(of)).permute(2, 0, 1)[None] / 255) for of in [photograph, *colorized]]
assert all((lab - labs[0])[:, 0].abs().max() < 2 for lab in labs)  # the lightness stays
chroma = [lab[:, 1:].norm(dim=1).mean().item() for lab in labs[1:]]
assert chroma[1] > chroma[0]  # at 0.38 it is more vivid than the mean
assert 0 < entropy.min() < entropy.max() < np.log2(313)
""",
    "probe_timm": """
best = {name: max(of.value for of in records if of.backbone == name) for name in {of.backbone for of in records}}
assert set(best) == {"ResNet", "eccv16-photographs"}
assert best["eccv16-photographs"] > 80  # of two classes
assert {of.task for of in records} == {"knn", "linear"}
""",
    "turing": """
scores = json.loads(Path("scores/score.json").read_text())
assert {of["method"] for of in scores["methods"]} == {"network", "random"}
assert all(of["low"] <= 100 * fooled[of["method"]] <= of["high"] for of in scores["methods"])
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHECKS)
def test_a_notebook_runs_and_holds_what_it_says(name, tmp_path):
    notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    nbformat.validate(notebook)
    shown = [kinds(cell) for cell in notebook.cells]
    notebook.cells.append(nbformat.v4.new_code_cell(CHECKS[name]))
    notebook.metadata.kernelspec.name = "python3"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute()
    assert [kinds(cell) for cell in notebook.cells[:-1]] == shown


def kinds(cell):
    """Whether a cell shows a picture, and whether it prints."""
    outputs = cell.get("outputs", [])
    return (
        any("image/png" in output.get("data", {}) for output in outputs),
        any(output.get("name") == "stdout" for output in outputs),
    )


def test_every_notebook_is_tested_installs_what_it_needs_and_names_no_machine():
    assert {path.stem for path in NOTEBOOKS.glob("*.ipynb")} == CHECKS.keys()
    for name in CHECKS:
        notebook = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
        assert "%pip install --quiet 'colorization-benchmark" in notebook.cells[1].source
        assert sys.prefix not in nbformat.writes(notebook)
