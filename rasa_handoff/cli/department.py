"""``rasa-handoff department``: add, list and remove departments."""

import argparse
import sys

from rasa_handoff.cli.database import add_database, adding_to, existing, server_module


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the commands below ``department``."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    adding = commands.add_parser("add", help="add a department")
    adding.add_argument("name", metavar="NAME", help="what bots write, billing for example")
    adding.add_argument("--title", help="what people read (default: NAME)")
    listing = commands.add_parser("list", help="all departments, and who serves them")
    removing = commands.add_parser("remove", help="take a department away")
    removing.add_argument("name", metavar="NAME", help="of the department")
    for parser, run in ((adding, add), (listing, show), (removing, remove)):
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
