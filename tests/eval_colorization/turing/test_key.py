"""The answer key survives being written and read, and a damaged one is named."""

import dataclasses
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from eval_colorization.turing.key import Form, Key, Trial, read_key, write_key

PRACTICE = Trial(
    trial="0" * 12,
    kind="practice",
    photo="café <1>.jpg",
    method="grey",
    real="a.png",
    fake="b.png",
    crowd_left="b.png",
)
VIGILANCE = dataclasses.replace(PRACTICE, trial="1" * 12, kind="vigilance", method=None, crowd_left="a.png")
KEY = Key(
    test_id="0123456789abcdef",
    display_seconds=1.0,
    methods=("grey", "annealed mean"),
    manifest={"images": ["café <1>.jpg"], "filter": None},
    forms=(Form(form="form-01", trials=(PRACTICE, VIGILANCE)),),
)


def test_a_key_comes_back_from_its_file_as_it_was_written(tmp_path: Path) -> None:
    write_key(KEY, tmp_path / "key.json")
    assert read_key(tmp_path / "key.json") == KEY


def test_the_file_is_plain_json_of_the_documented_shape(tmp_path: Path) -> None:
    write_key(KEY, tmp_path / "key.json")
    content = json.loads((tmp_path / "key.json").read_text(encoding="utf-8"))
    assert list(content) == ["format", "test_id", "display_seconds", "methods", "manifest", "forms"]
    assert content["forms"][0]["trials"][1] == dataclasses.asdict(VIGILANCE)


def test_a_missing_key_is_an_error_that_says_where_keys_come_from(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no answer key .*key\.json.* turing-export"):
        read_key(tmp_path / "key.json")


def test_a_truncated_key_is_an_error_at_whatever_byte_it_ends(tmp_path: Path) -> None:
    write_key(KEY, tmp_path / "key.json")
    whole = (tmp_path / "key.json").read_bytes()
    cut = tmp_path / "cut.json"
    for length in range(len(whole) - 2):  # without its final newline it is still whole
        cut.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=re.escape(str(cut))):
            read_key(cut)


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda key: key.pop("methods"), "'methods' is missing"),
        (lambda key: key.update(format=2), "its format is 2, this program reads 1"),
        (lambda key: key["forms"].append("form-02"), ""),
        (lambda key: key["forms"][0]["trials"][0].update(kind="real"), ""),
        (lambda key: key["forms"][0]["trials"][0].update(crowd_left="c.png"), "neither of its images"),
    ],
)
def test_a_file_that_is_no_key_is_an_error_that_names_the_fault(
    tmp_path: Path, damage: Callable[[dict[str, Any]], Any], complaint: str
) -> None:
    path = tmp_path / "key.json"
    write_key(KEY, path)
    content = json.loads(path.read_text(encoding="utf-8"))
    damage(content)
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=f"key.json is not an answer key.*{complaint}"):
        read_key(path)


def test_a_json_file_of_another_kind_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "key.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match=r"key\.json is not an answer key"):
        read_key(tmp_path / "key.json")
