"""The page, taken by simulated participants in a real Chromium, as a local file."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from eval_colorization.turing.key import Form
from eval_colorization.turing.pages import participant_page
from tests.eval_colorization.turing.sample_pairs import Exported

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PHONE = {"width": 360, "height": 640}
PHONE_SIDEWAYS = {"width": 640, "height": 360}
TABLET = {"width": 768, "height": 1024}
DESKTOP = {"width": 1280, "height": 800}

# The cross before each pair stands for half a second; nobody looks at it here.
HASTE = "const patient = setTimeout; window.setTimeout = (act, ms) => patient(act, ms / 20);"

Press = Callable[["Page", int], None]  # answers that the image of place 0 or 1 is the fake


@contextmanager
def opened(browser: "Browser", folder: Path, *, init: str = HASTE, **context: Any) -> "Iterator[Page]":
    """The page of a form, in a browser profile of its own. An error in its script fails the test."""
    with browser.new_context(**context) as profile:
        page = profile.new_page()
        complaints: list[str] = []
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.add_init_script(init)
        page.goto((folder / "index.html").as_uri())
        yield page
        assert complaints == []


def by_arrows(page: "Page", place: int) -> None:
    page.keyboard.press(("ArrowLeft", "ArrowRight")[place])


def by_digits(page: "Page", place: int) -> None:
    page.keyboard.press("12"[place])


def by_touch(page: "Page", place: int) -> None:
    page.locator(("#first", "#second")[place]).tap()


def go_on_by_keyboard(page: "Page", button: str) -> None:
    page.wait_for_selector(f"{button}:enabled:focus")
    page.keyboard.press("Enter")


def go_on_by_touch(page: "Page", button: str) -> None:
    page.locator(button).tap()


def images_shown(page: "Page") -> list[str]:
    """The names of both images, once they can be seen."""
    page.wait_for_selector("#stage[data-phase=images], #stage[data-phase=places]")
    sources = [page.locator(f"{place} img").get_attribute("src") for place in ("#first", "#second")]
    return [Path(source or "").name for source in sources]


def answer(page: "Page", place: int, press: Press) -> dict[str, Any]:
    """Answer one trial; returns what the participant saw and chose."""
    left, right = images_shown(page)
    press(page, place)
    next_pair = f"#first img:not([src$='{left}'])"
    page.wait_for_selector(f"{next_pair}, #stage[data-phase=feedback], #end:not([hidden])", state="attached")
    return {"left": left, "right": right, "chosen": (left, right)[place]}


def take(
    page: "Page", places: list[int], press: Press, go_on: Callable[["Page", str], None]
) -> list[dict[str, Any]]:
    """Take a test of two practice trials from its first screen; one answer for each of `places`."""
    go_on(page, "#start")
    given = []
    for position, place in enumerate(places):
        if position == 2:
            go_on(page, "#go")
        given.append(answer(page, place, press))
        if position < 2:
            go_on(page, "#next")
    return given


def saved(page: "Page") -> dict[str, Any]:
    """Press the button at the end and read the file."""
    with page.expect_download() as download:
        page.locator("#save").click()
    result = json.loads(download.value.path().read_text())
    expected = f"turing-{result['test_id']}-{result['form']}-{result['participant']}.json"
    assert download.value.suggested_filename == expected
    return result


def without_seconds(result: dict[str, Any]) -> list[dict[str, Any]]:
    kept = ("left", "right", "chosen")
    return [{name: one[name] for name in kept} for one in result["answers"]]


def check_whole_result(result: dict[str, Any], given: list[dict[str, Any]], test_id: str, form: Form) -> None:
    """The file holds the answers given, in order, of this form's trials, with plausible times."""
    trial_of = {frozenset((trial.real, trial.fake)): trial.trial for trial in form.trials}
    assert without_seconds(result) == given
    for position, one in enumerate(result["answers"]):
        assert list(one) == ["trial", "position", "left", "right", "chosen", "seconds"]
        assert one["position"] == position
        assert one["trial"] == trial_of[frozenset((one["left"], one["right"]))]
        assert one["seconds"] >= 0
    assert len({one["trial"] for one in result["answers"]}) == result["num_trials"] == len(form.trials)
    assert (result["format"], result["test_id"], result["form"]) == (1, test_id, form.form)
    assert result["complete"] is True
    assert result["started"] < result["finished"]
    assert re.fullmatch(r"[0-9a-f]{16}", result["participant"])


@pytest.mark.parametrize("press", [by_arrows, by_digits])
def test_a_participant_at_the_keyboard_gets_exactly_the_answers_given(
    browser: "Browser", exported: Exported, press: Press
) -> None:
    with opened(browser, exported.folder / "form-01", viewport=DESKTOP) as page:
        given = take(page, [0, 1, 1, 0, 1, 1], press, go_on_by_keyboard)
        check_whole_result(saved(page), given, exported.key.test_id, exported.key.forms[0])


