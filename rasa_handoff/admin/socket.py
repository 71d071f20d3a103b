"""The admin socket: a Unix socket beside a SQLite database, by which commands reach the process that owns the database.

A connection has one request, a line of JSON each way (``admin/commands.py``). Only the owner may use the socket's file (0600),
like the database itself.
"""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rasa_handoff.admin.commands import ANSWER_SECONDS, LONGEST_REQUEST, Handler, answer_to, request_for, result_of
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.text import as_json
from rasa_handoff.store.database_url import read_url

log = get_log(__name__)

ENDING: Final = "-admin"


class AdminSocket:
    """Answers commands while it is entered: ``async with AdminSocket(url, {"dead-letters.list": handler})``.

    Only the process that owns the database may enter it. So a file with the socket's name is replaced: the process that made it
    has ended, or this one wouldn't own the database. For a database that isn't a file, nothing is made.
    """

    def __init__(self, url: str, handlers: Mapping[str, Handler]) -> None:
        self._path, self._handlers = socket_of(url), handlers
        self._server: asyncio.AbstractServer | None = None

    async def __aenter__(self) -> "AdminSocket":
        if self._path is None or not hasattr(socket, "AF_UNIX"):
            return self
        before = os.umask(0o177)  # so that nobody else can use the file, from its creation on
        try:
            with contextlib.suppress(FileNotFoundError):
                self._path.unlink()
            self._server = await asyncio.start_unix_server(self._serve, self._path, limit=LONGEST_REQUEST)
        except OSError as problem:
            log.warning("Commands can't reach this process, because %s can't be made: %s", self._path, problem)
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
            except (ValueError, asyncio.TimeoutError) as problem:  # a line that is too long, or doesn't end
                log.warning("A request on the admin socket couldn't be read: %s", problem)
            finally:
                writer.close()


def ask(url: str, command: str, **arguments: Any) -> Any:
    """Send a command to the process that owns this database, and return its answer.

    Raises:
        NobodyThere: no process has this database open, or none that can be reached.
        HandoffError: the command was refused; with its sentence.
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
    """No process has the database open: the caller may open it and do the work itself."""


def socket_of(url: str) -> Path | None:
    """Return the path of this database's socket; None for a database that isn't a file."""
    parsed = read_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database or parsed.database == ":memory:":
        return None
    return Path(parsed.database + ENDING)
