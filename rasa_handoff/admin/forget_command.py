"""``rasa-handoff forget``: what a side deletes of a customer's conversation."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from sqlalchemy.engine import Connection

from rasa_handoff.admin.commands import Handler
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.text import valid_text
from rasa_handoff.protocol.values import Value, plain

FORGET: Final = "forget"
UNDER_WAY: Final = "This conversation is with people now. Resolve it first, and forget it then."


class Forgotten(Value, frozen=True, kw_only=True):
    """How much was deleted."""

    handoffs: int
    messages: int


Forget = Callable[[Connection, str, str | None], Forgotten]
"""Deletes a conversation in a transaction. Takes its id, and the bot's id; None: of any bot. Raises :class:`Refused` while it is
under way."""
ForgetHere = Callable[[str, str | None], Awaitable[Forgotten]]
"""Deletes a conversation as :data:`Forget` does, in a transaction of the running process."""


def handlers(forget: ForgetHere) -> dict[str, Handler]:
    """Return the handler for a running side."""

    async def forgotten(arguments: Mapping[str, Any]) -> Any:
        bot_id = arguments.get("bot_id")
        if bot_id is not None and not isinstance(bot_id, str):
            raise Refused("invalid", "The id of a bot is a text.")
        conversation_id = valid_text(str(arguments["conversation_id"]))
        return plain(await forget(conversation_id, bot_id))

    return {FORGET: forgotten}
