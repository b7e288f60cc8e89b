import random
import sqlite3
from contextlib import closing

import pytest

from eval_colorization.turing.database import (
    Answer,
    ConflictingAnswerError,
    RefusedAnswerError,
    UnknownInvitationError,
    connect,
    invite,
    open_form,
    parse_answer,
    prepare_database,
    reading,
    record_answer,
    shuffled_plan,
    stored_admin_token,
    transaction,
)
from tests.eval_colorization.turing.serving import rows, write_small_test


@pytest.fixture
def key(tmp_path):
    return write_small_test(tmp_path)


@pytest.fixture
def database(tmp_path, key):
    path = tmp_path / "answers.sqlite"
    prepare_database(path, key.test_id, "0" * 64)
    return path


@pytest.fixture
def connection(database):
    with closing(connect(database)) as connection:
        yield connection


def the_answer(found, position, side="left"):
    trial = found.plan[position]
    return Answer(trial=trial.trial, position=position, chosen=getattr(trial, side), seconds=1.5)


def test_every_form_is_used_twice_by_twice_as_many_participants_as_forms(connection, key):
    for invitation in invite(connection, 2 * len(key.forms)):
        open_form(connection, invitation, key)
    counts = connection.execute("SELECT form, COUNT(*) FROM participants GROUP BY form").fetchall()
    assert sorted(counts) == [(form.form, 2) for form in key.forms]


def test_an_invitation_that_nobody_opens_takes_no_form(connection, key):
    invite(connection, 5)
    assert connection.execute("SELECT DISTINCT form, plan, started FROM participants").fetchall() == [
        (None,) * 3
    ]


def test_a_plan_shows_every_trial_once_practice_first_with_order_and_sides_by_lot(key):
    form = key.forms[0]
    kinds = {trial.trial: trial.kind for trial in form.trials}
    real = {trial.trial: trial.real for trial in form.trials}
    rng = random.Random(0)
    plans = [shuffled_plan(form, rng) for _ in range(400)]
    for plan in plans:
        assert sorted(t.trial for t in plan) == sorted(kinds)
        assert kinds[plan[0].trial] == "practice"
    last_is_vigilance = sum(kinds[plan[-1].trial] == "vigilance" for plan in plans)
    left_is_real = sum(plan[0].left == real[plan[0].trial] for plan in plans)
    # Binomial(400, 1/4) and Binomial(400, 1/2): within five standard deviations of their means.
    assert abs(last_is_vigilance - 100) < 5 * 75**0.5
    assert abs(left_is_real - 200) < 5 * 100**0.5


def test_a_participant_keeps_the_plan_and_the_place_in_it(connection, key):
    [invitation] = invite(connection, 1)
    first = open_form(connection, invitation, key)
    record_answer(connection, invitation, the_answer(first, 0))
    again = open_form(connection, invitation, key)
    assert (again.form, again.plan, again.num_answered) == (first.form, first.plan, 1)


def test_the_same_answer_again_changes_nothing_and_another_is_refused(connection, key):
    [invitation] = invite(connection, 1)
    found = open_form(connection, invitation, key)
    record_answer(connection, invitation, the_answer(found, 0, "left"))
    stored = connection.execute("SELECT * FROM answers").fetchall()
    assert record_answer(connection, invitation, the_answer(found, 0, "left")).num_answered == 1
    with pytest.raises(ConflictingAnswerError, match="the first answer stands"):
        record_answer(connection, invitation, the_answer(found, 0, "right"))
    assert connection.execute("SELECT * FROM answers").fetchall() == stored


def test_answers_out_of_turn_or_to_trials_of_others_are_refused(connection, key):
    mine, other = invite(connection, 2)
    found, others = (open_form(connection, invitation, key) for invitation in (mine, other))
    assert found.form != others.form
    trial = found.plan[0]
    for answer in (
        the_answer(found, 1),
        the_answer(others, 0),
        Answer(trial=trial.trial, position=-1, chosen=trial.left, seconds=1.0),
        Answer(trial=trial.trial, position=10**30, chosen=trial.left, seconds=1.0),
        Answer(trial=trial.trial, position=0, chosen=found.plan[1].left, seconds=1.0),
    ):
        with pytest.raises(RefusedAnswerError):
            record_answer(connection, mine, answer)
    with pytest.raises(UnknownInvitationError):
        record_answer(connection, "f" * 32, the_answer(found, 0))
    assert connection.execute("SELECT COUNT(*) FROM answers").fetchone() == (0,)


