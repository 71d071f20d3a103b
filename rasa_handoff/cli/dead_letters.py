"""``rasa-handoff dead-letters``: what couldn't be delivered; look, send again, drop.

Where a process has the database open, it does it; else the command takes the database and does it itself.
"""

import argparse
import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Connection

from rasa_handoff.admin.dead_letters import DROP, LIST, SEND, DeadLetters
from rasa_handoff.admin.socket import NobodyThere, ask
from rasa_handoff.cli.database import add_database, existing
from rasa_handoff.relay import memory
from rasa_handoff.relay.dead_letters import DEAD_LETTERS as OF_RELAY
from rasa_handoff.server.dead_letters import DEAD_LETTERS as OF_SERVER
from rasa_handoff.server.tables import open_store
from rasa_handoff.store.engine import Store
from rasa_handoff.vocabulary.errors import StoreError

Work = Callable[[DeadLetters, Connection], Any]


def describe(parser: argparse.ArgumentParser) -> None:
    """The commands below ``dead-letters``."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    listing = commands.add_parser("list", help="what couldn't be delivered, the newest first")
    listing.add_argument("--json", action="store_true", help="one JSON object a line, with all of it")
    listing.set_defaults(run=show)
    sending = commands.add_parser("send", help="put one back into its lane, if its handoff goes on")
    dropping = commands.add_parser("drop", help="forget one")
    for one, run in ((sending, send), (dropping, drop)):
        one.add_argument("number", metavar="NUMBER", type=int, help="as the list says")
        one.set_defaults(run=run)
    for one in (listing, sending, dropping):
        add_database(one)


def show(arguments: argparse.Namespace) -> int:
    """One line each: number, when, for whom, what, why."""
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
    """Send it again."""
    number = arguments.number
    _do(arguments, SEND, lambda side, connection: side.send(connection, number), number=number)
    print(f"Dead letter {number} is on its way again.")
    return 0


def drop(arguments: argparse.Namespace) -> int:
    """Forget it."""
    number = arguments.number
    _do(arguments, DROP, lambda side, connection: side.drop(connection, number), number=number)
    print(f"Dead letter {number} was dropped.")
    return 0


def _do(arguments: argparse.Namespace, command: str, work: Work, **more: Any) -> Any:
    database = existing(arguments.database)
    try:
        return ask(database, command, **more)
    except NobodyThere:
        return asyncio.run(_do_here(database, work))


async def _do_here(database: str, work: Work) -> Any:
    """Own the database of whichever side it is, and do it.

    Raises:
        StoreError: it can't be opened, or a process has it open that can't be asked.
    """
    with contextlib.suppress(StoreError):  # the relay's, or one that can't be opened, which the relay's store says then
        async with open_store(database) as server:
            return await server.write(lambda connection: work(OF_SERVER, connection))
    async with Store(database, memory.metadata, memory.SIDE, memory.SCHEMA) as relay:
        return await relay.write(lambda connection: work(OF_RELAY, connection))
