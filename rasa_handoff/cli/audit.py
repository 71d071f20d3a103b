"""``rasa-handoff audit``: list who changed what at the desk, and who looked at what isn't theirs."""

import argparse
import json
import sys
import time
from datetime import datetime
from typing import Any

from rasa_handoff.cli.database import add_database, existing, server_module
from rasa_handoff.protocol.errors import HandoffError


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the commands below ``audit``."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    listing = commands.add_parser(
        "list", help="who changed what, and who looked at what isn't theirs, the oldest first"
    )
    listing.add_argument("--since", metavar="TIME", help="from this time on, such as 2026-11-28 or 2026-11-28T13:00")
    listing.add_argument(
        "--subject", metavar="SUBJECT", help="what it was done to: an e-mail, a department, a bot, a handoff's id"
    )
    listing.add_argument("--json", action="store_true", help="one JSON object a line")
    add_database(listing)
    listing.set_defaults(run=show)


def show(arguments: argparse.Namespace) -> int:
    """Print one line for each row: time, who, operation, subject, details."""
    since = None if arguments.since is None else _time(arguments.since)
    rows = server_module("administration").audit_entries(existing(arguments.database), since, arguments.subject)
    for row in rows:
        print(_as_json(row) if arguments.json else _line(row))
    if not rows:
        print("The audit log has nothing of that.", file=sys.stderr)
    return 0


def _line(row: Any) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row.at))
    return f"{when}\t{row.name or row.who.value}\t{row.operation}\t{row.subject or '–'}\t{json.dumps(row.details)}"


def _as_json(row: Any) -> str:
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    return json.dumps({**fields, "who": row.who.value})


def _time(given: str) -> float:
    """Return a day or a time of this machine's time zone in seconds since 1970.

    Raises:
        HandoffError: it can't be read.
    """
    try:
        return datetime.fromisoformat(given).timestamp()
    except (ValueError, OverflowError, OSError):
        raise HandoffError(f"--since {given!r} isn't a time: write 2026-11-28 or 2026-11-28T13:00.") from None
