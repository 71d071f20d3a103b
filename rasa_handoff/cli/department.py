"""``rasa-handoff department``: add, list and remove departments, and set their opening hours."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from rasa_handoff.cli.database import add_database, adding_to, existing, server_module
from rasa_handoff.protocol.errors import HandoffError


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the commands below ``department``."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    adding = commands.add_parser("add", help="add a department")
    adding.add_argument("name", metavar="NAME", help="what bots write, billing for example")
    adding.add_argument("--title", help="what people read (default: NAME)")
    listing = commands.add_parser("list", help="all departments, and who serves them")
    removing = commands.add_parser("remove", help="take a department away")
    removing.add_argument("name", metavar="NAME", help="of the department")
    opening = commands.add_parser("hours", help="when a department is open")
    opening.add_argument("name", metavar="NAME", help="of the department")
    which = opening.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--file", metavar="FILE", help="YAML with time_zone, week, dates and closed (docs/opening-hours.md)"
    )
    which.add_argument("--always", action="store_true", help="it is always open")
    which.add_argument("--show", action="store_true", help="print its hours as such a file, and whether it is open now")
    for parser, run in ((adding, add), (listing, show), (removing, remove), (opening, hours)):
        add_database(parser)
        parser.set_defaults(run=run)


def add(arguments: argparse.Namespace) -> int:
    """Add a department."""
    accounts = server_module("accounts")
    with adding_to(arguments.database) as database:
        accounts.add_department(database, arguments.name, arguments.title)
    print(f"The department {arguments.name} is there.")
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print one line for each department: name, title, agents."""
    departments = server_module("administration").departments(existing(arguments.database))
    for department in departments:
        print(f"{department.name}\t{department.title}\t{', '.join(department.agents) or 'nobody of its own'}")
    if not departments:
        print("There is no department; every agent serves every conversation.", file=sys.stderr)
    return 0


def hours(arguments: argparse.Namespace) -> int:
    """Set a department's opening hours, or print them."""
    database, administration = existing(arguments.database), server_module("administration")
    if arguments.show:
        return _show_hours(administration.departments(database), arguments.name)
    own = administration.set_hours(database, arguments.name, None if arguments.always else _read(Path(arguments.file)))
    print(f"The department {arguments.name} is {_state(own)}.")
    return 0


def _show_hours(departments: Sequence[Any], name: str) -> int:
    found = next((one for one in departments if one.name == name), None)
    if found is None:
        raise HandoffError(f"There is no department '{name}'. See: rasa-handoff department list")
    print(f"# {name} is {_state(found.hours)}.")
    if found.hours is not None:
        YAML(typ="safe", pure=True).dump(found.hours.written(), sys.stdout)
    return 0


def _state(own: Any) -> str:
    return "always open" if own is None else str(own.state_in_words(time.time()))


def _read(path: Path) -> Any:
    try:
        return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, YAMLError) as problem:
        raise HandoffError(f"The file {path} can't be read: {problem}") from problem


def remove(arguments: argparse.Namespace) -> int:
    """Remove a department."""
    alone = server_module("administration").remove_department(existing(arguments.database), arguments.name)
    print(f"The department {arguments.name} is gone.")
    for email in alone:
        print(
            f"{email} served only it, and now serves no department until you say which: "
            f"rasa-handoff agent departments {email} --department NAME (or --all)"
        )
    return 0
