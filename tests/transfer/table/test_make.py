"""`transfer table`: from records to files, figures and a page."""

import re
from html.parser import HTMLParser
from urllib.parse import unquote

import numpy as np
import pytest

from tests.transfer.table.made_records import HOSTILE, random_records, record, table_of
from transfer.config import TableConfig
from transfer.results import write_records
from transfer.table.comparison import make_tables
from transfer.table.figure import draw_by_stage, figure_names
from transfer.table.make import make_table


class Page(HTMLParser):
    """What a page loads, and the text of its headers of rows."""

    def __init__(self, text):
        super().__init__()
        self.in_row = False
        self.addresses, self.tags, self.ids, self.rows, self.policy = [], [], [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append(tag)
        self.addresses += [
            given[name] for name in ("src", "href", "srcset", "data", "action") if given.get(name)
        ]
        self.ids += [given["id"]] if "id" in given else []
        self.policy = (
            given["content"] if given.get("http-equiv") == "Content-Security-Policy" else self.policy
        )
        self.in_row = (tag == "th" and given.get("scope") == "row") or (tag == "span" and self.in_row)
        if tag == "th" and self.in_row:
            self.rows.append("")

    def handle_endtag(self, tag):
        self.in_row = self.in_row and tag != "th"

    def handle_data(self, text):
        if self.in_row:
            self.rows[-1] += text


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All outputs, of hostile names, two metrics and all ways of choosing."""
    results = tmp_path_factory.mktemp("results")
    out = tmp_path_factory.mktemp("out") / "table"
    records = [
        record(
            backbone=backbone,
            stage=stage,
            metric=metric,
            chosen_on=chosen_on,
            seed=seed,
            value=40.0 + seed,
            details={"chosen_among": {"k": [1, 2]}, "chosen_by": HOSTILE} if chosen_on else {},
        )
        for backbone in (HOSTILE, "colorization")
        for stage in ("conv1", "conv2")
        for metric in ("top1", "top5")
        for chosen_on in (None, "test")
        for seed in range(2)
    ]
    write_records(results, records)
    make_table(TableConfig(results=[results], out=out))
    return out


def test_the_page_loads_nothing_and_runs_nothing(folder):
    text = (folder / "index.html").read_text()
    page = Page(text)
    assert "script" not in page.tags
    links = [address for address in page.addresses if not address.startswith(("#", "data:,"))]
    assert links  # to the folders of the results
    assert all((folder / unquote(address)).is_dir() for address in links)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    assert page.policy.startswith("default-src 'none';")
    assert "script-src" not in page.policy
    assert "prefers-color-scheme: dark" in text


def test_the_page_shows_hostile_names_letter_by_letter(folder):
    assert HOSTILE in Page((folder / "index.html").read_text()).rows


def test_every_table_at_the_end_of_training_has_its_figure_as_png_and_pdf(folder):
    stems = [
        "by_stage_1_linear_VOC2007_test_zhang16_top1",
        "by_stage_2_linear_VOC2007_test_zhang16_top5",
    ]
    figures = {f"{stem}.{kind}" for stem in stems for kind in ("png", "pdf")}
    assert {path.name for path in folder.iterdir()} == figures | {"table.md", "table.tex", "index.html"}


def test_the_markdown_is_printed_with_the_place_of_the_page(tmp_path, capsys):
    write_records(tmp_path, [record()])
    make_table(TableConfig(results=[tmp_path], out=tmp_path / "out"))
    printed = capsys.readouterr().out
    assert printed.startswith((tmp_path / "out" / "table.md").read_text())
    assert str(tmp_path / "out" / "index.html") in printed


def test_the_same_records_give_the_same_bytes(tmp_path):
    write_records(tmp_path, [record(), record(stage="conv2")])
    for out in ("a", "b"):
        make_table(TableConfig(results=[tmp_path], out=tmp_path / out))
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_the_figure_draws_the_means_with_one_sample_deviation(tmp_path):
    values, records = random_records(tmp_path)
    (container,) = draw_by_stage(table_of(*records)).axes[0].containers
    line, _, (bars,) = container.lines
    np.testing.assert_allclose(line.get_ydata(orig=False), values.mean(1))
    lengths = [end[1] - start[1] for start, end in bars.get_segments()]
    np.testing.assert_allclose(lengths, 2 * values.std(1, ddof=1))


@pytest.mark.parametrize("task", ["finetune", "detect", "segment"])
def test_columns_that_say_what_was_trained_are_no_figure_by_stage(task):
    assert not figure_names(make_tables([record(task=task, stage=stage) for stage in ("head", "all")]))


def test_the_overview_is_first_everywhere_and_only_where_there_are_two_tasks(tmp_path):
    linear = record(data="cifar")
    finetuned = record(task="finetune", protocol="voc07", stage="all", metric="mAP", value=61.0)
    detected = record(task="detect", protocol="plain, dc5 conv5", stage="all", metric="AP50", value=43.0)
    outputs = {}
    for name, records in (("one", [linear, finetuned]), ("two", [linear, finetuned, detected])):
        (tmp_path / name).mkdir()
        write_records(tmp_path / name, records)
        make_table(TableConfig(results=[tmp_path / name], out=tmp_path / name))
        outputs[name] = {
            path.name: path.read_text()
            for path in (tmp_path / name).iterdir()
            if path.suffix in (".md", ".tex", ".html")
        }
    title = "what one checkpoint is worth"
    for file, text in outputs["two"].items():
        following = 'id="section1"' if file == "index.html" else "cifar"
        assert text.lower().index(title) < text.index(following)
        assert title not in outputs["one"][file].lower()
    page = Page(outputs["two"]["index.html"])
    assert page.ids[0] == "overview"
    assert page.rows[:2] == ["colorization", "ImageNet labels"]
    assert '<th scope="col">Object detection, all: AP50 (2)</th>' in outputs["two"]["index.html"]
    assert "(2) Object detection on VOC2007 test, plain, dc5 conv5." in outputs["two"]["index.html"]


def test_two_data_sets_whose_names_differ_in_signs_alone_have_two_figures():
    records = [record(data=data, stage=stage) for data in ("a/b", "a b") for stage in ("conv1", "conv2")]
    assert len(figure_names(make_tables(records))) == 2


def test_a_table_of_one_column_has_no_figure(tmp_path):
    write_records(tmp_path, [record()])
    make_table(TableConfig(results=[tmp_path], out=tmp_path / "out"))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"table.md", "table.tex", "index.html"}


def test_the_page_shows_which_classes_were_taken_for_each_other_at_the_stage_chosen_on_validation(tmp_path):
    def measured(stage, on_validation, confusion, seed=0):
        details = {"chosen_among": {}, "chosen_by": "top1", "validation": {"top1": on_validation}}
        classes = {"accuracy_by_class": {"cat": 50.0, "dog": 100.0}, "confusion": confusion}
        return record(stage=stage, seed=seed, chosen_on="validation", details=details | classes)

    records = [
        measured("conv1", 90.0, [[31, 2], [0, 7]]),
        measured("conv2", 10.0, [[0, 99], [99, 0]]),
        measured("conv1", 90.0, [[11, 2], [0, 7]], seed=1),
        measured("conv2", 10.0, [[0, 99], [99, 0]], seed=1),
    ]
    write_records(tmp_path, records)
    make_table(TableConfig(results=[tmp_path], out=tmp_path / "out"))
    text = (tmp_path / "out" / "index.html").read_text()
    assert "Classes taken for each other: colorization, conv1" in text
    cells = re.findall(r'<td class="(right|wrong)" style="--share: (\d+)%">(\d*)</td>', text)
    assert cells == [("right", "91", "42"), ("wrong", "9", "4"), ("wrong", "0", ""), ("right", "100", "14")]
