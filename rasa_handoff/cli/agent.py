"""``rasa-handoff agent add``."""

import argparse
import getpass
import sys

from rasa_handoff.cli.database import add_database, server_module
from rasa_handoff.vocabulary.errors import HandoffError


def describe(parser: argparse.ArgumentParser) -> None:
    """The options of ``agent add``."""
    add = parser.add_subparsers(metavar="COMMAND", required=True).add_parser("add", help="add an agent")
    add.add_argument("email", metavar="EMAIL", help="what the agent signs in with")
    add.add_argument("--name", required=True, help="what customers read")
    add.add_argument(
        "--department",
        action="append",
        default=[],
        metavar="NAME",
        help="serves this department (may be given again; none: serves all)",
    )
    add_database(add)
    add.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Add the agent; the password is asked for, or read from standard input."""
    accounts = server_module("accounts")
    accounts.add_agent(arguments.database, arguments.email, arguments.name, _password(), arguments.department)
    print(f"{arguments.name} can now sign in as {arguments.email}.")
    return 0


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Once more: ") != password:
        raise HandoffError("The two passwords differ. Nothing was added; please try again.")
    return password
