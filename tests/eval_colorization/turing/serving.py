"""A small Turing test in a folder, a real server process for it, and a participant without a browser."""

import json
import random
import re
import secrets
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from eval_colorization.turing.key import Form, Key, Kind, Trial, write_key

METHODS = ('=HYPERLINK("http://evil.example")', "<b onclick=alert(1)>annealed mean</b>")


def write_small_test(folder: Path, *, practice: int = 1, test: int = 3, vigilance: int = 1) -> Key:
    """Two forms of one block, as turing-export would write them but with a few bytes in the place of images."""
    counts: dict[Kind, int] = {"practice": practice, "test": test, "vigilance": vigilance}
    kinds = [kind for kind, count in counts.items() for _ in range(count)]
    forms = []
    for form in range(len(METHODS)):
        images = folder / f"form-{form + 1:02}" / "images"
        images.mkdir(parents=True)
        trials = []
        for index, kind in enumerate(kinds):
            real, fake = (f"{secrets.token_hex(8)}.png" for _ in range(2))
            for name in (real, fake):
                (images / name).write_bytes(b"\x89PNG\r\n\x1a\n" + secrets.token_bytes(100))
            trials.append(
                Trial(
                    trial=secrets.token_hex(6),
                    kind=kind,
                    photo=f"@private photo {index}.jpg",
                    method=None if kind == "vigilance" else METHODS[(index + form) % len(METHODS)],
                    real=real,
                    fake=fake,
                    crowd_left=real,
                )
            )
        forms.append(Form(form=images.parent.name, trials=tuple(trials)))
    key = Key(
        test_id=secrets.token_hex(8),
        display_seconds=0.05,
        methods=METHODS,
        manifest={"images": "sealed manifest"},
        forms=tuple(forms),
    )
    write_key(key, folder / "key.json")
    return key


@dataclass
class Server:
    """A process of turing-serve that takes connections."""

    process: subprocess.Popen[str]
    address: str
    links: list[str]
    token: str
    log: Path  # what it wrote to stderr

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@contextmanager
def serving(folder: Path, **options: Any) -> Iterator[Server]:
    """A server of `folder` at a free port, in a process of its own; ended by SIGTERM if it still runs."""
    flags = (f"--{key}={value}" for key, value in ({"port": 0} | options).items())
    command = [sys.executable, "-m", "eval_colorization", "turing-serve", str(folder), *flags]
    log = folder.with_suffix(".log")
    with (
        log.open("a") as errors,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as process,
    ):
        assert process.stdout
        links = []
        while not (
            found := re.match(r"Admin page: (\S+)/admin\?token=(\S+)", line := process.stdout.readline())
        ):
            assert line, "the server ended before it served"
            links.append(line.strip())
        try:
            yield Server(process, found[1], links, found[2], log)
        finally:
            process.terminate()


def page_data(html: str) -> dict[str, Any]:
    """What a page was told about its test."""
    block = re.search(r'<script type="application/json" id="test">(.*?)</script>', html, re.DOTALL)
    assert block
    return json.loads(block[1])


class Participant:
    """Opens a link and answers by lot, as the page does, over plain HTTP."""

    def __init__(self, client: httpx.Client, link: str, seed: int = 0) -> None:
        self.client = client
        self.link = link
        self.rng = random.Random(seed)
        self.given: list[tuple[str, str]] = []

    def open(self) -> dict[str, Any]:
        response = self.client.get(self.link)
        assert response.status_code == 200
        self.test = page_data(response.text)
        return self.test

    def answer(self, position: int, **changes: Any) -> httpx.Response:
        trial = self.test["trials"][position]
        content = {
            "trial": trial["trial"],
            "position": position,
            "chosen": self.rng.choice(trial["images"]),
            "seconds": 0.5,
        } | changes
        response = self.client.post(f"{self.link}/answers", json=content)
        if response.status_code == 200:
            self.given.append((content["trial"], content["chosen"]))
        return response

    def answer_all(self) -> None:
        self.open()
        for position in range(self.test["answered"], len(self.test["trials"])):
            assert self.answer(position).status_code == 200


def rows(database: Path, query: str) -> list[Any]:
    """What `query` finds in the database."""
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def stored_answers(folder: Path) -> list[Any]:
    """(trial, chosen) of all answers, in the order of participants and positions."""
    return rows(folder / "answers.sqlite", "SELECT trial, chosen FROM answers ORDER BY participant, position")
