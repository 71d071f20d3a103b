"""``rasa-handoff agent``: add, list and remove agents, set their departments, roles and passwords."""

import argparse
import getpass
import sys
from typing import Any

from rasa_handoff.cli.database import add_database, adding_to, existing, server_module
from rasa_handoff.protocol.errors import HandoffError

ROLES = ("agent", "supervisor", "admin")
PIPED = "; the password is asked for, or read from standard input's first line"


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the commands below ``agent``."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    adding = commands.add_parser("add", help="add an agent", description=f"Add an agent{PIPED}.")
    adding.add_argument("email", metavar="EMAIL", help="what the agent signs in with")
    adding.add_argument("--name", required=True, help="what customers read")
    adding.add_argument(
        "--department",
        action="append",
        default=[],
        metavar="NAME",
        help="serves this department (may be given again; none: serves all)",
    )
    adding.add_argument(
        "--role", choices=ROLES, help="what they may do (default: admin while there is none, else agent)"
    )
    add_database(adding)
    adding.set_defaults(run=add)
    listing = commands.add_parser("list", help="everybody who may sign in")
    add_database(listing)
    listing.set_defaults(run=show)
    serving = commands.add_parser("departments", help="say which departments an agent serves")
    serving.add_argument("email", metavar="EMAIL", help="of the agent")
    which = serving.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--department", action="append", default=[], metavar="NAME", help="this one (may be given again)"
    )
    which.add_argument("--all", action="store_true", help="all of them, those that are added later too")
    add_database(serving)
    serving.set_defaults(run=departments)
    promoting = commands.add_parser("role", help="say what an account may do")
    promoting.add_argument("email", metavar="EMAIL", help="of the agent")
    promoting.add_argument("role", choices=ROLES, help="which role")
    add_database(promoting)
    promoting.set_defaults(run=set_role)
    changing = commands.add_parser("password", help="change a password", description=f"Change a password{PIPED}.")
    removing = commands.add_parser("remove", help="take an agent away")
    for parser, run in ((changing, password), (removing, remove)):
        parser.add_argument("email", metavar="EMAIL", help="of the agent")
        add_database(parser)
        parser.set_defaults(run=run)


def add(arguments: argparse.Namespace) -> int:
    """Add an agent."""
    accounts = server_module("accounts")
    with adding_to(arguments.database) as database:
        role = None if arguments.role is None else accounts.Role(arguments.role)
        given = accounts.add_agent(database, arguments.email, arguments.name, _password(), arguments.department, role)
    print(f"{arguments.name} can now sign in as {arguments.email}, as {given.value}.")
    if role is None and given is accounts.Role.ADMIN:
        print("The desk had no admin, so this account is one; --role says otherwise.")
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print one line for each agent: e-mail, name, departments, role."""
    agents = server_module("administration").agents(existing(arguments.database))
    for agent in agents:
        print(f"{agent.email}\t{agent.name}\t{_serves(agent)}\t{agent.role.value}")
    if not agents:
        print("There is no agent yet: rasa-handoff agent add thandi@example.org --name Thandi", file=sys.stderr)
    return 0


def departments(arguments: argparse.Namespace) -> int:
    """Set the departments that an agent serves."""
    administration = server_module("administration")
    database = existing(arguments.database)
    administration.set_departments(database, arguments.email, arguments.department, arguments.all)
    which = "all departments" if arguments.all else ", ".join(arguments.department)
    print(f"{arguments.email} now serves {which}.")
    return 0


def set_role(arguments: argparse.Namespace) -> int:
    """Give an account another role."""
    role = server_module("accounts").Role(arguments.role)
    server_module("administration").set_role(existing(arguments.database), arguments.email, role)
    print(f"{arguments.email} is now {arguments.role}.")
    return 0


def _serves(agent: Any) -> str:
    if agent.departments:
        return ", ".join(agent.departments)
    return "no department" if agent.serves_none else "all departments"


def password(arguments: argparse.Namespace) -> int:
    """Change an agent's password."""
    administration, database = server_module("administration"), existing(arguments.database)
    administration.set_password(database, arguments.email, _password())
    print(f"{arguments.email} has a new password, and has to sign in again.")
    return 0


def remove(arguments: argparse.Namespace) -> int:
    """Remove an agent."""
    server_module("administration").remove_agent(existing(arguments.database), arguments.email)
    print(f"{arguments.email} can't sign in any more.")
    return 0


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    try:
        password, again = getpass.getpass("Password: "), getpass.getpass("Once more: ")
    except EOFError:
        raise HandoffError("No password was given. Nothing was changed.") from None
    if again != password:
        raise HandoffError("The two passwords differ. Nothing was changed; please try again.")
    return password
