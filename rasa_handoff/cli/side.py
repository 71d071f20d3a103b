"""The commands that concern one side, the live-agent server or the relay, and how they reach it.

If a process has the database open, it carries out the command: it is asked by the socket beside a SQLite file, or at its HTTP
address (``--url``). Otherwise the command opens the database and does it itself.
"""

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.engine import Connection

from rasa_handoff.admin.commands import ADMIN
from rasa_handoff.admin.remote import ask_at, checked
from rasa_handoff.admin.socket import NobodyThere, ask
from rasa_handoff.cli.database import add_database, existing, relays_database
from rasa_handoff.cli.project import Project
from rasa_handoff.guard.socketio_requests import is_loopback
from rasa_handoff.protocol.errors import HandoffError, StoreError
from rasa_handoff.protocol.tokens import ADMIN_TOKEN_VARIABLE
from rasa_handoff.relay import repository
from rasa_handoff.server.storage.tables import open_store
from rasa_handoff.store.engine import Store
from rasa_handoff.store.sqlite import DatabaseInUse

SERVER, RELAY, PLATFORM = "server", "relay", "platform"
ADMIN_PATHS = {SERVER: ADMIN, RELAY: f"/webhooks/handoff{ADMIN}"}
"""The path of each side's admin commands."""

CommandWork = Callable[[str, Connection], Any]
"""Does a command's work in the database, where no process has it open. Takes the side that the database belongs to."""


def add_side(command: argparse.ArgumentParser, *more: str) -> None:
    """Add the options that say which side is meant, and where it is. ``more``: sides beside the server's and the relay's."""
    add_database(command)
    # With None for "database" it is known whether --database was given.
    default = command.get_default("database")
    command.set_defaults(database=None, desks_database=default)
    command.add_argument(
        "--side",
        choices=(SERVER, RELAY, *more),
        default=SERVER,
        help=" or ".join(("the side that is meant: the live-agent server (default)", "the relay", *map(_named, more))),
    )
    command.add_argument(
        "--url",
        metavar="URL",
        help="ask the side that runs at this address, such as https://desk.example.org, or with --side relay Rasa's; "
        f"with the admin token in the environment variable {ADMIN_TOKEN_VARIABLE}",
    )
    command.add_argument(
        "--token",
        help=f"the admin token, where {ADMIN_TOKEN_VARIABLE} isn't set; others on this machine can read it here",
    )
    command.add_argument(
        "--project",
        metavar="DIR",
        type=Path,
        default=Path("."),
        help="with another side: the Rasa project whose credentials.yml names the database (default: this folder)",
    )


def _named(side: str) -> str:
    return f"the {side} channels"


def carry_out(arguments: argparse.Namespace, command: str, work: CommandWork, **more: Any) -> Any:
    """Have the side carry out the command, or do its work here, and return the result. ``more``: the command's arguments.

    Raises:
        HandoffError: the side refuses, or can't be reached, or its database can't be opened.
    """
    if arguments.url is not None:
        return ask_at(*_address(arguments), command, **more)
    database = _database(arguments)
    try:
        return ask(database, command, **more)
    except NobodyThere:
        pass
    try:
        return asyncio.run(_do_here(database, work))
    except DatabaseInUse as problem:
        raise HandoffError(
            f"{problem} Or have that process do it: --url with its address, if it was started with an admin token "
            f"(docs/dead-letters.md)."
        ) from problem


def _address(arguments: argparse.Namespace) -> tuple[str, str]:
    """Return the address for admin commands, and the token.

    Raises:
        HandoffError: ``--database`` is given too, or there is no token that can be sent.
    """
    if arguments.database is not None:
        raise HandoffError("Give --url or --database: one names a running process, the other a database.")
    token = arguments.token or os.environ.get(ADMIN_TOKEN_VARIABLE)
    if not token:
        raise HandoffError(f"--url needs the admin token of that side: set {ADMIN_TOKEN_VARIABLE} to it.")
    if not (token.isascii() and token.isprintable()):
        raise HandoffError("The admin token has characters that can't stand in a header: give the one that side has.")
    url = checked(arguments.url.rstrip("/")) + ADMIN_PATHS[arguments.side]
    if url.startswith("http:") and not is_loopback(urlsplit(url).netloc):
        print("The token goes there unencrypted: better give an https:// address.", file=sys.stderr)
    return url, token


def _database(arguments: argparse.Namespace) -> str:
    if arguments.side == RELAY:
        which = "that 'store' in credentials.yml names: --database URL, or --project DIR"
        return existing(arguments.database or relays_database(Project(arguments.project)), which)
    return existing(arguments.database or arguments.desks_database)


async def _do_here(database: str, work: CommandWork) -> Any:
    """Open the database, as the server's or the relay's, and do the work in it.

    Raises:
        StoreError: it can't be opened, or a process has it open that can't be asked.
    """
    # It may be the relay's database; if it can't be opened at all, the second attempt raises.
    with contextlib.suppress(StoreError):
        async with open_store(database, alone=True) as server:
            return await server.write(lambda connection: work(SERVER, connection))
    async with Store(
        database, repository.metadata, repository.SIDE, repository.SCHEMA, repository.STEPS, repository.OLDEST
    ) as relay:
        return await relay.write(lambda connection: work(RELAY, connection))
