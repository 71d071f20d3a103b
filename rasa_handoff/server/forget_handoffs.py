"""Deletes all that the live-agent server has kept of a conversation, except its history, without texts and names.

The audit log isn't touched: it has no words of a customer's, and says that the conversation was forgotten.
"""

import time
from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.engine import Connection, Row

from rasa_handoff.admin.forget_command import UNDER_WAY, Forgotten
from rasa_handoff.core.assignment import Stage
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.logs import short_id
from rasa_handoff.server.storage import audit_log, handoff_events, handoffs
from rasa_handoff.server.storage.audit_log import Audited, AuditedChange
from rasa_handoff.server.storage.tables import HANDOFFS, MEDIA, MESSAGES, OUTBOX, TIMERS

WITH_PEOPLE: Final = (Stage.QUEUED.value, Stage.ASSIGNED.value)
MOST_AT_ONCE: Final = 500
"""Handoff ids in one statement: databases limit its parameters."""


def handoffs_of(connection: Connection, conversation_id: str, bot_id: str | None = None) -> list[Row]:
    """Return the handoffs of a conversation: id, bot and stage; locked, so that nothing is added to them. ``bot_id``: only this
    bot's.
    """
    columns = HANDOFFS.c
    query = select(columns.handoff_id, columns.bot_id, columns.stage).where(columns.conversation_id == conversation_id)
    wanted = query if bot_id is None else query.where(columns.bot_id == bot_id)
    return list(connection.execute(wanted.order_by(columns.handoff_id).with_for_update()).all())


def forget(connection: Connection, conversation_id: str, bot_id: str | None = None) -> Forgotten:
    """Delete a conversation: its handoffs, messages, pictures and files, timers, and what waits for delivery.

    In the history, texts and names are emptied. ``bot_id``: only this bot's handoffs.

    Raises:
        Refused: with code ``under_way``; a handoff of it is queued or assigned.
    """
    rows = handoffs_of(connection, conversation_id, bot_id)
    if any(row.stage in WITH_PEOPLE for row in rows):
        raise Refused("under_way", UNDER_WAY)
    MEDIA.drop(connection, conversation_id, bot_id)
    for bot in {row.bot_id for row in rows}:
        handoff_events.erase(connection, bot, conversation_id)
    ids, messages = [row.handoff_id for row in rows], 0
    for first in range(0, len(ids), MOST_AT_ONCE):
        some = ids[first : first + MOST_AT_ONCE]
        OUTBOX.forget(connection, some)
        messages += connection.execute(delete(MESSAGES).where(MESSAGES.c.handoff_id.in_(some))).rowcount
        delete_handoffs(connection, some)
    details = {"handoffs": len(ids), "messages": messages, "bots": sorted({row.bot_id for row in rows})}
    change = AuditedChange(operation=Audited.FORGET, subject=short_id(conversation_id), details=details)
    audit_log.add_change(connection, change, time.time())
    return Forgotten(handoffs=len(ids), messages=messages)


def delete_handoffs(connection: Connection, handoff_ids: Sequence[str]) -> None:
    """Delete handoffs and their timers; the database deletes what refers to them: remaining messages, and resume secrets."""
    if handoff_ids:
        handoffs.forget_offers()
        connection.execute(delete(TIMERS.table).where(TIMERS.table.c.key.in_(handoff_ids)))
        connection.execute(delete(HANDOFFS).where(HANDOFFS.c.handoff_id.in_(handoff_ids)))
