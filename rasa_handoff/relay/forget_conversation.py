"""Deletes all that the relay has kept of a conversation."""

from typing import Final

from sqlalchemy import Table, delete, select
from sqlalchemy.engine import Connection

from rasa_handoff.admin.forget_command import UNDER_WAY, Forgotten
from rasa_handoff.core.control import Control
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.relay import repository
from rasa_handoff.relay.customer_ids import customer_ids, resume_secrets
from rasa_handoff.relay.inbox import handoff_requests, received
from rasa_handoff.relay.long_payloads import buttons
from rasa_handoff.relay.taken_pieces import taken_pieces
from rasa_handoff.relay.unread_messages import unread

TABLES: Final[tuple[Table, ...]] = (
    received,
    handoff_requests,
    unread,
    customer_ids,
    resume_secrets,
    buttons,
    taken_pieces,
    repository.handoffs,
    repository.conversations,
)
"""The tables with a column ``conversation_id``."""


def forget(connection: Connection, conversation_id: str, bot_id: str | None = None) -> Forgotten:
    """Delete a conversation: its handoffs, messages, files, ids, timers, and what waits for delivery.

    Rasa's tracker isn't touched. ``bot_id`` is for the server's side: a relay has one bot.

    Raises:
        Refused: a handoff of it is under way.
    """
    if repository.load(connection, conversation_id).state is not Control.BOT:
        raise Refused("under_way", UNDER_WAY)
    handoffs = repository.handoffs.c
    of_it = select(handoffs.handoff_id).where(handoffs.conversation_id == conversation_id)
    messages = connection.execute(delete(repository.messages).where(repository.messages.c.handoff_id.in_(of_it)))
    counted = {table.name: _delete(connection, table, conversation_id) for table in TABLES}
    repository.timers.clear(connection, conversation_id)
    repository.media.drop(connection, conversation_id)
    repository.outbox.forget(connection, [conversation_id])
    return Forgotten(handoffs=counted[repository.handoffs.name], messages=messages.rowcount)


def _delete(connection: Connection, table: Table, conversation_id: str) -> int:
    return int(connection.execute(delete(table).where(table.c.conversation_id == conversation_id)).rowcount)
