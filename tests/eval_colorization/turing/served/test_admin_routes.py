import csv
import io

import pytest

from eval_colorization.turing.answers import harmless
from tests.eval_colorization.turing.serving import METHODS, Participant


def test_the_admin_page_opens_by_its_link_only_and_the_token_leaves_the_address(server, client):
    assert client.get(f"{server.address}/admin").status_code == 403
    assert client.get(f"{server.address}/admin?token=wrong").status_code == 403
    assert client.get(f"{server.address}/admin?token=%ff%C3%A9").status_code == 403
    signed_in = client.get(f"{server.address}/admin?token={server.token}")
    cookie = signed_in.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert 'content="0; url=/admin"' in signed_in.text
    page = client.get(f"{server.address}/admin")
    assert page.status_code == 200
    assert all(link in page.text for link in server.links)
    assert "<b onclick" not in page.text
    assert "&lt;b onclick" in page.text


def test_invitations_are_made_with_the_token_and_not_with_the_cookie_alone(server, client):
    url = f"{server.address}/admin/invitations"
    client.get(f"{server.address}/admin?token={server.token}")
    assert client.post(url, data={"count": "3"}).status_code == 403
    assert client.post(url, data={"count": "3", "token": "wrong"}).status_code == 403
    for count in ("0", "-1", "1001", "many", "٣", ""):
        assert client.post(url, data={"count": count, "token": server.token}).status_code == 400
    made = client.post(url, data={"count": "3", "token": server.token}, follow_redirects=True)
    assert made.url.path == "/admin"
    assert made.text.count(f"{server.address}/t/") == len(server.links) + 3


def test_the_answers_come_as_csv_with_their_meaning_and_without_formulas(key, server, client):
    participant = Participant(client, server.links[0])
    participant.answer_all()
    url = f"{server.address}/admin/answers.csv"
    assert client.get(url).status_code == 403
    table = list(csv.DictReader(io.StringIO(client.get(url, params={"token": server.token}).text)))
    trials = {trial.trial: trial for form in key.forms for trial in form.trials}
    assert [(row["trial"], row["chosen"]) for row in table] == participant.given
    for row in table:
        trial = trials[row["trial"]]
        assert row["fooled"] == str(int(row["chosen"] == trial.real))
        assert row["kind"] == trial.kind
        assert row["photo"] == f"'{trial.photo}"
        assert row["method"] == {None: "", METHODS[0]: f"'{METHODS[0]}", METHODS[1]: METHODS[1]}[trial.method]


@pytest.mark.parametrize("field", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "  =1"])
def test_what_a_spreadsheet_computes_is_made_text(field):
    # The characters of the OWASP page on CSV injection.
    assert harmless(field) == f"'{field}"
    assert harmless("photo (1) = a+b@c") == "photo (1) = a+b@c"
