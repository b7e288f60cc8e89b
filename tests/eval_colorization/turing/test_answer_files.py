"""Answers are the same in whatever file they come, and a file that cannot be read is named."""

import json
import re
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from eval_colorization.turing import database, web
from eval_colorization.turing.answers import read_answers
from eval_colorization.turing.key import Key
from tests.eval_colorization.turing.simulation import (
    choices,
    complaints,
    crowd_rows,
    save,
    save_database,
    save_table,
)

Result = dict[str, Any]


def test_the_database_and_its_download_read_as_the_result_files_do(
    key: Key, results: list[Result], tmp_path: Path
) -> None:
    files = read_answers([save(result, tmp_path / "files") for result in results], key)
    path = tmp_path / "answers #1?.sqlite"
    save_database(key, results, path)
    assert [(p.name, p.form, p.answers) for p in read_answers([path], key).participants] == [
        (p.name, p.form, p.answers) for p in files.participants
    ]
    download = tmp_path / "answers.csv"
    download.write_text(web.answers_csv(path, key), newline="")
    assert choices(read_answers([download], key)) == choices(files)


def test_both_crowd_dialects_read_as_the_result_files_do_without_practice(
    key: Key, results: list[Result], tmp_path: Path
) -> None:
    practice = {trial.trial for form in key.forms for trial in form.trials if trial.kind == "practice"}
    files = read_answers([save(result, tmp_path / "files") for result in results], key)
    expected = {choice for choice in choices(files) if choice[1] not in practice}
    rows = crowd_rows(key, results)
    plain = save_table(rows, tmp_path / "plain.csv")
    turk = save_table(
        [
            {
                "HITId": "3X",
                "WorkerId": row["participant"],
                "AssignmentStatus": "Approved",
                "WorkTimeInSeconds": row["seconds"],
                "Input.test_id": key.test_id,
                "Input.trial": row["trial"],
                "Answer.answer": row["answer"].upper(),
            }
            for row in rows
        ],
        tmp_path / "Batch_1.csv",
    )
    for table in (plain, turk):
        sheet = read_answers([table], key)
        assert choices(sheet) == expected
        assert not sheet.problems
        assert {p.form for p in sheet.participants} == {None}


def test_a_database_is_read_whole_while_its_server_runs_and_after_it_was_killed(
    key: Key, results: list[Result], tmp_path: Path
) -> None:
    path = tmp_path / "answers.sqlite"
    save_database(key, results[:3], path)
    last = results[3]
    writer = f"""
import json, sys
from pathlib import Path
from eval_colorization.turing import database
connection = database.connect(Path({str(path)!r}))
result = json.loads(sys.stdin.readline())
connection.execute("INSERT INTO participants VALUES ('i', ?, ?, '[]', 'c', 's', 'f')", result[:2])
for answer in result[2]:
    connection.execute("INSERT INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, 'now')", answer)
print("committed", flush=True)
sys.stdin.readline()
"""
    fields = ("trial", "position", "left", "right", "chosen", "seconds")
    rows = [[last["participant"], *(answer[name] for name in fields)] for answer in last["answers"]]
    with subprocess.Popen(
        [sys.executable, "-c", writer],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([last["participant"], last["form"], rows]) + "\n")
        process.stdin.flush()
        assert process.stdout.readline() == "committed\n"
        running = read_answers([path], key)
        process.send_signal(signal.SIGKILL)
    killed = read_answers([path], key)
    assert path.with_name("answers.sqlite-wal").stat().st_size > 0
    assert not running.problems
    assert len(choices(running)) == sum(len(result["answers"]) for result in results)
    assert choices(killed) == choices(running)


