"""The commands in a row, with people in a real browser between them: export, take or serve, score."""

import json
import re
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager

import numpy as np
import pytest
import skimage.data
from PIL import Image

from eval_colorization.turing.key import read_key
from tests.eval_colorization.turing.test_page import (
    HASTE,
    PHONE,
    answer,
    by_arrows,
    by_touch,
    go_on_by_keyboard,
    go_on_by_touch,
    images_shown,
    saved,
)

COMMAND = (sys.executable, "-m", "eval_colorization")
METHODS = ("random", "swapped")


def command(*argv):
    done = subprocess.run([*COMMAND, *map(str, argv)], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def test_folder(tmp_path_factory):
    """Two practice, six test and two vigilance trials of ten photographs; a grey and a broken one are left out."""
    root = tmp_path_factory.mktemp("chain")
    for folder in ("photos", "swapped"):
        (root / folder).mkdir()
    for index in range(11):
        name = ("astronaut", "coffee", "chelsea")[index % 3]
        detail = getattr(skimage.data, name)()[20 * index : 20 * index + 80, 30:130]
        if index == 10:
            detail = np.repeat(detail.mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)
        Image.fromarray(detail).save(root / "photos" / f"photo {index}.png")
        Image.fromarray(detail[..., ::-1].copy()).save(root / "swapped" / f"photo {index}.jpg", quality=95)
    (root / "photos" / "photo 9 broken.png").write_bytes(b"no picture")
    (root / "swapped" / "photo 9 broken.jpg").write_bytes(b"no picture")
    (root / "turing.yaml").write_text(
        f"data: {root}/photos\nout: {root}/test\nmethods:\n  random: {{}}\n  swapped: {{folder: {root}/swapped}}\n"
        "practice_trials: 2\ntest_trials: 6\nvigilance_trials: 2\ndisplay_seconds: 0.05\n"
    )
    printed = command("turing-export", root / "turing.yaml")
    assert "left out: photo 10.png (it is grey)" in printed
    assert "left out: photo 9 broken.png (not an image" in printed
    assert "2 forms" in printed
    return root / "test"


def take_as_planned(page, key, fooled_by, press, go_on):
    """Answer every trial: practice and vigilance rightly, a test trial wrongly where its method is in `fooled_by`.

    Returns how often each method fooled and was shown.
    """
    fooled, shown = Counter(), Counter()
    trial_of = {frozenset((t.real, t.fake)): t for form in key.forms for t in form.trials}
    go_on(page, "#start")
    for position in range(10):
        if position == 2:
            go_on(page, "#go")
        pair = images_shown(page)
        trial = trial_of[frozenset(pair)]
        wrong = trial.kind == "test" and trial.method in fooled_by
        answer(page, pair.index(trial.real if wrong else trial.fake), press)
        if trial.kind == "test":
            shown[trial.method] += 1
            fooled[trial.method] += wrong
        if position < 2:
            go_on(page, "#next")
    return fooled, shown


@contextmanager
def page_at(browser, address, **context):
    with browser.new_context(**context) as profile:
        page = profile.new_page()
        page.add_init_script(HASTE)
        page.goto(address)
        yield page


def check_score(folder, answers, expected, participants):
    """`turing-score` finds exactly the planned answers."""
    out = folder.parent / f"score-{answers.name}"
    printed = command("turing-score", answers, "--key", folder / "key.json", "--out", out)
    rates = {method["method"]: method for method in json.loads((out / "score.json").read_text())["methods"]}
    for method in METHODS:
        fooled, shown = (sum(part[method] for part in parts) for parts in zip(*expected, strict=True))
        assert rates[method]["trials"] == shown == 3 * participants
        assert rates[method]["fooling_rate"] == pytest.approx(100 * fooled / shown)
        assert method in printed


def test_result_files_of_people_at_keyboard_and_touch_are_scored_as_they_answered(
    browser, test_folder, tmp_path
):
    key = read_key(test_folder / "key.json")
    results = tmp_path / "results"
    results.mkdir()
    expected = []
    people = (
        ("form-01", {"swapped"}, by_arrows, go_on_by_keyboard, {}),
        ("form-02", {"random", "swapped"}, by_touch, go_on_by_touch, {"viewport": PHONE, "has_touch": True}),
    )
    for form, fooled_by, press, go_on, context in people:
        address = (test_folder / form / "index.html").as_uri()
        with page_at(browser, address, accept_downloads=True, **context) as page:
            expected.append(take_as_planned(page, key, fooled_by, press, go_on))
            result = saved(page)
        (results / f"{form}.json").write_text(json.dumps(result))
    check_score(test_folder, results, expected, participants=2)


def test_a_served_test_is_scored_as_people_answered(browser, test_folder):
    key = read_key(test_folder / "key.json")
    argv = [*COMMAND, "turing-serve", str(test_folder), "--port", "0", "--invitations", "2"]
    expected = []
    people = (
        ({"swapped"}, by_arrows, go_on_by_keyboard, {}),
        ({"random"}, by_touch, go_on_by_touch, {"viewport": PHONE, "has_touch": True}),
    )
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        try:
            links = [re.search(r"http://\S+/t/\w+", server.stdout.readline())[0] for _ in people]
            while not server.stdout.readline().startswith("Admin page"):
                pass
            for link, (fooled_by, press, go_on, context) in zip(links, people, strict=True):
                with page_at(browser, link, **context) as page:
                    expected.append(take_as_planned(page, key, fooled_by, press, go_on))
                    page.locator("#stored").wait_for()
        finally:
            server.terminate()
            server.communicate()
    check_score(test_folder, test_folder / "answers.sqlite", expected, participants=2)
