"""The pages against the records and the metadata that they are made from."""

import importlib.util
import json
import re
from math import isnan
from pathlib import Path

import pytest
import yaml

from eval_colorization.published import CTEST10K
from pretext.pretrained import SHIPPED_WEIGHTS, load_pretrained
from pretext.quoted import NOTE, mark
from pretext.runtime.command_line import read_yaml
from pretext.runtime.metrics_log import read_metrics
from pretext.runtime.run_dir import RunDir
from transfer.backbone import open_backbone
from transfer.config import BackboneConfig
from transfer.results import read_records

ROOT = Path(__file__).parents[2]
SHIPPED = "eccv16-photographs"
# By its place: a package of the name docs comes with some libraries.
spec = importlib.util.spec_from_file_location("docs_tables", ROOT / "docs" / "tables.py")
tables = importlib.util.module_from_spec(spec)
spec.loader.exec_module(tables)


@pytest.mark.parametrize("page", tables.PAGES)
def test_a_page_shows_what_its_records_say(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert text.count("<!-- begin ") == text.count("<!-- end ") > 0
    assert text == tables.with_tables(text), "run: python docs/tables.py"


def test_every_table_is_on_a_page():
    pages = "".join((ROOT / page).read_text() for page in tables.PAGES)
    for name in tables.TABLES:
        assert f"<!-- begin {name} -->" in pages


def test_the_shipped_file_carries_its_card():
    card = yaml.safe_load(SHIPPED_WEIGHTS[SHIPPED].with_suffix(".yaml").read_text(encoding="utf-8"))
    for key, value in card.items():
        said = tables.metadata()[key]
        assert (said if isinstance(value, str) else json.loads(said)) == value, key


def test_all_records_of_the_shipped_network_are_of_its_weights():
    weights = load_pretrained(SHIPPED).sha256
    assert open_backbone(BackboneConfig(model=SHIPPED), seed=0).sha256 == weights
    records = [of for of in read_records([ROOT / "docs" / "transfer"]) if of.backbone == SHIPPED]
    assert {record.weights for record in records} == {weights}
    for name in ("heldout", "imagenette"):
        report = json.loads((ROOT / "docs" / "weights" / name / "report.json").read_text(encoding="utf-8"))
        measured = report["manifest"]["methods"][SHIPPED]
        assert measured["sha256 of the weights"] == weights
        assert measured["checkpoint"] == SHIPPED


def test_the_report_of_the_card_marks_what_is_quoted_from_memory():
    page = (ROOT / "docs" / "weights" / "heldout" / "index.html").read_text(encoding="utf-8")
    section = page.split('<section id="published">')[1].split("</section>")[0]
    for method, numbers in {**CTEST10K.rows, **CTEST10K.controls}.items():
        row = re.search(rf'<th scope="row">{method}</th>(.*)</tr>', section)[1]
        shown = re.sub(r"<.*?>", " ", row.replace('<span class="mark">', "")).split()
        assert shown == ["\N{EN DASH}" if isnan(of) else f"{of}{mark(of)}" for of in numbers]
    assert NOTE in section


def test_the_figures_of_the_card_are_those_of_the_records():
    figures = json.loads(tables.metadata()["figures"])
    stage, row = tables.best_stage("linear", "imagenette", "top1", SHIPPED)
    colours = tables.report("heldout")[SHIPPED]
    last = read_metrics(ROOT / "docs" / "weights" / "metrics.jsonl")[-1]
    assert figures == {
        "validation_loss": round(last["validation_loss"], 3),
        "validation_loss_of_the_constant_answer": round(last["validation_constant_answer"], 3),
        **{metric: round(colours[metric]["value"], 2) for metric in ("auc_rebalanced", "auc", "psnr")},
        "imagenette_linear_top1": round(row.cells[stage].mean, 1),
        "imagenette_linear_stage": stage,
    }


def test_the_shipped_network_knows_more_of_colours_than_grey_and_the_constant_answer():
    methods = tables.report("heldout")
    rebalanced = {name: summaries["auc_rebalanced"]["value"] for name, summaries in methods.items()}
    assert rebalanced[SHIPPED] >= 77
    assert rebalanced[SHIPPED] - rebalanced["grey"] >= 12
    last = read_metrics(ROOT / "docs" / "weights" / "metrics.jsonl")[-1]
    assert last["validation_constant_answer"] - last["validation_loss"] >= 0.7


def test_its_best_stage_beats_the_best_of_three_random_networks_by_fifteen_points():
    _, shipped = tables.best_stage("linear", "imagenette", "top1", SHIPPED)
    _, random = tables.best_stage("linear", "imagenette", "top1", tables.RANDOM)
    best_random = max(value for cell in random.cells.values() for value in cell.values)
    assert all(len(cell.values) == 3 for cell in random.cells.values())
    assert max(cell.mean for cell in shipped.cells.values()) - best_random >= 15


def test_the_claims_about_other_systems_are_those_of_their_report():
    methods = tables.report("systems")
    assert methods.keys() >= tables.SYSTEMS.keys()

    def value(method, metric):
        return methods[method][metric]["value"]

    cautious, rebalanced = ("larsson", "dahl", "deoldify"), ("zhang", "scene_context")
    for name in (*cautious, *rebalanced):
        run = RunDir(ROOT / "docs" / "systems" / name)
        rows = [row for row in read_metrics(run.metrics) if "validation_loss" in row]
        assert rows[-1]["step"] == read_yaml(run.config)["steps"]
        assert rows[-1]["validation_loss"] < rows[-1]["validation_constant_answer"]
        assert value(name, "auc_rebalanced") > value("grey", "auc_rebalanced")
    for name in cautious:
        assert value(name, "auc") > value("grey", "auc")
        assert value(name, "psnr") > value("grey", "psnr")
        assert value(name, "ciede2000") < value("grey", "ciede2000")
        assert value(name, "colourfulness") < value("truth", "colourfulness") / 2
        assert value(name, "auc_rebalanced") < min(value(other, "auc_rebalanced") for other in rebalanced)
    for name in rebalanced:
        assert value(name, "psnr") < value("grey", "psnr")
        assert value(name, "colourfulness") > 0.8 * value("truth", "colourfulness")
    assert value("eccv16-photographs", "auc_rebalanced") - value("zhang", "auc_rebalanced") > 9


def test_the_benchmark_s_claims_are_those_of_its_records():
    def best(task, metric, run):
        rows = [row for of in tables.found(task, "imagenette", metric, folder="benchmark") for row in of.rows]
        return max(cell.mean for row in rows if row.backbone == run for cell in row.cells.values())

    for test in (("linear", "top1"), ("knn", "top1"), ("low_shot_svm", "mAP")):
        order = [best(*test, run) for run in ("split_brain", "colorization", "kaiming", "gaussian")]
        assert order == sorted(order, reverse=True)
        assert best(*test, "split_brain") == max(best(*test, run) for run in tables.benchmark_runs())
        assert best(*test, "kmeans") > best(*test, "kaiming")
        assert best(*test, "colorization_regression") > best(*test, "kaiming")
    (linear,) = tables.found("linear", "imagenette", "top1", folder="benchmark")
    rows = {row.backbone: row.cells for row in linear.rows}
    trained = rows.keys() - {"kaiming", "gaussian", "kmeans"}
    assert len(trained) >= 5
    assert all(rows[run]["conv5"].mean > rows["kmeans"]["conv5"].mean for run in trained)
    best_stages = {run: max(cells, key=lambda stage: cells[stage].mean) for run, cells in rows.items()}
    assert best_stages.pop("autoencoder") == "conv8"
    assert set(best_stages.values()) <= {"conv1", "conv2", "conv3"}
    for test in (("linear", "top1"), ("knn", "top1")):
        assert best(*test, "colorization") > best(*test, "lightness_prediction")
    config = read_yaml(ROOT / "configs" / "transfer" / "benchmark_photographs.yaml")
    for folder in (ROOT / "docs" / "benchmark").glob("*/training"):
        ran = read_yaml(folder / "config.yaml")
        assert (ran["steps"], ran["batch_size"]) == (config["train"]["steps"], config["train"]["batch_size"])
        assert read_metrics(folder / "metrics.jsonl")[-1]["step"] == ran["steps"]
