"""``rasa-handoff move-database``: move a side's database from SQLite to Postgres or back, live chats included.

The database itself says which side it belongs to.
"""

import argparse
import pkgutil
import shlex
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Final

from rasa_handoff.cli.database import VARIABLE, server_module, usable
from rasa_handoff.cli.side import PLATFORM, RELAY, SERVER
from rasa_handoff.protocol.channel_settings import CHANNEL_NAME
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.store.database_url import read_url, without_password
from rasa_handoff.store.moving import MovedDatabase, SideTables, identity_of, move
from rasa_handoff.store.sqlite import file_of

SAID_EVERY: Final = 2.0
"""Seconds between two lines that say how far it is."""


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of ``move-database``."""
    parser.add_argument(
        "source",
        metavar="FROM",
        help="URL of the database that is moved, such as sqlite:///handoff.db; it stays as it is. Stop what works with it first",
    )
    parser.add_argument(
        "target",
        metavar="TO",
        help="URL of an empty database, such as postgresql://user:password@host/handoff_relay",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Move the database, and say what is to be done now."""
    source, target = arguments.source, arguments.target
    tables = _tables_of(source)
    moved = move(source, usable(target, "as TO"), tables, _Progress())
    print(_result(tables, moved))
    print(f"{without_password(source)} is as it was. Now:")
    for number, step in enumerate(_steps(tables.side, source, target), 1):
        print(f"{number}. {step}")
    return 0


class _Progress:
    """Says on standard error how far a long move is."""

    def __init__(self) -> None:
        self._said_at = time.monotonic()

    def __call__(self, table: str, done: int, total: int) -> None:
        if time.monotonic() - self._said_at >= SAID_EVERY:
            self._said_at = time.monotonic()
            print(f"{table}: {done:,} of {total:,} rows", file=sys.stderr, flush=True)


def _tables_of(source: str) -> SideTables:
    """Return the tables of the side that the database belongs to.

    Raises:
        HandoffError: there is no such database, or this version doesn't know its side.
    """
    side = identity_of(source)["side"]
    if side not in SIDES:
        raise HandoffError(
            f"The database {without_password(source)} belongs to '{side}', which this version of rasa-handoff doesn't know: "
            "install the version that wrote it."
        )
    return SIDES[side]()


def _relay() -> SideTables:
    _import_all("rasa_handoff.relay")
    repository = import_module("rasa_handoff.relay.repository")
    return SideTables(side=RELAY, process="the Rasa server", metadata=repository.metadata, schema=repository.SCHEMA)


def _server() -> SideTables:
    _import_all("rasa_handoff.server")
    tables = server_module("storage.tables")
    return SideTables(side=SERVER, process="rasa-handoff serve", metadata=tables.METADATA, schema=tables.SCHEMA)


def _platform() -> SideTables:
    tables = import_module("rasa_handoff.platforms.memory_tables")
    return SideTables(side=tables.SIDE, process="the Rasa server", metadata=tables.metadata, schema=tables.SCHEMA)


SIDES: Final[dict[str, Callable[[], SideTables]]] = {RELAY: _relay, SERVER: _server, PLATFORM: _platform}


def _import_all(package: str) -> None:
    """Import every module of a package: some have tables, which they add to their side's."""
    for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
        import_module(module.name)


def _result(tables: SideTables, moved: MovedDatabase) -> str:
    lines = [f"The {tables.side}'s database was moved: {sum(moved.rows.values()):,} rows of {len(moved.rows)} tables."]
    if moved.mended:
        lines.append(
            f"{moved.mended:,} of the rows had characters that no text may have (half a character, or NUL). They were replaced."
        )
    if moved.left_out:
        lines.append(f"Not moved, because rasa-handoff doesn't know them: {', '.join(moved.left_out)}.")
    return "\n".join(lines)


def _steps(side: str, source: str, target: str) -> tuple[str, str, str]:
    shown = without_password(target)
    url = f"{shown} (with the password for ***)" if "***" in shown else shown
    if side == RELAY:
        change = f"In credentials.yml, at {CHANNEL_NAME}, write: store: {url}"
        start = "Start the Rasa server."
    elif side == PLATFORM:
        change = f"In credentials.yml, at each platform channel, write: database: {url}"
        start = "Start the Rasa server."
    else:
        change = f"Give the server and the commands of the desk the new database: --database or {VARIABLE}: {url}"
        start = "Start rasa-handoff serve."
    return (
        change,
        f"Move the old one away, so that nothing goes on with it by mistake: {_out_of_the_way(source)}",
        start,
    )


def _out_of_the_way(source: str) -> str:
    """Return what to do with the database that was moved."""
    path = file_of(source)
    if path is not None:
        return f"mv {shlex.quote(str(path))} {shlex.quote(f'{path}.moved')}"
    name = read_url(source).database
    return f"ALTER DATABASE {name} RENAME TO {name}_moved (or its schema, if it has one of its own)"
