"""``rasa-handoff dead-letters``: list, send again and drop entries that couldn't be delivered."""

import argparse
import contextlib
import json
import time
from typing import Final

from sqlalchemy import create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from rasa_handoff.admin.dead_letter_commands import DROP, LIST, SEND
from rasa_handoff.admin.socket import NobodyThere, ask
from rasa_handoff.cli.side import RELAY, SERVER, add_side, carry_out
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.relay import repository
from rasa_handoff.relay.undeliverable import DEAD_LETTERS as OF_RELAY
from rasa_handoff.server.sending_again import DEAD_LETTERS as OF_SERVER
from rasa_handoff.store.database_url import read_url
from rasa_handoff.store.postgres import with_driver

LETTERS: Final = {SERVER: OF_SERVER, RELAY: OF_RELAY}
"""The commands for dead letters, by side."""


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
        add_side(command)


def show(arguments: argparse.Namespace) -> int:
    """Print one line for each dead letter: number, time, target and lane, name, reason."""
    letters = carry_out(arguments, LIST, lambda side, connection: LETTERS[side].list(connection))
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
    carry_out(arguments, SEND, lambda side, connection: LETTERS[side].send(connection, number), number=number)
    print(f"Dead letter {number} is on its way again.")
    return 0


def drop(arguments: argparse.Namespace) -> int:
    """Drop a dead letter."""
    number = arguments.number
    carry_out(arguments, DROP, lambda side, connection: LETTERS[side].drop(connection, number), number=number)
    print(f"Dead letter {number} was dropped.")
    return 0


def count_dead_letters(database: str) -> int:
    """Count dead letters, by asking the process that has the database, or by reading it; 0 if neither works."""
    try:
        return len(ask(database, LIST))
    except (NobodyThere, HandoffError):
        with contextlib.suppress(HandoffError, SQLAlchemyError, ModuleNotFoundError):
            return _read_count(database)
    return 0


def _read_count(database: str) -> int:
    url, options = read_url(database), {}
    if url.get_backend_name() == "sqlite":
        url = make_url(f"sqlite:///file:{url.database}?mode=ro&uri=true")  # read-only, so that no file is made
    else:
        url, options = with_driver(url), {"connect_timeout": 2}
    engine = create_engine(url, connect_args=options)
    try:
        with engine.connect() as connection:
            return repository.outbox.count_dead_letters(connection)
    finally:
        engine.dispose()