def test_a_participant_on_a_phone_gets_exactly_the_answers_given(
    browser: "Browser", exported: Exported
) -> None:
    with opened(browser, exported.folder / "form-02", viewport=PHONE, has_touch=True, is_mobile=True) as page:
        given = take(page, [1, 1, 0, 0, 1, 0], by_touch, go_on_by_touch)
        check_whole_result(saved(page), given, exported.key.test_id, exported.key.forms[1])


def test_practice_says_what_the_key_says_and_the_test_says_nothing(
    browser: "Browser", exported: Exported
) -> None:
    key = {trial.fake: trial for trial in exported.key.forms[0].trials}
    with opened(browser, exported.folder / "form-01") as page:
        go_on_by_keyboard(page, "#start")
        for place in (0, 1):
            seen = answer(page, place, by_arrows)
            fake = 0 if seen["left"] in key else 1
            verdict = "Right" if place == fake else "Wrong"
            assert (
                page.locator("#prompt").inner_text()
                == f"{verdict}: the {('left', 'right')[fake]} image is the fake."
            )
            marks = [page.locator(f"{button} .mark").inner_text() for button in ("#first", "#second")]
            assert marks[fake] == "coloured by the computer"
            assert marks[1 - fake] == "real photograph"
            go_on_by_keyboard(page, "#next")
        go_on_by_keyboard(page, "#go")
        page.evaluate("""() => {
            window.phases = [];
            const note = () => window.phases.push(document.querySelector("#stage").dataset.phase);
            new MutationObserver(note).observe(document.querySelector("#stage"), { attributes: true });
        }""")
        for place in (0, 1, 0, 1):
            answer(page, place, by_arrows)
        assert set(page.evaluate("window.phases")) <= {"cross", "images", "places"}


def test_a_reload_goes_on_at_the_same_trial(browser: "Browser", exported: Exported) -> None:
    with opened(browser, exported.folder / "form-01") as page:
        given = take(page, [0, 1, 1], by_arrows, go_on_by_keyboard)
        seen = images_shown(page)
        page.reload()
        page.get_by_text("You have answered 3 of 6 trials and resume where you stopped").wait_for()
        go_on_by_keyboard(page, "#start")
        assert images_shown(page) == seen
        assert page.locator("#count").inner_text() == "Trial 2 of 4"
        given += [answer(page, place, by_arrows) for place in (1, 0, 0)]
        page.wait_for_selector("#end:not([hidden])")
        page.reload()
        check_whole_result(saved(page), given, exported.key.test_id, exported.key.forms[0])


def test_stopping_early_gives_an_incomplete_file_and_the_way_back(
    browser: "Browser", exported: Exported
) -> None:
    with opened(browser, exported.folder / "form-01") as page:
        given = take(page, [0, 1, 1], by_arrows, go_on_by_keyboard)
        seen = images_shown(page)
        page.locator("#stop").click()
        early = saved(page)
        assert early["complete"] is False
        assert without_seconds(early) == given
        page.locator("#resume").click()
        assert images_shown(page) == seen
        given += [answer(page, place, by_arrows) for place in (1, 0, 0)]
        result = saved(page)
        check_whole_result(result, given, exported.key.test_id, exported.key.forms[0])
        assert result["participant"] == early["participant"]


def test_after_the_file_is_saved_another_person_can_start_anew(
    browser: "Browser", exported: Exported
) -> None:
    with opened(browser, exported.folder / "form-01") as page:
        take(page, [0, 1, 1, 0, 1, 0], by_arrows, go_on_by_keyboard)
        first = saved(page)
        page.locator("#another").click()
        take(page, [1, 1, 1, 1, 1, 1], by_arrows, go_on_by_keyboard)
        assert saved(page)["participant"] != first["participant"]


def test_without_storage_the_test_works_and_says_that_a_reload_starts_anew(
    browser: "Browser", exported: Exported
) -> None:
    refuse = "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('', 'SecurityError') } })"
    with opened(browser, exported.folder / "form-01", init=HASTE + refuse) as page:
        page.get_by_text("do not reload or close it").wait_for()
        given = take(page, [0, 1, 1, 0, 1, 1], by_arrows, go_on_by_keyboard)
        check_whole_result(saved(page), given, exported.key.test_id, exported.key.forms[0])


