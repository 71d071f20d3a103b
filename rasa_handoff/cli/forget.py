"""``rasa-handoff forget``: delete all that a side has kept of a customer's conversation."""

import argparse
import asyncio
from typing import Final

from rasa_handoff.admin.forget_command import FORGET, Forget
from rasa_handoff.admin.socket import NobodyThere, ask
from rasa_handoff.cli.database import existing, platform_databases
from rasa_handoff.cli.project import Project
from rasa_handoff.cli.side import PLATFORM, RELAY, SERVER, add_side, carry_out
from rasa_handoff.platforms import memory_tables
from rasa_handoff.platforms.platform_database import store_of
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.text import valid_text
from rasa_handoff.protocol.values import plain
from rasa_handoff.relay.forget_conversation import forget as forget_at_relay
from rasa_handoff.server.forget_handoffs import forget as forget_at_server

FORGET_AT: Final[dict[str, Forget]] = {SERVER: forget_at_server, RELAY: forget_at_relay}
WHAT_REMAINS: Final = {
    SERVER: "The relay keeps data of its own: give the command with --side relay too, and delete the tracker in Rasa's store.",
    RELAY: "The live-agent server keeps data of its own: give the command without --side too. Rasa's tracker isn't touched.",
    PLATFORM: "The platform keeps data of its own. Rasa's tracker isn't touched.",
}


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``forget``."""
    parser.add_argument(
        "conversation_id", metavar="CONVERSATION_ID", help="the customer's id, as the bot's channel has it"
    )
    parser.add_argument("--bot-id", metavar="BOT_ID", help="on the server: only of this bot (default: of every bot)")
    add_side(parser, PLATFORM)
    parser.set_defaults(run=forget)


def forget(arguments: argparse.Namespace) -> int:
    """Forget a conversation, and say what else has something of it."""
    conversation_id, bot_id = arguments.conversation_id, arguments.bot_id
    if arguments.side == PLATFORM:
        return _forget_at_platforms(arguments)
    gone = carry_out(
        arguments,
        FORGET,
        lambda side, connection: plain(FORGET_AT[side](connection, conversation_id, bot_id)),
        conversation_id=conversation_id,
        bot_id=bot_id,
    )
    if not gone["handoffs"]:
        print(
            f"The {arguments.side} knows no handoff of this conversation; whatever else it kept of the conversation is deleted."
        )
    else:
        print(f"Deleted at the {arguments.side}: {gone['handoffs']} handoffs with {gone['messages']} messages.")
    print(WHAT_REMAINS[arguments.side])
    return 0


def _forget_at_platforms(arguments: argparse.Namespace) -> int:
    """Forget a conversation at the platform channels: the process that has a SQLite file does it, else this one."""
    if arguments.url is not None:
        raise HandoffError("A platform channel takes no commands by --url: give --database, or --project.")
    named = [arguments.database] if arguments.database is not None else platform_databases(Project(arguments.project))
    which = "that 'database' in credentials.yml names: --database URL, or --project DIR"
    rows = sum(_forget_in(existing(database, which), valid_text(arguments.conversation_id)) for database in named)
    print(f"Deleted at the platform channels: {rows} rows.")
    print(WHAT_REMAINS[PLATFORM])
    return 0


def _forget_in(database: str, conversation_id: str) -> int:
    async def forget_here() -> int:
        async with store_of(database) as store:
            return await store.write(lambda connection: memory_tables.forget(connection, conversation_id))

    try:
        return int(ask(database, FORGET, conversation_id=conversation_id, bot_id=None)["messages"])
    except NobodyThere:
        return asyncio.run(forget_here())
