import asyncio
import json
import random
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx

from tests.eval_colorization.turing.serving import Participant, page_data, rows, serving, stored_answers


def test_killed_amid_answers_it_has_every_acknowledged_one_and_participants_go_on(folder, key):
    num_participants, kill_after = 12, 30
    with serving(folder, invitations=num_participants) as server, httpx.Client() as client:
        participants = [Participant(client, link, seed) for seed, link in enumerate(server.links)]

        def take(participant):
            participant.open()
            for position in range(len(participant.test["trials"])):
                try:
                    assert participant.answer(position).status_code == 200
                except httpx.TransportError:
                    return
                if sum(len(one.given) for one in participants) >= kill_after:
                    server.process.kill()

        with ThreadPoolExecutor(num_participants) as pool:
            list(pool.map(take, participants))
        assert server.process.wait() == -signal.SIGKILL
    acknowledged = [answer for one in participants for answer in one.given]
    assert len(acknowledged) >= kill_after
    with serving(folder) as server, httpx.Client() as client:
        assert set(acknowledged) <= set(stored_answers(folder))
        for participant in participants:
            participant.client = client
            participant.link = server.address + urlsplit(participant.link).path
            participant.answer_all()
    assert rows(folder / "answers.sqlite", "SELECT COUNT(*) FROM participants WHERE finished IS NULL") == [
        (0,)
    ]
    assert set(acknowledged) <= set(stored_answers(folder))


def test_two_hundred_simultaneous_participants_lose_no_answer(folder, key):
    num_participants = 200
    # In a thread of its own, as the browser of other tests keeps a loop in this one.
    with serving(folder, invitations=num_participants) as server, ThreadPoolExecutor(1) as thread:
        given = thread.submit(lambda: asyncio.run(_crowd(server))).result()
    assert len(given) == num_participants * len(key.forms[0].trials)
    assert sorted(given) == sorted(stored_answers(folder))
    forms = rows(
        folder / "answers.sqlite", "SELECT COUNT(*) FROM participants WHERE finished NOT NULL GROUP BY form"
    )
    assert forms == [(100,), (100,)]


async def _crowd(server):
    """Over bare sockets: here httpx would take most of the machine."""
    given = []
    everyone_is_there = asyncio.Barrier(len(server.links))

    async def take(link, rng):
        place = urlsplit(link)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)

        async def ask(method, path, body=""):
            writer.write(
                f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            return await reader.readexactly(int(re.search(rb"content-length: (\d+)", head)[1]))

        test = page_data((await ask("GET", place.path)).decode())
        await ask("GET", f"{place.path}/images/{test['trials'][0]['images'][0]}")
        await everyone_is_there.wait()
        for position, trial in enumerate(test["trials"]):
            chosen = rng.choice(trial["images"])
            answer = {"trial": trial["trial"], "position": position, "chosen": chosen, "seconds": 0.5}
            await ask("POST", f"{place.path}/answers", json.dumps(answer))
            given.append((trial["trial"], chosen))
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(take(link, random.Random(seed)) for seed, link in enumerate(server.links)))
    return given