@pytest.mark.parametrize(
    "viewport", [PHONE, PHONE_SIDEWAYS, TABLET, DESKTOP], ids=lambda size: f"{size['width']}px"
)
def test_no_screen_scrolls_and_both_images_have_the_same_size(
    browser: "Browser", exported: Exported, viewport: dict[str, int]
) -> None:
    def fits(screen: str) -> None:
        page.wait_for_selector(screen)
        root = page.evaluate(
            "(({ scrollWidth, scrollHeight }) => [scrollWidth, scrollHeight])(document.documentElement)"
        )
        assert root == [viewport["width"], viewport["height"]], screen

    def sides() -> set[int]:
        boxes = [page.locator(f"{button} img").bounding_box() for button in ("#first", "#second")]
        return {round(box[side]) for box in boxes if box for side in ("width", "height")}

    with opened(browser, exported.folder / "form-01", viewport=viewport) as page:
        fits("#start:enabled")
        page.keyboard.press("Enter")
        fits("#stage[data-phase=places]")
        expected = {256} if viewport in (TABLET, DESKTOP) else set(range(200, 257))
        assert len(sides()) == 1
        assert sides() <= expected
        by_digits(page, 0)
        fits("#next:focus")
        assert len(sides()) == 1
        page.keyboard.press("Enter")
        answer(page, 0, by_digits)
        page.keyboard.press("Enter")
        fits("#go:focus")
        page.keyboard.press("Enter")
        page.locator("#stop").click()
        fits("#end")
        page.locator("#save").click()
        fits("#another")


def test_upright_arrows_answer_where_the_images_are_stacked(browser: "Browser", exported: Exported) -> None:
    with opened(browser, exported.folder / "form-01", viewport=PHONE) as page:
        go_on_by_keyboard(page, "#start")
        images = images_shown(page)
        page.keyboard.press("ArrowLeft")  # means nothing here
        assert page.locator("#stage").get_attribute("data-phase") in ("images", "places")
        seen = answer(page, 1, lambda page, place: page.keyboard.press(("ArrowUp", "ArrowDown")[place]))
        assert seen["chosen"] == images[1]
        assert re.search(r"the (upper|lower) image is the fake", page.locator("#prompt").inner_text())


def test_the_test_cannot_start_before_every_image_is_loaded(browser: "Browser", exported: Exported) -> None:
    with browser.new_context() as profile:
        page = profile.new_page()
        held: list[Any] = []
        page.route("**/*.png", lambda route: held.append(route))
        page.goto((exported.folder / "form-01" / "index.html").as_uri(), wait_until="commit")
        page.get_by_text("Loading 12 images").wait_for()
        while len(held) < 12:
            page.wait_for_event("request")
        for route in held[:-1]:
            route.continue_()
        page.wait_for_selector("#loaded[value='11']")
        assert page.locator("#start").is_disabled()
        held[-1].continue_()
        page.wait_for_selector("#start:enabled")


def test_an_image_that_is_missing_or_broken_is_named_with_the_remedy(
    browser: "Browser", exported: Exported, tmp_path: Path
) -> None:
    folder = tmp_path / "form"
    shutil.copytree(exported.folder / "form-01", folder)
    broken = exported.key.forms[0].trials[0].real
    (folder / "images" / broken).write_bytes((folder / "images" / broken).read_bytes()[:30])
    with opened(browser, folder) as page:
        page.get_by_text(f"The image {broken} could not be loaded. Please unpack the whole folder").wait_for()


def phase(page: "Page") -> str | None:
    return page.locator("#stage").get_attribute("data-phase")


def frames_of(page: "Page", name: str) -> int:
    """Let the page's clock run frame by frame (16 ms) while the trial is in this phase; returns how many."""
    frames = 0
    while phase(page) == name:
        page.clock.run_for(16)
        frames += 1
    return frames


def test_images_are_shown_for_the_display_time_and_answers_timed_from_their_first_frame(
    browser: "Browser", exported: Exported
) -> None:
    with browser.new_context() as profile:
        page = profile.new_page()
        page.clock.install(time=0)
        page.goto((exported.folder / "form-01" / "index.html").as_uri())
        page.clock.pause_at(1000)
        go_on_by_keyboard(page, "#start")
        page.wait_for_selector("#stage[data-phase=cross]")
        assert frames_of(page, "cross") * 16 >= 500
        # 50 ms of display are four frames of 16 ms; the frame before them is the one that paints the images.
        assert frames_of(page, "images") == 5
        page.clock.run_for(2000)
        by_arrows(page, 0)
        page.wait_for_selector("#next:focus")
        stored = json.loads(page.evaluate("Object.values(localStorage)[0]"))
        assert stored["answers"][0]["seconds"] == pytest.approx(2.064, abs=0.016)


