"""``rasa-handoff customer-token``: make a customer's token, or a secret to make them with."""

import argparse
import secrets
import time
from pathlib import Path

from rasa_handoff.cli.project import Project
from rasa_handoff.protocol.channel_settings import CHANNEL_NAME, SECRETS_EXAMPLE, read_settings
from rasa_handoff.protocol.errors import SettingsError
from rasa_handoff.protocol.tokens import make_token


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``customer-token``."""
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument(
        "conversation_id", metavar="CONVERSATION_ID", nargs="?", help="the session_id or sender it is for"
    )
    wanted.add_argument("--new-secret", action="store_true", help="make a secret for customer_token_secrets instead")
    parser.add_argument(
        "--project", metavar="DIR", type=Path, default=Path("."), help="the Rasa project (default: here)"
    )
    parser.add_argument(
        "--expires-in", metavar="SECONDS", type=int, help="how long the token is valid (default: for ever)"
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the token or the secret, and nothing else, so that a script can use it."""
    if arguments.new_secret:
        print(secrets.token_hex(32))
        return 0
    if arguments.expires_in is not None and arguments.expires_in <= 0:
        raise SettingsError("--expires-in is in seconds from now: write a number above 0, such as 86400.")
    if not arguments.conversation_id:
        raise SettingsError("CONVERSATION_ID is empty: write the session_id or sender that the token is for.")
    settings = read_settings(Project(arguments.project).channel)
    if not settings.customer_token_secrets:
        raise SettingsError(
            f"{CHANNEL_NAME} has no customer_token_secrets: write customer_token_secrets: {SECRETS_EXAMPLE}."
        )
    expires = int(time.time()) + arguments.expires_in if arguments.expires_in else 0
    print(make_token(settings.customer_token_secrets[0], settings.bot_id, arguments.conversation_id, expires))
    return 0
