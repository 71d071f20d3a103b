"""``rasa-handoff token``: add, list and revoke the tokens that bots sign in with."""

import argparse
import sys
import time

from rasa_handoff.cli.database import add_database, adding_to, existing, server_module


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the commands below ``token``."""
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    adding = commands.add_parser("add", help="make a token")
    listing = commands.add_parser("list", help="the bots that have tokens")
    revoking = commands.add_parser("revoke", help="take a bot's older tokens away")
    revoking.add_argument("--all", action="store_true", help="the newest one too")
    for parser in (adding, revoking):
        parser.add_argument("bot_id", metavar="BOT_ID", help="the bot_id in the bot's credentials.yml")
    for parser, run in ((adding, add), (listing, show), (revoking, revoke)):
        add_database(parser)
        parser.set_defaults(run=run)


def add(arguments: argparse.Namespace) -> int:
    """Make a token and print it, this one time. It is alone on standard output, so that a script can use it."""
    accounts = server_module("accounts")
    with adding_to(arguments.database) as database:
        token = accounts.add_token(database, arguments.bot_id)
    hint = "Write it under desk in credentials.yml, as token: ${HANDOFF_TOKEN}. It can't be shown again:"
    print(hint, file=sys.stderr)
    print(token)
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Print one line for each bot: its id, the number of tokens, the day of the newest."""
    tokens = server_module("administration").tokens(existing(arguments.database))
    for each in tokens:
        print(f"{each.bot_id}\t{each.count}\t{time.strftime('%Y-%m-%d', time.localtime(each.newest))}")
    if not tokens:
        print("No bot has a token: only this machine is served.", file=sys.stderr)
    return 0


def revoke(arguments: argparse.Namespace) -> int:
    """Revoke a bot's older tokens, or all."""
    count = server_module("administration").revoke_tokens(existing(arguments.database), arguments.bot_id, arguments.all)
    print(f"{arguments.bot_id}: {count} revoked. A running server ends the connections made with them.")
    return 0
