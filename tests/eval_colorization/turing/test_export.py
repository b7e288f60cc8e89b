"""The exported test is balanced, whole or absent, and gives nothing away."""

import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage.color import rgb2lab

from eval_colorization.config import TuringConfig
from eval_colorization.turing.export import TIME_STAMP, rainbow, write_test
from eval_colorization.turing.key import Key, Trial, read_key
from tests.eval_colorization.turing.sample_pairs import METHODS, PHOTOS, Exported, colorize

ColorizePhoto = Callable[[str], Mapping[str, np.ndarray]]
SMALL: dict[str, Any] = {"practice_trials": 1, "test_trials": 2, "vigilance_trials": 1}


def export(out: Path, colorize: ColorizePhoto = colorize, **changes: Any) -> Key:
    photos, methods = changes.pop("photos", PHOTOS[:4]), changes.pop("methods", METHODS)
    config = TuringConfig(data="", out=str(out), methods={}, **(SMALL | changes))
    return write_test(config, photos=photos, methods=methods, colorize=colorize, manifest={})


def trials(key: Key, *kinds: str) -> list[tuple[str, Trial]]:
    return [(form.form, trial) for form in key.forms for trial in form.trials if trial.kind in kinds]


def png_chunks(path: Path) -> list[str]:
    content, position, names = path.read_bytes(), 8, []
    while position < len(content):
        names.append(content[position + 4 : position + 8].decode())
        position += 12 + int.from_bytes(content[position : position + 4], "big")
    return names


def page_data(form_folder: Path) -> dict[str, Any]:
    text = (form_folder / "index.html").read_text(encoding="utf-8")
    block = re.search(r'<script type="application/json" id="test">(.*?)</script>', text, re.DOTALL)
    assert block
    return json.loads(block[1])


def crowd_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "crowd.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_pair_of_photo_and_method_is_in_exactly_one_form(exported: Exported) -> None:
    pairs = Counter((trial.photo, trial.method) for _, trial in trials(exported.key, "test"))
    photos = {photo for photo, _ in pairs}
    assert len(photos) == 6
    assert pairs == Counter((photo, method) for photo in photos for method in METHODS)


def test_a_form_shows_no_photo_twice_and_has_as_many_trials_as_asked(exported: Exported) -> None:
    assert [form.form for form in exported.key.forms] == ["form-01", "form-02", "form-03", "form-04"]
    for form in exported.key.forms:
        assert len({trial.photo for trial in form.trials}) == len(form.trials)
        assert Counter(trial.kind for trial in form.trials) == {"practice": 2, "test": 3, "vigilance": 1}


def test_all_forms_have_the_same_photos_for_practice_and_vigilance(exported: Exported) -> None:
    for kind, num in (("practice", 2), ("vigilance", 1)):
        assert len({trial.photo for _, trial in trials(exported.key, kind)}) == num
    practice = Counter((trial.photo, trial.method) for _, trial in trials(exported.key, "practice"))
    assert set(practice.values()) == {2}  # four forms, two methods


def test_photos_that_fill_no_form_are_named_and_never_colorized(exported: Exported, tmp_path: Path) -> None:
    used = {trial.photo for _, trial in trials(exported.key, "practice", "test", "vigilance")}
    unused = exported.key.manifest["unused_photos"]
    assert len(unused) == 1
    assert used | set(unused) == set(PHOTOS)
    colorized: list[str] = []

    def noting(photo: str) -> Mapping[str, np.ndarray]:
        colorized.append(photo)
        return colorize(photo)

    key = export(tmp_path / "out", photos=PHOTOS[:5], colorize=noting)
    assert sorted(colorized + key.manifest["unused_photos"]) == sorted(PHOTOS[:5])


def test_the_key_on_disk_is_the_one_returned_and_keeps_the_manifest(exported: Exported) -> None:
    assert read_key(exported.folder / "key.json") == exported.key
    assert exported.key.manifest["images"] == PHOTOS


