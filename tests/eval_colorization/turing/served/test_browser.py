"""The served test as people take it, in a real browser."""

import random
import shutil
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import expect

from tests.eval_colorization.turing.serving import rows, serving, write_small_test

NUM_PRACTICE, NUM_TRIALS = 2, 6  # of the fixture `exported`
ANSWERABLE = "#stage[data-phase=images], #stage[data-phase=places]"
PHONE = {"viewport": {"width": 360, "height": 640}, "has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def folder(exported, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served") / "test"
    shutil.copytree(exported.folder, folder)
    return folder


@pytest.fixture(scope="module")
def server(folder):
    with serving(folder, invitations=4) as server:
        yield server


@pytest.fixture
def open_page(browser):
    """Opens pages, and notes what they complain about in the console, refused by their policy for instance."""
    contexts, complaints = [], []

    def note(message):
        if not message.text.startswith("Failed to load resource"):  # one test here makes the network fail
            complaints.append(message.text)

    def open_page(**options):
        contexts.append(browser.new_context(**options))
        page = contexts[-1].new_page()
        page.on("console", note)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


class Person:
    """Answers by lot: `press` answers for place 0 or 1, `go_on` presses a button."""

    def __init__(self, page, press, go_on, seed):
        self.page = page
        self.press = press
        self.go_on = go_on
        self.rng = random.Random(seed)
        self.given = []

    def start(self):
        expect(self.page.locator("#start")).to_be_enabled()
        self.go_on("#start")

    def answer(self, position):
        """The trial at `position`, with the break before it or the feedback after it."""
        if position == NUM_PRACTICE:
            expect(self.page.locator("#go")).to_be_visible()
            self.go_on("#go")
        practice = position < NUM_PRACTICE
        expect(self.page.locator("#count")).to_have_text(
            f"Practice {position + 1} of {NUM_PRACTICE}"
            if practice
            else f"Trial {position + 1 - NUM_PRACTICE} of {NUM_TRIALS - NUM_PRACTICE}"
        )
        self.page.locator(ANSWERABLE).wait_for()
        place = self.rng.randrange(2)
        self.given.append(image_at(self.page, ("#first", "#second")[place]))
        self.press(place)
        if practice:
            expect(self.page.locator("#next")).to_be_visible()
            assert self.page.locator(".fake").count() == 1
            self.go_on("#next")


def image_at(page, place):
    return urlsplit(page.locator(f"{place} img").get_attribute("src")).path.rsplit("/", 1)[1]


def by_keyboard(page, seed):
    def go_on(selector):
        expect(page.locator(selector)).to_be_focused()
        page.keyboard.press("Enter")

    return Person(page, lambda place: page.keyboard.press(("ArrowLeft", "ArrowRight")[place]), go_on, seed)


def by_touch(page, seed):
    return Person(page, lambda place: page.tap(("#first", "#second")[place]), page.tap, seed)


def chosen_by(folder, link):
    invitation = link.rsplit("/", 1)[1]
    return [
        chosen
        for (chosen,) in rows(
            folder / "answers.sqlite",
            "SELECT chosen FROM answers JOIN participants USING (participant)"
            f" WHERE invitation = '{invitation}' ORDER BY position",
        )
    ]


@pytest.mark.parametrize(
    ("person", "options", "number"), [(by_keyboard, {}, 0), (by_touch, PHONE, 1)], ids=["keyboard", "touch"]
)
def test_a_person_takes_the_whole_test_with_a_reload_and_the_database_holds_the_answers(
    open_page, server, folder, person, options, number
):
    page = open_page(**options)
    link = server.links[number]
    page.goto(link)
    someone = person(page, seed=number)
    someone.start()
    for position in range(3):
        someone.answer(position)
    expect(page.locator("#count")).to_have_text("Trial 2 of 4")  # so the third answer has been acknowledged
    page.reload()
    expect(page.locator("#returning")).to_contain_text("3 of 6 trials")
    someone.start()
    for position in range(3, NUM_TRIALS):
        someone.answer(position)
    expect(page.locator("#stored")).to_be_visible()
    assert chosen_by(folder, link) == someone.given
    assert len(someone.given) == NUM_TRIALS
    page.reload()
    expect(page.locator("#stored")).to_be_visible()


def test_nothing_that_comes_over_the_network_tells_real_from_colorized(open_page, server, exported):
    page = open_page()
    responses = []
    page.on("response", lambda response: responses.append(response))
    link = server.links[2]
    page.goto(link)
    expect(page.locator("#start")).to_be_enabled()
    assert {response.request.method for response in responses} == {"GET"}
    document, *images = responses
    form = next(form for form in exported.key.forms if form.trials[0].trial in document.text())
    assert document.url == link
    assert sorted(response.url for response in images) == sorted(
        f"{link}/images/{name}" for trial in form.trials for name in (trial.real, trial.fake)
    )
    looks = {
        (
            response.status,
            len(response.body()),
            *(
                (header["name"], header["value"])
                for header in response.headers_array()
                if header["name"] != "date"
            ),
        )
        for response in images
    }
    assert len(looks) == 1
    html = document.text()
    for secret in (*exported.key.methods, *(trial.photo for trial in form.trials), "vigilance"):
        assert secret not in html


def test_an_answer_that_cannot_be_sent_is_tried_again_until_it_is_stored(open_page, server, folder):
    page = open_page()
    link = server.links[3]
    page.goto(link)
    someone = by_keyboard(page, seed=3)
    someone.start()
    page.locator(ANSWERABLE).wait_for()
    failures = iter([lambda route: route.abort("connectionreset"), lambda route: route.fulfill(status=503)])
    page.route("**/answers", lambda route: next(failures, lambda route: route.continue_())(route))
    image = image_at(page, "#second")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#prompt")).to_contain_text("not sent yet, trying again")
    assert chosen_by(folder, link) == []
    expect(page.locator("#next")).to_be_visible()
    assert chosen_by(folder, link) == [image]


def test_the_admin_page_renews_its_counts_and_makes_links(open_page, tmp_path):
    key = write_small_test(tmp_path / "test")
    with serving(tmp_path / "test", invitations=1) as server:
        page = open_page(**PHONE)
        page.clock.install()
        page.goto(f"{server.address}/admin?token={server.token}")
        page.wait_for_url(f"{server.address}/admin")
        invited, started = (page.locator(".totals dd").nth(place) for place in (0, 1))
        expect(started).to_have_text("0")
        with httpx.Client() as client:
            client.get(server.links[0])
        page.clock.fast_forward("00:06")
        expect(started).to_have_text("1")
        expect(page.locator("#counts")).to_contain_text(key.methods[1])  # it has < and >
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["viewport"]["width"]
        page.fill("#count", "2")
        page.click("text=new invitations")
        expect(invited).to_have_text("3")
        links = page.locator("#links").input_value().split()
        assert len(links) == 2
        assert all(link.startswith(f"{server.address}/t/") for link in links)
