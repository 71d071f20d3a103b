"""What the commands for the desk's database have in common."""

import argparse
import os
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from rasa_handoff.vocabulary.errors import HandoffError

VARIABLE: Final = "RASA_HANDOFF_DATABASE"
DEFAULT: Final = "sqlite:///rasa-handoff-desk.db"


def add_database(parser: argparse.ArgumentParser) -> None:
    """Add ``--database``: a database URL, from the environment variable, else a SQLite file in this folder."""
    default = os.environ.get(VARIABLE, DEFAULT)
    parser.add_argument(
        "--database", metavar="URL", default=default, help=f"the desk's database (default: {VARIABLE} or {DEFAULT})"
    )


def existing(database: str) -> str:
    """The URL; for what only looks or takes away, which must not make a new file.

    Raises:
        HandoffError: it names a SQLite file that isn't there.
    """
    file = database.partition("?")[0]  # options may follow
    path = file.removeprefix("sqlite:///")
    if path != file and path and not Path(path).is_file():
        raise HandoffError(
            f"There is no database {path} here. Give the one that serve uses: --database URL, or {VARIABLE}."
        )
    return database


def server_module(name: str) -> Any:
    """A module of ``rasa_handoff.server``.

    Raises:
        HandoffError: the packages of the ``server`` extra aren't installed; names it.
    """
    try:
        return import_module(f"rasa_handoff.server.{name}")
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("rasa_handoff"):
            raise
        raise HandoffError(
            f"The live-agent server needs the package '{missing.name}', which isn't installed here: "
            "pip install 'rasa-handoff[server]'"
        ) from missing