def test_the_images_on_disk_are_those_colorized(exported: Exported) -> None:
    for form, trial in trials(exported.key, "practice", "test", "vigilance"):
        colorized = colorize(trial.photo)
        fake = rainbow(colorized["truth"]) if trial.method is None else colorized[trial.method]
        for name, expected in ((trial.real, colorized["truth"]), (trial.fake, fake)):
            with Image.open(exported.folder / form / "images" / name) as image:
                assert np.array_equal(np.asarray(image), expected)


def test_sizes_times_names_and_chunks_of_the_files_are_all_alike(exported: Exported) -> None:
    images = sorted(exported.folder.glob("form-*/images/*"))
    assert len(images) == 4 * 6 * 2
    assert {path.stat().st_size for path in images} == {images[0].stat().st_size}
    assert all(re.fullmatch(r"[0-9a-f]{16}\.png", path.name) for path in images)
    assert len({path.name for path in images}) == len(images)
    chunks = png_chunks(images[0])
    assert sorted(set(chunks)) == ["IDAT", "IEND", "IHDR"]  # pixels only: no text, time, profile
    assert all(png_chunks(path) == chunks for path in images)
    inside = [path for folder in exported.folder.glob("form-*") for path in (folder, *folder.rglob("*"))]
    assert {path.stat().st_mtime for path in inside} == {TIME_STAMP}


def test_a_form_holds_its_page_and_the_images_of_its_trials_and_nothing_else(exported: Exported) -> None:
    for form in exported.key.forms:
        folder = exported.folder / form.form
        expected = {f"images/{name}" for trial in form.trials for name in (trial.real, trial.fake)}
        found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        assert found == expected | {"index.html"}


def test_a_page_names_no_method_or_photo_and_answers_only_of_the_practice(exported: Exported) -> None:
    for form in exported.key.forms:
        page = (exported.folder / form.form / "index.html").read_text(encoding="utf-8")
        for secret in (*METHODS, "red \\u003cfor", *PHOTOS, "astronaut", "vigilance"):
            assert secret not in page
        data = page_data(exported.folder / form.form)
        known = {trial.trial: trial for trial in form.trials}
        kinds = [known[trial["trial"]].kind for trial in data["trials"]]
        assert kinds[:2] == ["practice", "practice"]
        for shown in data["trials"]:
            trial = known[shown["trial"]]
            assert sorted(shown["images"]) == sorted([trial.real, trial.fake])
            if trial.kind == "practice":
                assert shown == {**shown, "practice": True, "fake": trial.fake}
            else:
                assert set(shown) == {"trial", "images", "practice"}
                assert shown["practice"] is False


def test_sides_names_and_order_carry_no_answer_beyond_chance(tmp_path: Path) -> None:
    flat = {"truth": np.zeros((256, 256, 3), np.uint8), "white": np.full((256, 256, 3), 255, np.uint8)}
    key = export(
        tmp_path / "out",
        photos=[f"photo {i}" for i in range(64)],
        methods=["white"],
        colorize=lambda photo: flat,
        practice_trials=0,
        test_trials=60,
        vigilance_trials=4,
    )
    fakes = {trial.trial: trial.fake for trial in key.forms[0].trials}
    rows = crowd_rows(tmp_path / "out")
    listed = page_data(tmp_path / "out" / "form-01")["trials"]
    shares = {
        "fake on the left in crowd.csv": sum(fakes[row["trial"]] in row["left"] for row in rows),
        "fake listed first by the page": sum(fakes[row["trial"]] == row["images"][0] for row in listed),
        "fake first by name": sum(trial.fake < trial.real for trial in key.forms[0].trials),
    }
    for what, number in shares.items():  # 5 standard deviations of 64 throws of a coin: 20
        assert 12 <= number <= 52, what
    laid_out = [trial.trial for trial in key.forms[0].trials]
    assert [row["trial"] for row in rows] != laid_out
    assert [row["trial"] for row in listed] != laid_out


