import json
import os
import random
import secrets
import socket
from urllib.parse import urlsplit

from tests.eval_colorization.turing.serving import Participant, rows

# Of write_small_test's names: what no participant may read anywhere.
SEALED = (b"evil.example", b"annealed", b"private photo", b"sealed manifest", b"vigilance")
NUM_FUZZED = 600
METHODS = ["GET"] * 3 + ["POST"] * 4 + ["HEAD", "PUT", "DELETE", "OPTIONS", "FOO"]
CONTENT_TYPES = ["application/json"] * 6 + ["text/plain", "application/x-www-form-urlencoded", "\x80"]
STRANGE = [None, True, -1, 1e308, 10**40, "", "é\0<b>", [], {}, [[]], "a" * 3000, float("nan"), float("inf")]


def test_random_requests_learn_nothing_break_nothing_and_change_nothing(folder, key, server, client):
    seed = int(os.environ.get("FUZZ_SEED", secrets.randbits(32)))
    print(f"FUZZ_SEED={seed} repeats these requests")
    rng = random.Random(seed)
    participants = [Participant(client, link) for link in server.links]
    for participant in participants:
        participant.open()
        participant.answer(0)
        participant.answer(1)
    tables = ["SELECT * FROM participants ORDER BY 1", "SELECT * FROM answers ORDER BY 1, 2"]
    before = [rows(folder / "answers.sqlite", table) for table in tables]
    statuses = set()
    for _ in range(NUM_FUZZED):
        request = random_request(rng, participants, key)
        response = raw_response(server.address, request)
        status = int(response.split(b" ", 2)[1])
        statuses.add(status)
        assert status < 500, request
        assert not [secret for secret in (*SEALED, server.token.encode()) if secret in response], request
    assert {200, 400, 403, 404, 405, 409, 413, 415} <= statuses
    assert [rows(folder / "answers.sqlite", table) for table in tables] == before
    assert "Traceback" not in server.log.read_text()


def random_request(rng, participants, key):
    """Half near the routes, half anywhere; never an answer that is right and new, or the admin's token."""
    participant = rng.choice(participants)
    paths = [urlsplit(one.link).path for one in participants]
    own_image = participant.test["trials"][0]["images"][0]
    pieces = [
        "t", "images", "answers", "admin", "invitations", "answers.csv", "key.json", "answers.sqlite", "crowd.csv",
        "form-01", "index.html", "..", ".", "%2e%2e", "%2e%2e%2f", "..%2f..%2fkey.json", "..%5c", "%00", "%ff", "%",
        "%c0%ae%c0%ae", "a" * 3000, "", "~", ";", "'%20OR%201=1--", own_image, own_image.upper(), "0" * 32,
        key.forms[0].trials[1].fake, key.forms[1].trials[1].fake, *(path.split("/")[2] for path in paths),
    ]  # fmt: skip
    near = [
        f"{rng.choice(paths)}{rng.choice(['', '/answers', '/images/', '/images/' + own_image, '/'])}"
        for _ in range(4)
    ] + ["/admin", "/admin/invitations", "/admin/answers.csv"]
    path = rng.choice(near)
    if rng.random() < 0.5:
        path += rng.choice(["/", "//", "%2f", ""]) + rng.choice(["/", "//", "%2f", "\\"]).join(
            rng.choices(pieces, k=rng.randint(1, 5))
        )
    if rng.random() < 0.3:
        path += f"?token={rng.choice(['', 'x', '%ff', '%00', 'token', 'a' * 300, '[]'])}"
    method = rng.choice(METHODS)
    body = random_body(rng, participant) if method in ("POST", "PUT") else b""
    if rng.random() < 0.6 and method == "POST":  # a body that fits its participant
        path = urlsplit(participant.link).path + "/answers"
    headers = [
        b"Host: " + rng.choice([b"localhost", b"", b"[::1", b"a:b:c", b"<b>", b"x:99999"]),
        f"Content-Type: {rng.choice(CONTENT_TYPES)}".encode("latin-1"),
        b"Connection: close",
    ]
    headers += rng.sample(
        [
            b"Range: bytes=0-1", b"Range: bytes=9-1", b"If-None-Match: *", b"If-Modified-Since: yesterday",
            b"Cookie: =;;=\xff; turing=", b"Cookie: turing_" + key.test_id.encode() + b"=\xe9",
            b"X-Forwarded-For: ::", b"X-Forwarded-Proto: gopher", b"Accept-Encoding: gzip", b"X-Admin-Token: 1",
            b"Content-Encoding: gzip", b"Authorization: Bearer", b"Upgrade: websocket", b"Origin: null",
        ],
        k=rng.randint(0, 3),
    )  # fmt: skip
    if rng.random() < 0.5:
        headers.append(b"Transfer-Encoding: chunked")
        chunks = [b"%x\r\n%b\r\n" % (len(part), part) for part in (body[:7], body[7:]) if part]
        body = b"".join(chunks) + b"0\r\n\r\n"
    else:
        headers.append(b"Content-Length: %d" % len(body))
    head = [f"{method} {path} HTTP/1.1".encode(), *headers, b"", b""]
    return b"\r\n".join(head) + body


def random_body(rng, participant):
    trials = participant.test["trials"]
    trial, chosen = participant.given[1]
    answered = {"trial": trial, "position": 1, "chosen": chosen, "seconds": 1}
    [other] = set(trials[1]["images"]) - {chosen}
    wrong = answered | {rng.choice(["trial", "position", "chosen"]): rng.choice(STRANGE)}
    ahead = {"trial": trials[3]["trial"], "position": 3, "chosen": trials[3]["images"][0], "seconds": 1.0}
    content = rng.choice([answered, answered | {"chosen": other}, wrong, wrong, ahead, STRANGE, None])
    if rng.random() < 0.6:
        return json.dumps(content).encode(rng.choice(["utf-8"] * 4 + ["utf-16"]))
    form = b"count=5&token=" + rng.choice([b"", b"x", b"%ff"])
    return rng.choice([rng.randbytes(rng.randint(0, 400)), b"[" * 4000, b" " * 9000, form])


def raw_response(address, request):
    """All bytes that come back for bytes that an HTTP library would refuse to send."""
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), timeout=20) as connection:
        response = bytearray()
        try:
            connection.sendall(request)
            while part := connection.recv(65536):
                response += part
        except ConnectionError:
            pass  # a refused body was not read to its end
    return bytes(response)