def test_order_and_sides_are_drawn_anew_for_each_participant(browser: "Browser", tmp_path: Path) -> None:
    trials = [
        {"trial": f"{i:012}", "images": [f"{i}-a.png", f"{i}-b.png"], "practice": i < 50} for i in range(150)
    ]
    test = {"test_id": "0" * 16, "form": "form-01", "display_seconds": 1.0, "server": None, "shuffle": True}
    (tmp_path / "index.html").write_text(
        participant_page({**test, "answered": 0, "trials": trials}), encoding="utf-8"
    )
    plans = []
    for _ in range(2):
        with browser.new_context() as profile:
            page = profile.new_page()
            page.goto((tmp_path / "index.html").as_uri())
            plans.append(json.loads(page.evaluate("Object.values(localStorage)[0]"))["plan"])
    for plan in plans:
        drawn = [trial for trial, *_ in plan]
        names = [trial["trial"] for trial in trials]
        assert sorted(drawn[:50]) == names[:50] != drawn[:50]
        assert sorted(drawn[50:]) == names[50:] != drawn[50:]
        swapped = sum(left.endswith("-b.png") for _, left, _ in plan)
        assert 44 <= swapped <= 106  # 5 standard deviations of 150 throws of a coin
    assert plans[0] != plans[1]


def test_a_screen_reader_finds_named_buttons_headings_and_news(
    browser: "Browser", exported: Exported
) -> None:
    with opened(browser, exported.folder / "form-01") as page:
        assert page.locator(":focus").inner_text() in ("Which one is the fake?", "Start")
        go_on_by_keyboard(page, "#start")
        images_shown(page)
        assert page.locator(":focus").inner_text() == "Practice 1 of 2"
        assert page.get_by_role("region", name="Practice 1 of 2").is_visible()
        assert page.get_by_role("progressbar", name="Practice 1 of 2").is_visible()
        for side in ("Left", "Right"):
            assert page.get_by_role("button", name=f"{side} image is the fake", exact=True).is_visible()
        page.get_by_role("status").get_by_text("The images are gone. Which one was the fake?").wait_for()
        page.get_by_role("button", name="Right image is the fake").press("Enter")
        page.get_by_role("status").get_by_text("image is the fake.").wait_for()
        page.get_by_role("button", name="Next").press("Space")
        answer(page, 0, by_arrows)
        go_on_by_keyboard(page, "#next")
        assert page.get_by_role("heading", name="The practice is over").is_visible()


def test_the_page_requests_its_own_images_and_nothing_else(browser: "Browser", exported: Exported) -> None:
    folder = exported.folder / "form-01"
    with browser.new_context() as profile:
        page = profile.new_page()
        page.add_init_script(HASTE)
        requested: list[str] = []
        page.on("request", lambda request: requested.append(request.url))
        page.goto((folder / "index.html").as_uri())
        take(page, [0, 0, 0, 0, 0, 0], by_arrows, go_on_by_keyboard)
        page.wait_for_selector("#end:not([hidden])")
        own = {path.as_uri() for path in folder.rglob("*") if path.is_file()}
        assert sorted(requested) == sorted(own)  # each once


def test_the_policy_forbids_scripts_and_addresses_that_are_not_the_page_s_own(
    browser: "Browser", exported: Exported
) -> None:
    with browser.new_context() as profile:
        page = profile.new_page()
        page.goto((exported.folder / "form-01" / "index.html").as_uri())
        page.wait_for_selector("#start:enabled")
        blocked = page.evaluate("""async () => {
            const blocked = new Set();
            addEventListener("securitypolicyviolation", (event) => blocked.add(event.effectiveDirective));
            document.body.append(Object.assign(document.createElement("script"), { text: "window.foreign = 1" }));
            document.body.append(Object.assign(document.createElement("img"), { src: "https://example.org/x.png" }));
            await fetch("https://example.org/").catch(() => {});
            while (blocked.size < 3) await new Promise(requestAnimationFrame);
            return [[...blocked].sort(), window.foreign ?? null];
        }""")
        assert blocked == [["connect-src", "img-src", "script-src-elem"], None]


def test_no_content_can_close_the_script_block() -> None:
    class Scripts(HTMLParser):
        def __init__(self) -> None:
            super().__init__()
            self.inside, self.texts = False, list[str]()

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.inside = tag == "script"
            if self.inside:
                self.texts.append("")

        def handle_data(self, data: str) -> None:
            if self.inside:
                self.texts[-1] += data

        def handle_endtag(self, tag: str) -> None:
            self.inside = False

    test = {"form": "</script><script>alert(1)</script><!-- {{script.js}} \u2028 é"}
    scripts = Scripts()
    scripts.feed(participant_page(test))
    assert len(scripts.texts) == 3
    assert json.loads(scripts.texts[0]) == test
