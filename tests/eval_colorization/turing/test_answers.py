"""Every answer that fits the key counts, and whatever is wrong with the others is told."""

import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eval_colorization.turing.answers import read_answers
from eval_colorization.turing.key import Key
from tests.eval_colorization.turing.simulation import (
    METHODS,
    choices,
    complaints,
    crowd_rows,
    make_key,
    save,
    save_database,
    save_table,
)

Result = dict[str, Any]


def test_result_files_give_every_answer_and_no_problem(
    key: Key, results: list[Result], tmp_path: Path
) -> None:
    for result in results:
        save(result, tmp_path)
    sheet = read_answers([tmp_path], key)
    assert not sheet.problems
    assert choices(sheet) == {
        (result["participant"], answer["trial"], answer["chosen"], answer["seconds"])
        for result in results
        for answer in result["answers"]
    }
    reals = {trial.real for form in key.forms for trial in form.trials}
    assert all(answer.fooled == (answer.chosen in reals) for p in sheet.participants for answer in p.answers)


def test_a_copy_of_a_result_file_counts_once_and_is_named(
    key: Key, results: list[Result], tmp_path: Path
) -> None:
    save(results[0], tmp_path)
    save(results[0], tmp_path, "turing copy (1).json")
    sheet = read_answers([tmp_path], key)
    assert len(sheet.participants) == 1
    assert len(sheet.participants[0].answers) == 12
    assert len(sheet.participants[0].files) == 2
    assert "joined and counted once" in complaints(sheet)


def test_a_file_saved_early_and_the_later_whole_one_count_as_the_whole_one(
    key: Key, results: list[Result], tmp_path: Path
) -> None:
    early = results[0] | {"answers": results[0]["answers"][:5], "complete": False}
    paths = [save(early, tmp_path, "early.json"), save(results[0], tmp_path, "late.json")]
    sheet = read_answers(paths, key)
    assert len(sheet.participants[0].answers) == 12
    assert "incomplete" not in complaints(sheet)


@pytest.mark.parametrize("contradiction", ["another choice", "another form"])
def test_files_of_one_participant_that_contradict_each_other_count_neither(
    key: Key, results: list[Result], tmp_path: Path, contradiction: str
) -> None:
    other = copy.deepcopy(results[0])
    if contradiction == "another choice":
        answer = other["answers"][7]
        answer["chosen"] = answer["left"] if answer["chosen"] == answer["right"] else answer["right"]
    else:
        other = results[1] | {"participant": results[0]["participant"]}
    paths = [save(results[0], tmp_path, "a.json"), save(other, tmp_path, "b.json")]
    sheet = read_answers(paths, key)
    assert sheet.participants[0].contradicted
    assert not sheet.participants[0].answers
    assert f"contradicts {paths[0]}, so neither counts" in complaints(sheet)


def change(**changes: Any) -> Callable[[Result], None]:
    return lambda result: result["answers"][3].update(changes)


@pytest.mark.parametrize(
    ("damage", "complaint", "num_counted"),
    [
        (
            change(trial="f" * 12),
            "1 answer not counted: unknown trial ('ffffffffffff')",
            11,
        ),
        (change(trial=["x"]), "1 answer not counted: unknown trial (['x'])", 11),
        (change(chosen="0123456789abcdef.png"), "not one of the trial's images ('0123456789abcdef.png')", 11),
        (change(left="0123456789abcdef.png"), "not the trial's two images (('0123456789abcdef.png', ", 11),
        (change(chosen=None), "not one of the trial's images (None)", 11),
        (change(position="3"), "position is not a whole number from 0 ('3')", 11),
        (change(position=-1), "position is not a whole number from 0 (-1)", 11),
        (change(seconds=-0.5), "counted without the time: impossible", 12),
        (change(seconds=math.nan), "counted without the time: impossible", 12),
        (change(seconds=math.inf), "counted without the time: impossible", 12),
        (change(seconds=10**400), "counted without the time: impossible", 12),
        (change(seconds=True), "counted without the time: impossible", 12),
        (change(seconds="1.5"), "counted without the time: impossible", 12),
        (lambda result: result["answers"].pop(), "incomplete, 11 of 12 trials count", 11),
        (lambda result: result["answers"].append(7), "1 answer not counted: not an answer (7)", 12),
        (lambda r: r["answers"].append(dict(r["answers"][0])), "1 answer not counted: repeated", 12),
    ],
)
def test_a_faulty_answer_is_named_and_the_others_count(
    key: Key,
    results: list[Result],
    tmp_path: Path,
    damage: Callable[[Result], Any],
    complaint: str,
    num_counted: int,
) -> None:
    damage(results[0])
    sheet = read_answers([save(results[0], tmp_path)], key)
    assert len(sheet.participants[0].answers) == num_counted
    assert complaint in complaints(sheet)
    assert ("incomplete" in complaints(sheet)) == (num_counted < 12)