def test_crowd_csv_has_the_counted_trials_with_the_sides_of_the_key(exported: Exported) -> None:
    expected = {
        (exported.key.test_id, form, trial.trial): {
            f"{form}/images/{trial.real}",
            f"{form}/images/{trial.fake}",
        }
        for form, trial in trials(exported.key, "test", "vigilance")
    }
    left = {trial.trial: trial.crowd_left for _, trial in trials(exported.key, "test", "vigilance")}
    rows = crowd_rows(exported.folder)
    assert {
        (row["test_id"], row["form"], row["trial"]): {row["left"], row["right"]} for row in rows
    } == expected
    assert len(rows) == len(expected)
    assert all(row["left"].endswith(left[row["trial"]]) for row in rows)


@pytest.mark.parametrize("base_url", ["https://example.org/test", "https://example.org/test/"])
def test_crowd_csv_has_addresses_when_the_forms_lie_on_the_web(tmp_path: Path, base_url: str) -> None:
    export(tmp_path / "out", base_url=base_url)
    paths = [row["left"] for row in crowd_rows(tmp_path / "out")]
    assert all(path.startswith("https://example.org/test/form-0") for path in paths)


def test_the_seed_decides_which_photo_becomes_what_but_no_name(tmp_path: Path) -> None:
    one, same, other = (
        export(tmp_path / f"{i}", photos=PHOTOS, seed=seed, test_trials=6) for i, seed in enumerate((0, 0, 1))
    )

    def dealt(key: Key) -> list[tuple[str, str, str | None]]:
        return [(trial.kind, trial.photo, trial.method) for form in key.forms for trial in form.trials]

    assert dealt(one) == dealt(same) != dealt(other)
    names = [
        {
            name
            for _, trial in trials(key, "practice", "test", "vigilance")
            for name in (trial.trial, trial.real)
        }
        for key in (one, same)
    ]
    assert not names[0] & names[1]
    assert one.test_id != same.test_id


def test_a_rainbow_keeps_the_lightness_and_goes_through_all_hues() -> None:
    truth = colorize(PHOTOS[0])["truth"]
    lab = rgb2lab(rainbow(truth))
    assert np.abs(lab[..., 0] - rgb2lab(truth)[..., 0]).mean() < 0.3  # of rounding to 8 bits
    middle = (lab[..., 0] > 30) & (lab[..., 0] < 80)
    hue, chroma = np.arctan2(lab[..., 2], lab[..., 1])[middle], np.hypot(lab[..., 1], lab[..., 2])[middle]
    assert np.histogram(hue, bins=12, range=(-np.pi, np.pi))[0].min() > 0
    assert chroma.mean() > 40


def test_an_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def break_at_the_third(photo: str) -> Mapping[str, np.ndarray]:
        colorized.append(photo)
        if len(colorized) == 3:
            raise OSError("the disk is full")
        return colorize(photo)

    colorized: list[str] = []
    with pytest.raises(OSError, match="disk is full"):
        export(tmp_path / "out", colorize=break_at_the_third)
    assert list(tmp_path.iterdir()) == []


def test_an_empty_folder_is_filled_and_a_full_one_refused(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    export(tmp_path / "out")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match="out exists already and is not empty"):
        export(tmp_path / "out")
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (
            {"photos": PHOTOS[:3]},
            r"needs 4 photos \(1 practice \+ 1 vigilance \+ 2 test trials\), but there are 3",
        ),
        ({"methods": []}, "no method to test"),
        ({"test_trials": 0}, r"test_trials \(0\) at least 1"),
        ({"practice_trials": -1}, r"practice_trials \(-1\)"),
        ({"display_seconds": 0.0}, "display_seconds must be positive but is 0.0"),
        ({"display_seconds": float("nan")}, "display_seconds must be positive but is nan"),
    ],
)
def test_an_impossible_test_is_an_error_before_anything_is_colorized(
    tmp_path: Path, changes: dict[str, Any], complaint: str
) -> None:
    def never(photo: str) -> Mapping[str, np.ndarray]:
        raise AssertionError(photo)

    with pytest.raises(ValueError, match=complaint):
        export(tmp_path / "out", **({"colorize": never} | changes))
    assert list(tmp_path.iterdir()) == []
