"""The page of a report, in a real browser."""

import json
from dataclasses import replace

import numpy as np
import pytest

from eval_colorization.report.figures import draw_figures
from eval_colorization.report.page import render_report
from tests.eval_colorization.report.made_results import made_results

HOSTILE = "</script><img src=x onerror=\"document.title='hacked'\"><b>'&amp;{{7*7}}"


@pytest.fixture(scope="module")
def made():
    return made_results(size=48)


@pytest.fixture(scope="module")
def file(made, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    path.write_text(render_report(made, draw_figures(made)), encoding="utf-8")
    return path


@pytest.fixture
def visit(browser):
    """Opens a file; afterwards nothing may have been complained of or asked from the network."""
    contexts, complaints = [], []

    def open_page(path, width=1280, height=900, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request", lambda request: complaints.append(request.url) if leaves(request.url, path) else None
        )
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


def leaves(url, path):
    return url != path.as_uri() and not url.startswith("data:")


def shown_order(page):
    return page.locator("#gallery .image").evaluate_all("rows => rows.map(row => row.dataset.name)")


def published_row(section, method):
    row = section.locator("tbody tr").filter(has=section.page.get_by_text(method, exact=True))
    return row.locator("td").all_text_contents()


def choose(page, order, metric, method):
    page.select_option("#order", label=order)
    page.select_option("#order-metric", label=metric)
    page.select_option("#order-method", label=method)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_but_tables_and_figures_in_their_own_frames_is_wider_than_the_screen(
    visit, file, width, scheme
):
    page = visit(file, width=width, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.locator("#gallery button").first.click()
    assert page.evaluate("document.getElementById('viewer').scrollWidth") <= width


def test_all_that_is_missing_or_left_out_is_said_with_its_reason(visit, file, made):
    text = visit(file).locator("#numbers").inner_text()
    for missing in made.not_computed:
        assert missing.reason in text
        assert missing.remedy in text
    for image, reason in (*made.left_out, *made.other_lightness):
        assert f"{image}: {reason}" in text


def test_published_numbers_that_nobody_could_read_are_marked_cell_by_cell(visit, file):
    section = visit(file).locator("#published")
    assert published_row(section, "full method") == ["89.5", "67.3", "56.0", "32.3"]
    assert published_row(section, "grey") == ["89.1†", "58.0†", "52.7", "\N{EN DASH}"]
    assert "† Quoted from memory: no readable source was at hand." in section.inner_text()


@pytest.mark.parametrize(("order", "sign"), [("best first", -1), ("worst first", 1)])
def test_pictures_are_ordered_by_a_metric_of_a_method_and_those_without_a_number_come_last(
    visit, file, made, order, sign
):
    results = made
    page = visit(file)
    choose(page, order, "PSNR", "other system")
    values = results.values["psnr"][3]  # of "other system"; higher is better
    expected = [results.images[index] for index in np.argsort(sign * values, kind="stable")]
    assert np.isnan(values[-1])
    shown = shown_order(page)
    assert shown[-1] == results.images[-1]
    assert [values[results.images.index(name)] for name in shown[:-1]] == [
        values[results.images.index(name)] for name in expected[:-1]
    ]


def test_colourfulness_orders_by_the_distance_from_the_truths_and_median_first_starts_in_the_middle(
    visit, file, made
):
    results = made
    page = visit(file)
    distances = np.abs(results.values["colourfulness"][0] - results.values["colourfulness"][-1])
    by_name = dict(zip(results.images, distances, strict=True))
    choose(page, "best first", "colourfulness", results.methods[0].name)
    assert [by_name[name] for name in shown_order(page)] == sorted(distances)
    page.select_option("#order", label="median first")
    assert by_name[shown_order(page)[0]] in sorted(distances)[4:6]


def test_the_viewer_is_used_by_keyboard_and_gives_the_focus_back(visit, file, made):
    page = visit(file)
    page.locator("#gallery .image").nth(0).locator("[data-method='mode'] button").focus()
    page.keyboard.press("Enter")
    viewer = page.locator("#viewer")
    assert viewer.is_visible()
    name, left = page.locator("#viewer-name"), page.locator("#left-picture")
    assert name.inner_text().startswith(made.images[0])
    assert left.get_attribute("alt").endswith(", mode")
    page.keyboard.press("ArrowRight")
    assert name.inner_text().startswith(made.images[1])
    page.keyboard.press("ArrowDown")
    assert left.get_attribute("alt") == f"{made.images[1]}, top-k mean"
    page.locator("#divider").focus()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".stage").evaluate("stage => stage.style.getPropertyValue('--divider')") == "49%"
    page.keyboard.press("Escape")
    assert not viewer.is_visible()
    assert page.evaluate("document.activeElement.querySelector('img').alt") == f"{made.images[1]}, top-k mean"


def test_the_viewer_shows_the_images_own_numbers_and_moves_its_divider_under_the_pointer(visit, file, made):
    page = visit(file)
    page.locator("#gallery .image").nth(2).locator("[data-method='mode'] button").click()
    psnr = made.values["psnr"][1, 2]
    assert page.locator("#viewer-numbers tbody tr").first.inner_text().split("\t") == [
        "PSNR (dB)",
        f"{psnr:.2f}",
        "∞",
    ]
    box = page.locator(".stage").bounding_box()
    page.mouse.click(box["x"] + 0.25 * box["width"], box["y"] + 0.5 * box["height"])
    assert 20 <= int(page.locator("#divider").input_value()) <= 30


def test_a_method_without_a_picture_of_an_image_says_so(visit, file, made):
    page = visit(file)
    last = page.locator("#gallery .image").last
    assert last.locator("[data-method='other system']").inner_text().startswith("no image")
    last.locator("[data-method='top-k mean'] button").click()
    page.keyboard.press("ArrowDown")
    assert page.locator("#left-picture").is_hidden()


def test_without_scripts_everything_but_sorting_and_the_viewer_is_there(visit, file, made):
    page = visit(file, java_script_enabled=False)
    assert page.locator("#gallery img").count() == 10 * 7 - 1
    assert page.locator("#numbers table").first.is_visible()
    assert page.locator("figure.drawing svg").count() == 6
    assert not page.locator(".order").is_visible()
    assert not page.locator("#viewer").is_visible()


def test_names_that_are_html_show_harmless(visit, made, tmp_path):
    results = made
    methods = (replace(results.methods[0], name=HOSTILE, description=HOSTILE), *results.methods[1:])
    hostile = replace(
        results,
        title=HOSTILE,
        protocol=HOSTILE,
        methods=methods,
        images=(HOSTILE, *results.images[1:]),
        labels=(HOSTILE, *results.labels[1:]),
        left_out=((HOSTILE, HOSTILE),),
        other_lightness=((HOSTILE, HOSTILE),),
        networks=(replace(results.networks[0], name=HOSTILE, methods=(HOSTILE,)),),
        manifest={"command": HOSTILE, HOSTILE: HOSTILE},
    )
    renamed = [
        replace(image, pictures={HOSTILE: image.pictures[results.methods[0].name], **image.pictures})
        for image in results.gallery
    ]
    path = tmp_path / "index.html"
    path.write_text(
        render_report(replace(hostile, gallery=tuple(renamed)), draw_figures(hostile)), encoding="utf-8"
    )
    page = visit(path)
    page.locator("#gallery button").nth(1).click()
    assert page.title() == page.locator("h1").inner_text() == HOSTILE
    assert page.locator("img[src=x], main b").count() == 0
    assert json.loads(page.locator("#data").text_content())["methods"][0] == HOSTILE
    assert page.locator("#left-method option").nth(1).inner_text() == HOSTILE


def test_on_paper_the_manifest_is_unfolded_the_controls_are_gone_and_nothing_is_cut(visit, file):
    page = visit(file, width=703)  # A4 without its margins
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.locator(".manifest").is_visible()
    assert not page.locator(".order").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == 703
    assert page.evaluate(
        "[...document.querySelectorAll('.scroll')].every(box => box.scrollWidth <= box.clientWidth + 1)"
    )
