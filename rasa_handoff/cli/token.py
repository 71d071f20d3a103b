"""``rasa-handoff token add``."""

import argparse
import sys

from rasa_handoff.cli.database import add_database, server_module


def describe(parser: argparse.ArgumentParser) -> None:
    """The options of ``token add``."""
    add = parser.add_subparsers(metavar="COMMAND", required=True).add_parser("add", help="make a token")
    add.add_argument("bot_id", metavar="BOT_ID", help="the bot_id in the bot's credentials.yml")
    add_database(add)
    add.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Make the token and show it, this once; alone on standard output, so that a script can take it."""
    token = server_module("accounts").add_token(arguments.database, arguments.bot_id)
    hint = "Write it under desk in credentials.yml, as token: ${HANDOFF_TOKEN}. It can't be shown again:"
    print(hint, file=sys.stderr)
    print(token)
    return 0
