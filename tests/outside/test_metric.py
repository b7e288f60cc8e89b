"""A colour metric of a user's own, from a folder that knows this project by its public interface only."""

import csv
import json
import shutil
import sys
from pathlib import Path

import pytest
from skimage import data
from skimage.color import rgb2lab

from eval_colorization.__main__ import main

METRIC = "mymetrics:HueError"


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The user's folder with two photographs, and a system that turns every hue by 180 degrees."""
    import numpy as np
    from PIL import Image

    shutil.copy(Path(__file__).parent / "project" / "mymetrics.py", tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    for folder in ("photographs", "opposite"):
        (tmp_path / folder).mkdir()
    for name in ("chelsea", "coffee"):
        pixels = getattr(data, name)()[100:148, 100:148]
        Image.fromarray(pixels).save(f"photographs/{name}.png")
        lightness = np.repeat(rgb2lab(pixels)[..., :1] * 2.55, 3, axis=-1)
        opposite = lightness - 0.5 * (pixels - lightness)
        Image.fromarray(opposite.clip(0, 255).round().astype(np.uint8)).save(f"opposite/{name}.png")
    yield tmp_path
    sys.modules.pop("mymetrics", None)


def report(*more):
    return main(
        ["report", "--data", "photographs", "--out", "report", "--methods.opposite.folder", "opposite",
         "--metrics", f"[{METRIC}]", "--image_size", "48", "--resamples", "20", "--num_workers", "0", *more]
    )  # fmt: skip


def test_it_is_in_the_page_the_table_and_the_files_of_a_report(project, capsys):
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


def test_what_was_measured_by_other_code_is_not_taken_for_its_own(project, capsys):
    assert report() == 0
    code = Path("mymetrics.py")
    code.write_text(code.read_text().replace("MIN_CHROMA = 10.0", "MIN_CHROMA = 20.0"))
    assert report() == 2
    assert f"own metrics.{METRIC}" in capsys.readouterr().err


def test_one_that_returns_a_single_number_for_a_batch_is_told_what_is_expected(project, capsys):
    code = Path("mymetrics.py")
    code.write_text(code.read_text().replace("dim=(1, 2)", ""))
    assert report() == 2
    assert "must return one number per picture, a tensor of shape (2,)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("nowhere:HueError", "there is no module nowhere"),
        ("mymetrics:HueErorr", "has no HueErorr (did you mean 'HueError'?)"),
        ("mymetrics:hue_error", "must be an eval_colorization.Metric with a measure"),
        ("psnr", "is not module:Name of a metric of your own"),
    ],
)
def test_a_name_that_is_no_metric_is_told_in_one_line(project, capsys, name, complaint):
    assert report("--metrics", f"[{name}]") == 2
    errors = capsys.readouterr().err
    assert complaint in errors
    assert len(errors.strip().splitlines()) == 1
