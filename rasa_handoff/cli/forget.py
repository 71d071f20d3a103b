"""``rasa-handoff forget``: delete all that a side has kept of a customer's conversation."""

import argparse
from typing import Final

from rasa_handoff.admin.forget_command import FORGET, Forget
from rasa_handoff.cli.side import RELAY, SERVER, add_side, carry_out
from rasa_handoff.protocol.values import plain
from rasa_handoff.relay.forget_conversation import forget as forget_at_relay
from rasa_handoff.server.forget_handoffs import forget as forget_at_server

FORGET_AT: Final[dict[str, Forget]] = {SERVER: forget_at_server, RELAY: forget_at_relay}
WHAT_REMAINS: Final = {
    SERVER: "The relay keeps data of its own: give the command with --side relay too, and delete the tracker in Rasa's store.",
    RELAY: "The live-agent server keeps data of its own: give the command without --side too. Rasa's tracker isn't touched.",
}


def describe(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``forget``."""
    parser.add_argument(
        "conversation_id", metavar="CONVERSATION_ID", help="the customer's id, as the bot's channel has it"
    )
    parser.add_argument("--bot-id", metavar="BOT_ID", help="on the server: only of this bot (default: of every bot)")
    add_side(parser)
    parser.set_defaults(run=forget)


def forget(arguments: argparse.Namespace) -> int:
    """Forget a conversation, and say what else has something of it."""
    conversation_id, bot_id = arguments.conversation_id, arguments.bot_id
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
