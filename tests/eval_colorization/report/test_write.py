"""The files of a report, from an evaluation made up of real photographs."""

import csv
import json
import math
from dataclasses import replace

import numpy as np
import pytest

from eval_colorization.metrics.table import METRICS
from eval_colorization.report.write import per_image_csv, print_table, report_json, write_report
from tests.eval_colorization.report.made_results import made_results

FIGURES = (
    "ab_histograms",
    "auc_curves",
    "diagnosticity",
    "metric_intervals",
    "reliability",
    "temperature_sweep",
)


@pytest.fixture(scope="module")
def made():
    return made_results(size=32)


@pytest.fixture(scope="module")
def folder(made, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    write_report(made, out)
    return out


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON (RFC 8259, section 6)")


def test_a_report_is_json_csv_page_and_every_figure_as_png_and_pdf(folder):
    expected = {"report.json", "per_image.csv", "index.html"}
    expected |= {f"figures/{name}.{kind}" for name in FIGURES for kind in ("png", "pdf")}
    assert {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()} == expected


def test_the_json_is_standard_and_says_inf_in_words(folder, made):
    report = json.loads((folder / "report.json").read_text(), parse_constant=refuse)
    by_name = {method["name"]: method for method in report["methods"]}
    psnr = by_name["truth"]["summaries"]["psnr"]
    assert psnr == {"value": "inf", "low": None, "high": None, "images": 10, "standing": None}
    assert by_name["mode"]["auc_curve"] == made.methods[1].auc_curve.tolist()
    assert report["metrics"]["auc"]["how"] == METRICS["auc"].how
    assert report["not_computed"][0]["remedy"] == made.not_computed[0].remedy
    assert report["diagnosticity"]["halves"].keys() == {"high", "low"}
    assert "values" not in report
    assert "ab_histogram" not in by_name["mode"]


def test_the_json_has_null_for_nan(made):
    broken = replace(made.networks[0], accuracy=np.full(10, np.nan))
    assert report_json(replace(made, networks=(broken,)))["networks"][0]["accuracy"] == [None] * 10


def test_the_csv_gives_back_every_number_exactly_and_leaves_what_is_missing_empty(made):
    results = made
    rows = list(csv.DictReader(per_image_csv(results).splitlines()))
    assert [(row["image"], row["method"]) for row in rows] == [
        (image, method.name) for image in results.images for method in results.methods
    ]
    assert rows[0]["class"] == "person"
    assert [row["grey_truth"] for row in rows[:: len(results.methods)]].count("true") == 1
    for name, values in results.values.items():
        read = [float(row[name]) if row[name] else math.nan for row in rows]
        np.testing.assert_array_equal(np.reshape(read, values.T.shape), values.T)


def test_the_same_results_give_the_same_bytes(folder, made, tmp_path):
    write_report(made, tmp_path)
    for path in (p for p in folder.rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / path.relative_to(folder)).read_bytes(), path.name


def test_the_terminal_shows_the_methods_then_the_controls_and_names_what_is_missing(made, capsys):
    print_table(made)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines[2:9]] == [method.name for method in made.methods]
    assert "*" in lines[3].split()[1]  # mode has the highest PSNR but for the truth
    assert any("not computed: LPIPS: the weights" in line and "--lpips_weights" in line for line in lines)
    assert "left out: 1 image, named in the report" in lines
    assert "another lightness than the truth: 1 image, named in the report" in lines


def test_an_image_whose_name_is_no_utf8_can_be_reported(made, tmp_path):
    images = (b"caf\xe9.png".decode("utf-8", "surrogateescape"), *made.images[1:])
    few = replace(made, images=images, gallery=made.gallery[:1], networks=(), diagnosticity=None)
    write_report(few, tmp_path)
    assert r"caf\udce9.png" in (tmp_path / "per_image.csv").read_text()
