"""A colour metric of a user's own, from a folder that knows this project by its public interface only."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

from eval_colorization import evaluate
from eval_colorization.__main__ import main

METRIC = "mymetrics:HueError"


@pytest.fixture
def photographs(project):
    """The user's photographs, and in the folder `opposite` the work of a system that turns every hue by 180 degrees."""
    (project / "opposite").mkdir()
    for file in (project / "photographs").iterdir():
        pixels = np.asarray(Image.open(file))
        lightness = np.repeat(rgb2lab(pixels)[..., :1] * 2.55, 3, axis=-1)
        opposite = (lightness - 0.5 * (pixels - lightness)).clip(0, 255).round()
        Image.fromarray(opposite.astype(np.uint8)).save(project / "opposite" / file.name)
    return project / "photographs"


def report(*more):
    return main(
        ["report", "--data", "photographs", "--out", "report", "--methods.opposite.folder", "opposite",
         "--metrics", f"[{METRIC}]", "--image_size", "48", "--resamples", "20", "--num_workers", "0", *more]
    )  # fmt: skip


def test_it_is_in_the_page_the_table_and_the_files_of_a_report(photographs, capsys):
    assert report() == 0
    assert "hue error" in capsys.readouterr().out
    page = Path("report/index.html").read_text()
    assert "hue error" in page
    assert "mean angle between the hues in ab" in page
    content = json.loads(Path("report/report.json").read_text())
    assert content["metrics"][METRIC]["unit"] == "degrees"
    errors = {m["name"]: m["summaries"].get(METRIC, {}).get("value") for m in content["methods"]}
    assert errors["truth"] == 0
    assert errors["opposite"] > 90
    with Path("report/per_image.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "opposite"]
    mean = sum(float(row[METRIC]) for row in rows) / len(rows)
    assert mean == pytest.approx(errors["opposite"])


def test_what_was_measured_by_other_code_is_not_taken_for_its_own(photographs):
    def measure():
        small = {"image_size": 48, "resamples": 20, "num_workers": 0}
        evaluate({"opposite": "opposite"}, photographs, metrics=[METRIC], resume_dir="report", **small)

    measure()
    measure()
    code = Path("mymetrics.py")
    code.write_text(code.read_text().replace("MIN_CHROMA = 10.0", "MIN_CHROMA = 20.0"))
    with pytest.raises(ValueError, match=rf"own metrics\.{METRIC}"):
        measure()


def test_one_that_returns_a_single_number_for_a_batch_is_told_what_is_expected(photographs, capsys):
    code = Path("mymetrics.py")
    code.write_text(code.read_text().replace("dim=(1, 2)", ""))
    assert report() == 2
    assert "must return one number per picture, a tensor of shape (3,)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nowhere:HueError", "there is no module nowhere"),
        ("mymetrics:HueErorr", "has no HueErorr (did you mean 'HueError'?)"),
        ("mymetrics:hue_error", "must be an eval_colorization.Metric with a measure"),
        ("psnr", "is not module:Name of a metric of your own"),
    ],
)
def test_a_name_that_is_no_metric_is_told_in_one_line(photographs, capsys, name, complaint):
    assert report("--metrics", f"[{name}]") == 2
    errors = capsys.readouterr().err
    assert complaint in errors
    assert len(errors.strip().splitlines()) == 1
