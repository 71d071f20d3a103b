"""``rasa-handoff department add``."""

import argparse

from rasa_handoff.cli.database import add_database, server_module


def describe(parser: argparse.ArgumentParser) -> None:
    """The options of ``department add``."""
    add = parser.add_subparsers(metavar="COMMAND", required=True).add_parser("add", help="add a department")
    add.add_argument("name", metavar="NAME", help="what bots write, billing for example")
    add.add_argument("--title", help="what people read (default: NAME)")
    add_database(add)
    add.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Add the department."""
    server_module("accounts").add_department(arguments.database, arguments.name, arguments.title)
    print(f"The department {arguments.name} is there.")
    return 0