def test_the_last_answer_finishes_the_participation(connection, key):
    [invitation] = invite(connection, 1)
    found = open_form(connection, invitation, key)
    for position in range(len(found.plan)):
        assert connection.execute("SELECT finished FROM participants").fetchone() == (None,)
        record_answer(connection, invitation, the_answer(found, position))
    assert connection.execute(
        "SELECT finished = (SELECT MAX(received) FROM answers) FROM participants"
    ).fetchone() == (1,)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"[" * 4000,
        b'{"trial": "a", "position": 0, "chosen": "b"}',
        b'{"trial": 1, "position": 0, "chosen": "b", "seconds": 1}',
        b'{"trial": "a", "position": "0", "chosen": "b", "seconds": 1}',
        b'{"trial": "a", "position": 0.0, "chosen": "b", "seconds": 1}',
        b'{"trial": "a", "position": true, "chosen": "b", "seconds": 1}',
        b'{"trial": "a", "position": 0, "chosen": null, "seconds": 1}',
        b'{"trial": "a", "position": 0, "chosen": "b", "seconds": "1"}',
        b'{"trial": "a", "position": 0, "chosen": "b", "seconds": true}',
        b'{"trial": "a", "position": 0, "chosen": "b", "seconds": NaN}',
        b'{"trial": "a", "position": 0, "chosen": "b", "seconds": Infinity}',
        b'{"trial": "a", "position": 0, "chosen": "b", "seconds": 1e999}',
        b'{"trial": "a", "position": 0, "chosen": "b", "seconds": -0.001}',
        b'{"trial": "a", "position": 0, "chosen": "b", "seconds": 86400.001}',
        b'{"trial": "a", "position": 0, "chosen": "b", "seconds": 1' + b"0" * 3000 + b"}",
    ],
)
def test_what_is_no_answer_is_refused(body):
    with pytest.raises(RefusedAnswerError):
        parse_answer(body)


def test_a_database_belongs_to_one_test_and_one_key(database, key, tmp_path):
    prepare_database(database, key.test_id, "0" * 64)
    with pytest.raises(ValueError, match=f"holds the answers of test {key.test_id}"):
        prepare_database(database, "another", "0" * 64)
    with pytest.raises(ValueError, match=r"created with another key.json .* put the first key.json back"):
        prepare_database(database, key.test_id, "1" * 64)
    (tmp_path / "thesis.sqlite").write_text("It was a dark and stormy night. " * 40)
    with pytest.raises(ValueError, match=r"thesis.sqlite cannot be used for answers"):
        prepare_database(tmp_path / "thesis.sqlite", key.test_id, "0" * 64)
    with closing(sqlite3.connect(tmp_path / "music.sqlite")) as other:
        other.execute("CREATE TABLE songs (title TEXT)")
    with pytest.raises(ValueError, match="no such table: test"):
        prepare_database(tmp_path / "music.sqlite", key.test_id, "0" * 64)


def test_the_admin_token_stays_and_the_database_is_its_owners_only(database, key):
    token = stored_admin_token(database)
    prepare_database(database, key.test_id, "0" * 64)
    assert stored_admin_token(database) == token
    assert database.stat().st_mode & 0o077 == 0


def test_a_commit_waits_for_the_disk(connection):
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)  # FULL


def test_a_reader_cannot_write(database):
    with reading(database) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM test")


def test_a_transaction_that_fails_changes_nothing_and_the_next_one_is_done(database, connection):
    def fail_after_an_invitation():
        with transaction(connection):
            invite(connection, 1)
            connection.execute("INSERT INTO nowhere VALUES (1)")

    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        fail_after_an_invitation()
    with transaction(connection):
        invite(connection, 2)
        assert rows(database, "SELECT * FROM participants") == []
    assert len(rows(database, "SELECT * FROM participants")) == 2
