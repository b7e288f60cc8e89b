"""The figures of a report."""

import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from eval_colorization.report.figures import draw_auc_curves, draw_figures
from eval_colorization.report.looks import method_styles
from pretext.figure_style import INK, inline_svg, literal, save_figure
from tests.eval_colorization.report.made_results import made_results


@pytest.fixture(scope="module")
def results():
    return made_results(size=32)


@pytest.fixture(scope="module")
def drawings(results):
    return draw_figures(results)


def test_without_networks_and_labels_their_figures_are_not_drawn(results, drawings):
    fewer = draw_figures(replace(results, networks=(), diagnosticity=None))
    assert drawings.keys() - fewer.keys() == {"temperature_sweep", "reliability", "diagnosticity"}


def test_without_a_classifier_diagnosticity_shows_psnr_and_entropy(results):
    classes = tuple(
        replace(of, accuracy_truth=None, accuracy_grey=None, accuracy_incongruent=None, diagnosticity=None)
        for of in results.diagnosticity.classes
    )
    halves = {
        half: {
            name: {key: value for key, value in of.items() if key != "accuracy"}
            for name, of in methods.items()
        }
        for half, methods in results.diagnosticity.halves.items()
    }
    unlabelled = replace(
        results.diagnosticity, ordered_by="ab entropy", classes=classes, halves=halves, recognised={}
    )
    left, right = draw_figures(replace(results, diagnosticity=unlabelled))["diagnosticity"].figure.axes
    assert left.get_ylabel() == "PSNR (dB)"
    assert "bits" in right.get_ylabel()


def test_with_a_classifier_the_middle_shows_both_halves_in_the_papers_three_conditions(drawings):
    # Tanaka and Presnell 1999: in the object's colour, achromatic, in an incongruent colour.
    middle = drawings["diagnosticity"].figure.axes[1]
    assert [label.get_text() for label in middle.get_xticklabels()] == [
        "true\ncolours",
        "grey",
        "opposite\ncolours",
    ]
    lines = {line.get_label(): line.get_ydata().tolist() for line in middle.get_lines()}
    assert lines["high half"] == [80, 50, 35]
    assert lines["low half"] == [57, 50, 46]


def test_the_auc_curves_are_the_shares_of_pixels_in_percent(results):
    axes = draw_auc_curves(results).axes[0]
    for line, method in zip(axes.get_lines(), results.methods, strict=True):
        np.testing.assert_allclose(line.get_ydata(), 100 * method.auc_curve)


def test_a_png_has_200_dots_an_inch_and_a_pdf_embeds_its_fonts_and_no_date(drawings, tmp_path):
    save_figure(drawings["auc_curves"].figure, tmp_path / "auc")
    with Image.open(tmp_path / "auc.png") as image:
        assert image.width == round(200 * 8.6)
    pdf = (tmp_path / "auc.pdf").read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/CreationDate" not in pdf


def test_in_the_page_ink_takes_the_texts_colour_and_no_two_figures_share_an_id(drawings):
    svgs = [inline_svg(drawing.figure, name) for name, drawing in drawings.items()]
    assert all("currentColor" in svg and INK not in svg and "<style" not in svg for svg in svgs)
    ids = [found for svg in svgs for found in re.findall(r'\bid="([^"]*)"', svg)]
    assert len(ids) == len(set(ids))
    used = {found for svg in svgs for found in re.findall(r'(?:href="|url\()#([^")]*)', svg)}
    assert used <= set(ids)


def test_eighteen_methods_look_different_from_each_other_and_a_method_looks_the_same_without_the_controls(
    results,
):
    methods = [replace(results.methods[0], name=f"method {number}") for number in range(18)]
    looks = method_styles([*methods, *results.methods[-3:]])
    assert len({(look.colour, str(look.dashes)) for look in looks.values()}) == 21
    assert looks["method 7"] == method_styles(methods)["method 7"]


def test_long_names_that_differ_only_at_their_ends_stay_apart():
    names = [f"runs/imagenet_eccv16_rebalanced, T = 0.{tenth}" for tenth in range(10)]
    assert len({literal(name, 26) for name in names}) == 10
    assert literal(names[0][:26], 26) == names[0][:26]
    assert len(literal(names[0], 26)) == 26


@pytest.mark.parametrize("name", ["$x_{1}$ & $y$", "_hidden", "100 % <b>", "--> <!--"])
def test_a_methods_name_is_drawn_letter_by_letter(results, name):
    renamed = replace(results.methods[0], name=name)
    svg = inline_svg(draw_auc_curves(replace(results, methods=(renamed,))), "auc")
    drawn = name.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert f"{drawn} " in svg
    assert "<!--" not in svg
