import socket
import sqlite3
from contextlib import closing
from urllib.parse import urlsplit

from tests.eval_colorization.turing.serving import Participant, page_data, rows, stored_answers


def test_a_whole_round_is_stored_as_it_was_given(folder, key, server, client):
    participant = Participant(client, server.links[0])
    participant.answer_all()
    assert stored_answers(folder) == participant.given
    assert len(participant.given) == len(key.forms[0].trials)
    [(form, started, finished)] = rows(
        folder / "answers.sqlite", "SELECT form, started, finished FROM participants WHERE plan IS NOT NULL"
    )
    assert form == participant.test["form"]
    assert started <= finished
    # Who comes back sees the end, and a repeated answer is still welcome.
    assert page_data(client.get(participant.link).text)["answered"] == len(participant.given)
    trial, chosen = participant.given[-1]
    assert participant.answer(len(participant.given) - 1, trial=trial, chosen=chosen).status_code == 200


def test_a_reload_goes_on_at_the_same_trial_with_the_same_plan(server, client):
    participant = Participant(client, server.links[0])
    before = participant.open()
    participant.answer(0)
    participant.answer(1)
    after = participant.open()
    assert after == before | {"answered": 2}


def test_twice_as_many_participants_as_forms_use_each_form_twice(key, server, client):
    forms = [Participant(client, link).open()["form"] for link in server.links]
    assert sorted(forms) == sorted(2 * [form.form for form in key.forms])


def test_only_a_practice_trial_tells_its_fake_and_only_after_its_answer(key, server, client):
    participant = Participant(client, server.links[0])
    test = participant.open()
    assert test["server"] == urlsplit(server.links[0]).path
    assert not test["shuffle"]
    assert [trial["practice"] for trial in test["trials"]] == [True, False, False, False, False]
    assert {field for trial in test["trials"] for field in trial} == {"trial", "images", "practice"}
    [fake] = [
        trial.fake for form in key.forms for trial in form.trials if trial.trial == test["trials"][0]["trial"]
    ]
    answers = [participant.answer(position).json() for position in range(len(test["trials"]))]
    assert answers == [{"fake": fake}, {}, {}, {}, {}]


def test_an_answer_can_be_sent_again_but_not_changed(folder, server, client):
    participant = Participant(client, server.links[0])
    left, right = participant.open()["trials"][0]["images"]
    first = participant.answer(0, chosen=left)
    again = participant.answer(0, chosen=left, seconds=9.0)
    changed = participant.answer(0, chosen=right)
    assert (first.status_code, again.status_code, changed.status_code) == (200, 200, 409)
    assert first.json() == again.json()
    assert [chosen for _, chosen in stored_answers(folder)] == [left]


def test_answers_that_are_not_the_participants_next_are_refused(folder, server, client):
    one, other = Participant(client, server.links[0]), Participant(client, server.links[1])
    one.open()
    theirs = other.open()["trials"][0]
    forged = Participant(client, f"{server.address}/t/{'0' * 32}")
    forged.test = one.test
    assert one.answer(1).status_code == 400
    assert one.answer(0, trial=theirs["trial"], chosen=theirs["images"][0]).status_code == 400
    assert one.answer(0, chosen="../key.json").status_code == 400
    assert one.answer(0, seconds=-1).status_code == 400
    assert forged.answer(0).status_code == 404
    before_opening = Participant(client, server.links[2])
    before_opening.test = one.test
    assert before_opening.answer(0).status_code == 400
    assert stored_answers(folder) == []


def test_a_body_must_be_json_and_small_whether_or_not_it_says_its_length(folder, server, client):
    url = f"{server.links[0]}/answers"
    json_type = {"Content-Type": "application/json"}
    assert client.post(url, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415
    assert client.post(url, content=b"{}").status_code == 415
    assert client.post(url, content=b" " * 5000, headers=json_type).status_code == 413
    chunks = (b" " * 1000 for _ in range(100))
    assert client.post(url, content=chunks, headers=json_type).status_code == 413
    assert stored_answers(folder) == []


def test_an_image_is_served_to_those_whose_form_has_it_and_to_nobody_else(folder, key, server, client):
    participants = [Participant(client, link) for link in server.links[:2]]
    unopened = server.links[2]
    for participant in participants:
        participant.open()
    for form in key.forms:
        for name in (name for trial in form.trials for name in (trial.real, trial.fake)):
            assert client.get(f"{unopened}/images/{name}").status_code == 404
            for participant in participants:
                response = client.get(f"{participant.link}/images/{name}")
                if participant.test["form"] == form.form:
                    assert response.content == (folder / form.form / "images" / name).read_bytes()
                else:
                    assert response.status_code == 404


def test_the_responses_of_all_images_have_the_same_headers(server, client):
    participant = Participant(client, server.links[0])
    headers = set()
    for trial in participant.open()["trials"]:
        for name in trial["images"]:
            response = client.get(f"{participant.link}/images/{name}", headers={"Accept-Encoding": "gzip"})
            headers.add(tuple((k, v) for k, v in response.headers.items() if k != "date"))
    [only] = headers
    assert dict(only).keys() == {
        "content-length", "content-type", "cache-control", "content-security-policy", "referrer-policy",
        "cross-origin-resource-policy", "x-content-type-options", "x-robots-tag",
    }  # fmt: skip


def test_head_takes_no_form_and_a_range_is_answered_whole(folder, server, client):
    assert client.head(server.links[0]).status_code == 200
    assert rows(folder / "answers.sqlite", "SELECT COUNT(form) FROM participants") == [(0,)]
    participant = Participant(client, server.links[0])
    image = f"{participant.link}/images/{participant.open()['trials'][0]['images'][0]}"
    whole = client.get(image)
    assert client.get(image, headers={"Range": "bytes=0-9"}).content == whole.content
    head = client.head(image)
    assert (head.status_code, head.content, head.headers["content-length"]) == (
        200, b"", whole.headers["content-length"],
    )  # fmt: skip


def test_an_unknown_link_is_explained_on_a_page(server, client):
    response = client.get(f"{server.address}/t/{'f' * 32}")
    assert response.status_code == 404
    assert "This link opens no test" in response.text
    assert "Server" not in response.headers


def test_a_client_that_hangs_up_in_the_middle_of_its_answer_disturbs_nobody(folder, server, client):
    place = urlsplit(server.links[0])
    with socket.create_connection((place.hostname, place.port)) as connection:
        connection.sendall(
            f"POST {place.path}/answers HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            "Content-Length: 100\r\n\r\n{".encode()
        )
    participant = Participant(client, server.links[0])
    participant.answer_all()
    assert stored_answers(folder) == participant.given
    assert "Traceback" not in server.log.read_text()


def test_when_the_database_fails_the_page_is_told_to_try_again_and_the_researcher_why(folder, server, client):
    participant = Participant(client, server.links[0])
    participant.open()
    with closing(sqlite3.connect(folder / "answers.sqlite")) as connection:
        connection.execute("ALTER TABLE answers RENAME TO lost")
        assert participant.answer(0).status_code == 503
        assert "the database fails (no such table: answers)" in server.log.read_text()
        connection.execute("ALTER TABLE lost RENAME TO answers")
    assert participant.answer(0).status_code == 200
