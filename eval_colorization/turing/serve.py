"""`eval_colorization turing-serve`: the visual Turing test behind a web server."""

import contextlib
import hashlib
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from eval_colorization.config import TuringServeConfig
from eval_colorization.turing.database import (
    connect,
    invite,
    prepare_database,
    stored_admin_token,
    transaction,
)
from eval_colorization.turing.key import Key, read_key
from pretext.runtime.command_line import RunFailedError, StoppedError

try:
    import uvicorn

    from eval_colorization.turing.web import Site
except ModuleNotFoundError as error:
    raise ValueError(
        f"turing-serve needs {error.name}: pip install 'colorization-benchmark[turing]'"
    ) from error

BACKLOG = 2048  # connections that wait to be accepted: a whole class may press the link at once
GOODBYE_SECONDS = 5  # that requests under way have to end when the server stops
ADMIN_TOKEN = re.compile(r"[A-Za-z0-9_-]{16,128}")


def serve(config: TuringServeConfig) -> None:
    """Serve the test in `config.folder` until Ctrl-C or SIGTERM; the same command resumes it.

    Prints a link for each new invitation and the admin page's link, with the address it listens on; behind a
    reverse proxy, or for 0.0.0.0, put the public address in its place (the admin page shows links as it is
    itself addressed).

    Raises:
        ValueError: a folder without key or images, a database of another test, an unfit token or number.
        RunFailedError: the address cannot be listened on.
        StoppedError: the end, by a signal.
    """
    folder, host, port = config.folder, config.host, config.port
    if config.admin_token is not None and not ADMIN_TOKEN.fullmatch(config.admin_token):
        raise ValueError("--admin_token must be 16 to 128 letters, digits, - or _; without it one is drawn")
    if not 0 <= port <= 65535:
        raise ValueError(f"--port must be from 0 (any free one) to 65535, not {port}")
    if config.invitations < 0:
        raise ValueError(f"--invitations is a number of new links, not {config.invitations}")
    key = read_key(folder / "key.json")
    check_images(folder, key)
    database = config.database or folder / "answers.sqlite"
    if database.suffix not in (".sqlite", ".db"):
        raise ValueError(f"--database {database} must end in .sqlite or .db, by which turing-score knows it")
    prepare_database(database, key.test_id, hashlib.sha256((folder / "key.json").read_bytes()).hexdigest())
    token = config.admin_token or stored_admin_token(database)
    with (
        listening(host, port) as listener,
        until_signal(database),
        contextlib.closing(connect(database)) as connection,
    ):
        address = _address(host, listener.getsockname()[1])
        with transaction(connection):
            new = invite(connection, config.invitations)
        for invitation in new:
            print(f"{address}/t/{invitation}")
        print(f"Admin page: {address}/admin?token={token}", flush=True)
        server = uvicorn.Config(
            Site(folder, key, database, connection, token).app(),
            backlog=BACKLOG,
            lifespan="off",
            ws="none",
            access_log=False,  # it would hold the links, and who has a link is the participant
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=GOODBYE_SECONDS,
        )
        uvicorn.Server(server).run(sockets=[listener])


def check_images(folder: Path, key: Key) -> None:
    """Raise ValueError if an image of the test is missing."""
    missing = [
        path
        for form in key.forms
        for trial in form.trials
        for path in (folder / form.form / "images" / name for name in (trial.real, trial.fake))
        if not path.is_file()
    ]
    if missing:
        raise ValueError(
            f"{folder} lacks {len(missing)} images of its test, {missing[0]} for one: copy the export again"
        )


@contextlib.contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket at which connections can wait from now on. Raises RunFailedError, saying why it cannot be."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise RunFailedError(
            f"cannot listen on port {port} of {host} ({error}); choose another with --port or --host"
        ) from error
    with listener:
        # Connections inherit it. Without it the second part of each response waits for the client's acknowledgement
        # of the first, 40 ms; asyncio sets it by itself only on sockets that it makes.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield listener


@contextlib.contextmanager
def until_signal(database: Path) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the block as a StoppedError, so that it is left in order."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise StoppedError(
            f"stopped; every acknowledged answer is in {database}, the same command resumes", number
        )

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _address(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
