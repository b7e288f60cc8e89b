"""The web application of the visual Turing test: the participants' routes and the researcher's.

A participant is who holds an invitation's link, and can ask for three things: the page, the images of their own
form, and to have an answer stored. What tells real from colorized, test from vigilance trials, or names a method
or a photo leaves the server only towards the researcher; a practice trial's fake is told when it was answered.
"""

import asyncio
import hmac
import re
import secrets
import sqlite3
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import parse_qs

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from eval_colorization.turing.answers import COLUMNS, csv_text, read_answers
from eval_colorization.turing.database import (
    ConflictingAnswerError,
    RefusedAnswerError,
    UnknownInvitationError,
    invite,
    look_up,
    open_form,
    parse_answer,
    reading,
    record_answer,
    transaction,
)
from eval_colorization.turing.key import Key
from eval_colorization.turing.pages import TEMPLATES, participant_page, shown_test
from pretext.html_page import render_page

Result = TypeVar("Result")

MAX_BODY_BYTES = 4096  # an answer has about 100
MAX_INVITATIONS = 1000  # made by one click
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


class Site:
    """The routes' functions and what they share.

    Args:
        folder: of the test whose key is `key`.
        connection: writes to the file `database`.
        admin_token: opens the researcher's pages.
    """

    def __init__(
        self, folder: Path, key: Key, database: Path, connection: sqlite3.Connection, admin_token: str
    ) -> None:
        self.folder = folder
        self.key = key
        self.database = database
        self.connection, self.lock = connection, threading.Lock()
        self.admin_token = admin_token
        self.cookie = f"turing_{key.test_id}"  # cookies know no ports: two tests on one machine share the jar
        self.forms = {form.form: form for form in key.forms}
        self.images = {
            form.form: {name for trial in form.trials for name in (trial.real, trial.fake)}
            for form in key.forms
        }
        trials = (trial for form in key.forms for trial in form.trials)
        self.fake_of_practice = {trial.trial: trial.fake for trial in trials if trial.kind == "practice"}

    def app(self) -> ASGIApp:
        """The application."""
        app = Starlette(
            routes=[
                Route("/t/{invitation}", self.page, methods=["GET"]),
                Route("/t/{invitation}/images/{image}", self.image, methods=["GET"]),
                Route("/t/{invitation}/answers", self.answer, methods=["POST"]),
                Route("/admin", self.admin, methods=["GET"]),
                Route("/admin/invitations", self.invitations, methods=["POST"]),
                Route("/admin/answers.csv", self.answers, methods=["GET"]),
            ],
            exception_handlers={
                HTTPException: _explain,
                UnknownInvitationError: _unknown_invitation,
                sqlite3.Error: _try_again,
                ClientDisconnect: _nobody_there,
            },
            max_body_size=MAX_BODY_BYTES,
        )
        app.router.redirect_slashes = False
        return _with_headers(app)

    async def page(self, request: Request) -> Response:
        """The test that a participant takes by their invitation."""
        invitation = request.path_params["invitation"]
        if request.method == "HEAD":  # asked by programs that preview links; a form is for who comes to stay
            await self._write(lambda connection: look_up(connection, invitation))
            return HTMLResponse()
        participation = await self._write(lambda connection: open_form(connection, invitation, self.key))
        # The page itself carries the policy for its content; this part can only stand in a header.
        headers = {"Content-Security-Policy": "frame-ancestors 'none'"}
        test = shown_test(
            self.key,
            self.forms[str(participation.form)],
            participation.plan,
            server=f"/t/{invitation}",
            num_answered=participation.num_answered,
        )
        return HTMLResponse(participant_page(test), headers=headers)

    async def image(self, request: Request) -> Response:
        """A picture of the form that the invitation got; 404 for all others."""
        invitation, image = request.path_params["invitation"], request.path_params["image"]
        participation = await self._write(lambda connection: look_up(connection, invitation))
        if participation.form is None or image not in self.images[participation.form]:
            raise HTTPException(404)
        # Not a FileResponse: its Last-Modified and ETag would tell about the file.
        content = await asyncio.to_thread((self.folder / participation.form / "images" / image).read_bytes)
        return Response(content, media_type="image/png", headers={"Cache-Control": "private, max-age=86400"})

    async def answer(self, request: Request) -> Response:
        """Store an answer; of a practice trial, say which picture was the fake."""
        invitation = request.path_params["invitation"]
        if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
            return _refusal(415, "an answer is sent as application/json")
        body = await request.body()
        try:
            answer = parse_answer(body)
            await self._write(lambda connection: record_answer(connection, invitation, answer))
        except ConflictingAnswerError as error:
            return _refusal(409, str(error))
        except RefusedAnswerError as error:
            return _refusal(400, str(error))
        fake = self.fake_of_practice.get(answer.trial)
        return JSONResponse({"fake": fake} if fake else {})

    async def admin(self, request: Request) -> Response:
        """The counts and links, for those who have the token."""
        if "token" in request.query_params:
            self._check_token(request.query_params["token"])
            # A redirect after following a link in a mail would come without a SameSite=Strict cookie; the
            # page's own refresh has it.
            response = _notice("Signed in", "The page opens.", refresh="/admin")
            response.set_cookie(
                self.cookie,
                self.admin_token,
                path="/admin",
                httponly=True,
                samesite="strict",
                secure=request.url.scheme == "https",
            )
            return response
        self._check_token(request.cookies.get(self.cookie, ""))
        counts = await asyncio.to_thread(count, self.database, self.key)
        nonce = secrets.token_urlsafe(16)
        page = render_page(
            TEMPLATES / "admin.html",
            counts=counts,
            key=self.key,
            base_url=str(request.base_url).rstrip("/"),
            token=self.admin_token,
            nonce=nonce,
        )
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
            "img-src data:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
        )
        return HTMLResponse(page, headers={"Content-Security-Policy": policy})

    async def invitations(self, request: Request) -> Response:
        """Make as many invitations as the form of the admin page asks for."""
        form = parse_qs((await request.body()).decode("utf-8", "replace"))
        # The cookie alone is not enough here: a page of another server on this host could have it sent.
        self._check_token(form.get("token", [""])[-1])
        number = form.get("count", [""])[-1]
        if not re.fullmatch(r"[0-9]{1,4}", number) or not 1 <= int(number) <= MAX_INVITATIONS:
            raise HTTPException(400, f"The number of invitations must be from 1 to {MAX_INVITATIONS}.")
        await self._write(lambda connection: invite(connection, int(number)))
        return RedirectResponse("/admin", status_code=303)

    async def answers(self, request: Request) -> Response:
        """All answers as CSV, for those who have the token."""
        self._check_token(request.query_params.get("token") or request.cookies.get(self.cookie, ""))
        table = await asyncio.to_thread(answers_csv, self.database, self.key)
        name = f"turing-{self.key.test_id}-answers.csv"
        return Response(
            table, media_type="text/csv", headers={"Content-Disposition": f'attachment; filename="{name}"'}
        )

    def _check_token(self, token: str) -> None:
        if not hmac.compare_digest(token.encode("utf-8", "replace"), self.admin_token.encode()):
            raise HTTPException(
                403, "Open the admin page by the link that turing-serve printed when it started."
            )

    async def _write(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """What `work` returns, when its transaction is on the disk; one after the other."""

        def run() -> Result:
            with self.lock, transaction(self.connection):
                return work(self.connection)

        return await asyncio.to_thread(run)


def _refusal(status: int, reason: str) -> Response:
    return JSONResponse({"error": reason}, status_code=status)


def _notice(title: str, text: str, status: int = 200, refresh: str | None = None) -> Response:
    return HTMLResponse(
        render_page(TEMPLATES / "notice.html", title=title, text=text, refresh=refresh),
        status_code=status,
        headers={
            "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        },
    )


async def _explain(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    phrase = HTTPStatus(error.status_code).phrase
    text = "There is nothing at this address." if error.status_code == 404 else error.detail
    return _notice(phrase, text, error.status_code)


async def _unknown_invitation(request: Request, error: Exception) -> Response:
    return _notice(
        "This link opens no test",
        "Check that it was copied whole, or ask the person who sent it for a new one.",
        404,
    )


async def _try_again(request: Request, error: Exception) -> Response:
    print(f"turing-serve: the database fails ({error}); participants' pages try again", file=sys.stderr)
    return JSONResponse({"error": "the answer could not be stored; try again"}, status_code=503)


async def _nobody_there(request: Request, error: Exception) -> Response:
    return Response(status_code=400)


def _with_headers(app: ASGIApp) -> ASGIApp:
    """`app`, each of its responses with HEADERS where it does not set them itself."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await app(scope, receive, send_with_headers)

    return wrapped


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Everybody invited, and how many answers to test trials there are for each form and for each method.

    Attributes:
        invited: by column: invitation, participant, form, started, finished, num_answered.
    """

    invited: Sequence[Mapping[str, Any]]
    by_form: Counter[str]
    by_method: Counter[str]


def count(database: Path, key: Key) -> Counts:
    """The state of a test."""
    with reading(database) as connection:
        rows = connection.execute(
            "SELECT invitation, participant, form, started, finished,"
            " (SELECT COUNT(*) FROM answers WHERE answers.participant = participants.participant) AS num_answered"
            " FROM participants ORDER BY created, participant"
        )
        names = [column for column, *_ in rows.description]
        invited = [dict(zip(names, row, strict=True)) for row in rows]
        answers = dict(connection.execute("SELECT trial, COUNT(*) FROM answers GROUP BY trial"))
    by_form: Counter[str] = Counter()
    by_method: Counter[str] = Counter(dict.fromkeys(key.methods, 0))
    for form in key.forms:
        for trial in form.trials:
            if trial.kind == "test":
                by_form[form.form] += answers.get(trial.trial, 0)
                by_method[str(trial.method)] += answers.get(trial.trial, 0)
    return Counts(invited=invited, by_form=by_form, by_method=by_method)


def answers_csv(database: Path, key: Key) -> str:
    """All answers so far, one row per answer; `fooled` is 1 where the real photo was taken for the fake one."""
    participants = read_answers([database], key).participants
    return csv_text(
        COLUMNS, [row for one in participants for row in one.rows("practice", "test", "vigilance")]
    )
