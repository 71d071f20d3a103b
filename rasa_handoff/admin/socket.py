"""The admin socket: a local Unix socket beside a SQLite database, by which commands reach the process that owns it.

One request to a connection, a line of JSON each way (``admin/commands.py``). The socket's file is the owner's alone (0600): who
may write the database may say what becomes of it.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import make_url

from rasa_handoff.admin.commands import ANSWER_SECONDS, LONGEST_REQUEST, Handler, answer_to, request_for, result_of
from rasa_handoff.vocabulary.errors import HandoffError
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.text import as_json

log = get_log(__name__)

ENDING: Final = "-admin"


class AdminSocket:
    """Answers commands while it is entered: ``async with AdminSocket(url, {"dead-letters.list": handler})``.

    Only beside a SQLite file, and only by the process that owns it: a file of the same name that is there was left by a process
    that ended.
    """

    def __init__(self, url: str, handlers: Mapping[str, Handler]) -> None:
        self._path, self._handlers = socket_of(url), handlers
        self._server: asyncio.AbstractServer | None = None

    async def __aenter__(self) -> "AdminSocket":
        if self._path is None or not hasattr(socket, "AF_UNIX"):
            return self
        before = os.umask(0o177)  # from its first moment on it is the owner's alone
        try:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=LONGEST_REQUEST)
        except OSError as problem:
            log.warning("Commands can't reach this process, for %s can't be made: %s", self._path, problem)
        finally:
            os.umask(before)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None and self._path is not None:
            self._server.close()
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            try:
                line = await asyncio.wait_for(reader.readline(), ANSWER_SECONDS)
                writer.write(as_json(await answer_to(self._handlers, line)).encode() + b"\n")
                await writer.drain()
            except (ValueError, asyncio.TimeoutError) as problem:  # a line without an end, or of any length
                log.warning("A request on the admin socket couldn't be read: %s", problem)
            finally:
                writer.close()


def ask(url: str, command: str, **arguments: Any) -> Any:
    """Have the process that owns this database do something, and return its answer.

    Raises:
        NobodyThere: no process has this database open, or none that can be reached.
        HandoffError: it said no; its sentence.
    """
    path = socket_of(url)
    if path is None or not path.exists():
        raise NobodyThere
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWER_SECONDS)
        try:
            connection.connect(str(path))
        except (FileNotFoundError, ConnectionRefusedError) as problem:  # left by a process that was killed
            raise NobodyThere from problem
        except OSError as problem:
            raise HandoffError(
                f"The process that has this database open can't be asked ({path}: {problem})."
            ) from problem
        try:
            connection.sendall(request_for(command, arguments) + b"\n")
            with connection.makefile("rb") as answers:
                answer = json.loads(answers.readline())
        except (OSError, ValueError) as problem:
            raise HandoffError(
                f"The process that has this database open didn't answer ({problem}). Try again."
            ) from problem
    return result_of(answer)


class NobodyThere(Exception):
    """No process can be asked: whoever wants something takes the database and does it."""


def socket_of(url: str) -> Path | None:
    """Where the socket of this database is; None for one that isn't a file."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    return Path(parsed.database + ENDING)
