"""``rasa-handoff dead-letters``: list, send again and drop entries that couldn't be delivered.

If a process has the database open, it carries out the command: it is asked by the socket beside a SQLite file, or at its HTTP
address (``--url``). Otherwise the command opens the database and does it itself.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import create_engine
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import SQLAlchemyError

from rasa_handoff.admin.commands import ADMIN
from rasa_handoff.admin.dead_letter_commands import DROP, LIST, SEND, DeadLetters
from rasa_handoff.admin.remote import ask_at, checked
from rasa_handoff.admin.socket import NobodyThere, ask
from rasa_handoff.cli.database import add_database, existing, relays_database
from rasa_handoff.cli.project import Project
from rasa_handoff.guard.socketio_requests import is_loopback
from rasa_handoff.protocol.errors import HandoffError, StoreError
from rasa_handoff.protocol.tokens import ADMIN_TOKEN_VARIABLE
from rasa_handoff.relay import repository
from rasa_handoff.relay.undeliverable import DEAD_LETTERS as OF_RELAY
from rasa_handoff.server.sending_again import DEAD_LETTERS as OF_SERVER
from rasa_handoff.server.storage.tables import open_store
from rasa_handoff.store.engine import Store
from rasa_handoff.store.postgres import with_driver
from rasa_handoff.store.sqlite import DatabaseInUse

ADDRESSES = {"server": ADMIN, "relay": f"/webhooks/handoff{ADMIN}"}
"""The path of each side's admin commands."""

Work = Callable[[DeadLetters, Connection], Any]


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the commands below ``dead-letters``."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    listing = commands.add_parser("list", help="what couldn't be delivered, the newest first")
    listing.add_argument("--json", action="store_true", help="one JSON object a line, with all of it")
    listing.set_defaults(run=show)
    sending = commands.add_parser("send", help="put one back into its lane, if its handoff goes on")
    dropping = commands.add_parser("drop", help="forget one")
    for command, run in ((sending, send), (dropping, drop)):
        command.add_argument("number", metavar="NUMBER", type=int, help="as the list says")
        command.set_defaults(run=run)
    for command in (listing, sending, dropping):
        add_database(command)
        # With None for "database" it is known whether --database was given.
        default = command.get_default("database")
        command.set_defaults(database=None, desks_database=default)
        command.add_argument(
            "--side",
            choices=("server", "relay"),
            default="server",
            help="whose: the live-agent server's (default) or the relay's",
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
            help="with --side relay: the Rasa project whose credentials.yml names the database (default: this folder)",
        )


def show(arguments: argparse.Namespace) -> int:
    """Print one line for each: number, time, target and lane, name, reason."""
    letters = _do(arguments, LIST, lambda side, connection: side.list(connection))
    for letter in letters:
        if arguments.json:
            print(json.dumps(letter))
            continue
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(letter["set_aside_at"]))
        print(
            f"{letter['number']}\t{when}\t{letter['target']} {letter['lane']!r}\t{letter['name']}\t{letter['reason']}"
        )
    if not letters:
        print("There are no dead letters.")
    return 0


def send(arguments: argparse.Namespace) -> int:
    """Send a dead letter again."""
    number = arguments.number
    _do(arguments, SEND, lambda side, connection: side.send(connection, number), number=number)
    print(f"Dead letter {number} is on its way again.")
    return 0


def drop(arguments: argparse.Namespace) -> int:
    """Drop a dead letter."""
    number = arguments.number
    _do(arguments, DROP, lambda side, connection: side.drop(connection, number), number=number)
    print(f"Dead letter {number} was dropped.")
    return 0


def _do(arguments: argparse.Namespace, command: str, work: Work, **more: Any) -> Any:
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
        HandoffError: one sentence.
    """
    if arguments.database is not None:
        raise HandoffError("Give --url or --database: one names a running process, the other a database.")
    token = arguments.token or os.environ.get(ADMIN_TOKEN_VARIABLE)
    if not token:
        raise HandoffError(f"--url needs the admin token of that side: set {ADMIN_TOKEN_VARIABLE} to it.")
    if not (token.isascii() and token.isprintable()):
        raise HandoffError("The admin token has characters that can't stand in a header: give the one that side has.")
    url = checked(arguments.url.rstrip("/")) + ADDRESSES[arguments.side]
    if url.startswith("http:") and not is_loopback(urlsplit(url).netloc):
        print("The token goes there unencrypted: better give an https:// address.", file=sys.stderr)
    return url, token


def _database(arguments: argparse.Namespace) -> str:
    if arguments.database is None and arguments.side == "relay":
        return existing(relays_database(Project(arguments.project)))
    return existing(arguments.database or arguments.desks_database)


def count_dead_letters(database: str) -> int:
    """Count dead letters, by asking the process that has the database, or by reading it; 0 if neither works."""
    try:
        return len(ask(database, LIST))
    except (NobodyThere, HandoffError):
        with contextlib.suppress(SQLAlchemyError, ModuleNotFoundError):
            return _read_count(database)
    return 0


def _read_count(database: str) -> int:
    url, more = make_url(database), {}
    if url.get_backend_name() == "sqlite":
        url = make_url(f"sqlite:///file:{url.database}?mode=ro&uri=true")  # read-only, so that no file is made
    else:
        url, more = with_driver(url), {"connect_timeout": 2}
    engine = create_engine(url, connect_args=more)
    try:
        with engine.connect() as connection:
            return repository.outbox.count_dead_letters(connection)
    finally:
        engine.dispose()


async def _do_here(database: str, work: Work) -> Any:
    """Open the database, as the server's or the relay's, and do the work in it.

    Raises:
        StoreError: it can't be opened, or a process has it open that can't be asked.
    """
    # It may be the relay's database; if it can't be opened at all, the second attempt raises.
    with contextlib.suppress(StoreError):
        async with open_store(database) as server:
            return await server.write(lambda connection: work(OF_SERVER, connection))
    async with Store(database, repository.metadata, repository.SIDE, repository.SCHEMA, repository.STEPS) as relay:
        return await relay.write(lambda connection: work(OF_RELAY, connection))