def test_who_opened_the_served_test_without_answering_is_a_participant_and_who_did_not_open_it_is_not(
    key: Key, results: list[Result], tmp_path: Path
) -> None:
    path = tmp_path / "answers.sqlite"
    save_database(key, [results[0] | {"answers": []}], path)
    save_database(key, results[1:2], path)
    with closing(database.connect(path)) as connection:
        database.invite(connection, 1)
    sheet = read_answers([path], key)
    assert [len(p.answers) for p in sheet.participants] == [0, 12]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is truncated or not JSON"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"[" * 100_000, "is truncated or not JSON"),
        (b'{"format": 1' + b"1" * 5000 + b"}", "is truncated or not JSON"),
        (b"[1, 2]", "holds no list of answers"),
        (b'{"format": 2, "answers": []}', "has format 2, but this program reads 1"),
        (
            b'{"format": 1, "answers": [], "participant": "<b>"}',
            "has participant '<b>', which the page did not",
        ),
    ],
)
def test_a_file_that_is_no_result_file_is_named_and_the_others_count(
    key: Key, results: list[Result], tmp_path: Path, content: bytes, complaint: str
) -> None:
    (tmp_path / "bad.json").write_bytes(content)
    save(results[0], tmp_path)
    sheet = read_answers([tmp_path], key)
    assert len(choices(sheet)) == 12
    assert [problem.file.name for problem in sheet.problems] == ["bad.json"]
    assert complaint in complaints(sheet)


def test_a_result_file_cut_anywhere_is_named(key: Key, results: list[Result], tmp_path: Path) -> None:
    whole = save(results[0], tmp_path).read_bytes()
    for length in range(0, len(whole), 97):
        (tmp_path / "cut").mkdir(exist_ok=True)
        (tmp_path / "cut" / "cut.json").write_bytes(whole[:length])
        sheet = read_answers([tmp_path / "cut"], key)
        assert not sheet.participants
        assert "is truncated or not JSON" in complaints(sheet)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("trial,answer\n", "lacks columns: expected are .* or participant, trial, answer or WorkerId"),
        ("", "lacks columns: .* found none"),
        ("participant,trial,answer\nann,", "1 answer not counted: unknown trial"),
        ("participant,trial,answer\n", ""),
        ("participant,trial,answer\n,{trial},left", "1 answer not counted: no participant named"),
        ("participant,trial,answer\nann,{trial},both", "not one of the trial's images .'both'"),
        ("participant,trial,answer,seconds\nann,{trial},left,soon", "counted without the time"),
        ('participant,trial,answer\nann,"' + "x" * 200_000, "is not a whole CSV file"),
        (
            "WorkerId,Input.trial,Answer.answer,AssignmentStatus\nA1,{trial},left,Rejected",
            "not counted: rejected on the platform",
        ),
        (
            "participant,trial,answer,test_id\nann,{trial},left,other\nbob,{trial},left,",
            "another test, other",
        ),
    ],
)
def test_a_faulty_table_is_named(key: Key, tmp_path: Path, content: str, complaint: str) -> None:
    trial = next(trial.trial for trial in key.forms[0].trials if trial.kind == "test")
    table = tmp_path / "crowd-answers.csv"
    table.write_text(content.replace("{trial}", trial))
    assert re.search(complaint, complaints(read_answers([table], key)))


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to be looked at" * 100])
def test_a_file_that_is_no_database_is_named(key: Key, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "answers.sqlite").write_bytes(content)
    sheet = read_answers([tmp_path], key)
    assert "cannot be read as a database of turing-serve" in complaints(sheet)


def test_the_export_s_folder_can_be_given_whole(key: Key, results: list[Result], tmp_path: Path) -> None:
    """Its key and crowd.csv are no answers; nor are earlier scores, pages and the droppings of archives."""
    for name in ("key.json", "crowd.csv", "score.json", "form-01/index.html", "sent/._turing-1.json"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("?")
    save(results[0], tmp_path / "sent")
    sheet = read_answers([tmp_path, tmp_path / "sent"], key)
    assert len(choices(sheet)) == 12
    assert not sheet.problems


def test_paths_that_cannot_hold_answers_are_errors(key: Key, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is no file or folder .*nothing\.json"):
        read_answers([tmp_path / "nothing.json"], key)
    (tmp_path / "answers.xlsx").touch()
    with pytest.raises(ValueError, match=r"\.json, \.csv, \.sqlite, \.db or folders, not in .*answers\.xlsx"):
        read_answers([tmp_path / "answers.xlsx"], key)


def test_an_empty_folder_is_named(key: Key, tmp_path: Path) -> None:
    assert complaints(read_answers([tmp_path], key)) == "is a folder without any answer file"