def test_two_answers_to_a_trial_that_contradict_each_other_do_not_count(
    key: Key, results: list[Result], tmp_path: Path
) -> None:
    first = results[0]["answers"][0]
    other = first["left"] if first["chosen"] == first["right"] else first["right"]
    results[0]["answers"].append(first | {"chosen": other})
    sheet = read_answers([save(results[0], tmp_path)], key)
    assert first["trial"] not in {answer.trial.trial for answer in sheet.participants[0].answers}
    assert "1 answer not counted, nor the first: contradiction" in complaints(sheet)


def test_answers_of_another_form_than_the_file_s_do_not_count(
    key: Key, results: list[Result], tmp_path: Path
) -> None:
    results[0]["answers"][:2] = results[1]["answers"][:2]
    sheet = read_answers([save(results[0], tmp_path)], key)
    assert len(sheet.participants[0].answers) == 10
    assert "2 answers not counted: trial of form-02, while the file is of form-01" in complaints(sheet)


def test_a_form_that_the_key_does_not_have_is_named(key: Key, results: list[Result], tmp_path: Path) -> None:
    sheet = read_answers([save(results[0] | {"form": "form-09"}, tmp_path)], key)
    assert not sheet.participants
    assert complaints(sheet) == "is of form 'form-09', not in the key"


def test_a_file_of_another_test_among_ours_is_named(key: Key, results: list[Result], tmp_path: Path) -> None:
    save(results[0], tmp_path)
    save(results[1] | {"test_id": "f" * 16}, tmp_path)
    sheet = read_answers([tmp_path], key)
    assert len(sheet.participants) == 1
    assert complaints(sheet) == f"is of another test, {'f' * 16}"


def test_a_key_that_fits_none_of_the_answers_is_an_error(
    key: Key, results: list[Result], tmp_path: Path
) -> None:
    save_database(make_key(np.random.default_rng(9), METHODS), [], tmp_path / "empty.db")
    save(results[1] | {"test_id": "f" * 16}, tmp_path)
    message = (
        f"key file does not fit the answers: key is test {key.test_id}, the answers are of test {'f' * 16}"
    )
    with pytest.raises(ValueError, match=message):
        read_answers([tmp_path], key)


def test_a_crowd_worker_who_saw_a_photo_in_two_forms_counts_for_it_once(
    key: Key, results: list[Result], tmp_path: Path
) -> None:
    """The image that comes again is the real one."""
    rows = [row | {"participant": "ann"} for row in crowd_rows(key, results[:2])]
    sheet = read_answers([save_table(rows, tmp_path / "t.csv")], key)
    photos = [answer.trial.photo for answer in sheet.participants[0].of_kind("test")]
    assert len(photos) == len(set(photos)) == 6
    assert "'ann': 6 answers not counted: photo seen before" in complaints(sheet)


def test_a_crowd_worker_s_several_tables_are_joined(key: Key, results: list[Result], tmp_path: Path) -> None:
    rows = crowd_rows(key, results[:1])
    paths = [save_table(rows[:4], tmp_path / "a.csv"), save_table(rows[4:], tmp_path / "b.csv")]
    sheet = read_answers(paths, key)
    assert not sheet.problems
    assert len(sheet.participants[0].answers) == len(rows)
