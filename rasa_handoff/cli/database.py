"""Options and checks that the commands for a database share."""

import argparse
import contextlib
import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from rasa_handoff.cli.project import Project
from rasa_handoff.protocol.channel_settings import CHANNEL_NAME, read_store
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.names import PLATFORM_CHANNELS

VARIABLE: Final = "RASA_HANDOFF_DATABASE"
DEFAULT: Final = "sqlite:///rasa-handoff-desk.db"


def add_database(parser: argparse.ArgumentParser) -> None:
    """Add ``--database``: a database URL, from the environment variable, else a SQLite file in this folder."""
    default = os.environ.get(VARIABLE) or DEFAULT
    parser.add_argument(
        "--database", metavar="URL", default=default, help=f"the desk's database (default: {VARIABLE} or {DEFAULT})"
    )


def existing(database: str, which: str = f"that serve uses: --database URL, or {VARIABLE}") -> str:
    """Return the URL, for a command that must not make a new file. ``which``: the one to give, for the error.

    Raises:
        HandoffError: it names a SQLite file that isn't there.
    """
    path = _file(database)
    if path is not None and not path.is_file():
        raise HandoffError(f"There is no database {path} here. Give the one {which}.")
    return database


def relays_database(project: Project) -> str:
    """Return the URL of the relay's database, from the project's ``credentials.yml``. A file's path is relative to the project.

    Raises:
        HandoffError: the setting can't be used.
    """
    if project.channel is None:
        raise HandoffError(f"credentials.yml has no {CHANNEL_NAME}, so there is no relay here.")
    store = read_store(project.channel)
    from rasa_handoff.store.database_url import read_url  # init and doctor run where SQLAlchemy isn't installed

    try:
        url = read_url(store)
    except HandoffError as problem:
        raise HandoffError(f"{CHANNEL_NAME}: store: {problem}") from None
    if url.get_backend_name() == "sqlite" and url.database:
        url = url.set(database=str(project.folder / url.database))
    return str(url.render_as_string(hide_password=False))


def platform_databases(project: Project) -> list[str]:
    """Return the URLs of the databases of the platform channels in the project's ``credentials.yml``, each once.

    A file's path is relative to the project.

    Raises:
        HandoffError: there is no such channel, or its setting can't be used.
    """
    from rasa_handoff.platforms.platform_settings import DEFAULT_DATABASE
    from rasa_handoff.store.database_url import read_url  # init and doctor run where SQLAlchemy isn't installed

    entries = [project.credentials[name] for name in PLATFORM_CHANNELS if name in project.credentials]
    if not entries:
        raise HandoffError(
            f"credentials.yml has none of {', '.join(PLATFORM_CHANNELS)}: give the database, --database URL."
        )
    found = []
    for entry in entries:
        url = read_url(str((entry or {}).get("database") or DEFAULT_DATABASE))
        if url.get_backend_name() == "sqlite" and url.database:
            url = url.set(database=str(project.folder / url.database))
        found.append(str(url.render_as_string(hide_password=False)))
    return list(dict.fromkeys(found))


def usable(database: str, how: str = f"--database URL, or {VARIABLE}") -> str:
    """Return the URL, for a command that may make a new file. ``how``: how another one is given, for the error.

    Raises:
        HandoffError: a SQLite file can't be made there.
    """
    path = _file(database)
    if path is not None and not path.parent.is_dir():
        raise HandoffError(
            f"The database {path} can't be made, since there is no folder {path.parent}: make the folder, or give another "
            f"database ({how})."
        )
    if path is not None and path.is_dir():
        raise HandoffError(f"{path} is a folder. Give a file in it, such as sqlite:///{path}/desk.db.")
    return database


@contextlib.contextmanager
def adding_to(database: str) -> Iterator[str]:
    """Yield the URL, for a command that adds something. If that makes a new SQLite file, a line on standard error says so.

    Raises:
        HandoffError: the file can't be made there, or it would be gone when the command ends.
    """
    path = _file(usable(database))
    if path is None and database.startswith("sqlite:"):
        raise HandoffError(f"{database} is gone when this command ends. Give a file: --database sqlite:///desk.db.")
    is_new = path is not None and not path.exists()
    yield database
    if path is not None and is_new:
        print(
            f"A new database was made: {path.resolve()}. Start the server with it: rasa-handoff serve in this folder, or "
            f"with --database sqlite:///{path.resolve()}",
            file=sys.stderr,
        )


def _file(database: str) -> Path | None:
    """Return the SQLite file that the URL names, without options; None for another database."""
    whole = database.partition("?")[0]
    path = whole.removeprefix("sqlite:///")
    return Path(path) if path not in (whole, "", ":memory:") else None


def server_module(name: str) -> Any:
    """Import a module of ``rasa_handoff.server``, when a command runs: ``--help`` answers at once without it."""
    return import_module(f"rasa_handoff.server.{name}")
