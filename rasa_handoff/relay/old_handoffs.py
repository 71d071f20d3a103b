"""The relay's retention: its expiries, and the short steps by which they delete (``store/retention.py`` follows them)."""

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import delete, exists, select
from sqlalchemy.engine import Connection

from rasa_handoff.core.control import Control, IllegalEvent
from rasa_handoff.protocol import events
from rasa_handoff.protocol.retention_settings import DAY, RetentionSettings, in_seconds
from rasa_handoff.protocol.values import Speaker, Status
from rasa_handoff.relay import repository
from rasa_handoff.relay.customer_ids import resume_secrets
from rasa_handoff.relay.long_payloads import buttons
from rasa_handoff.relay.relay import Relay
from rasa_handoff.relay.repository import CUSTOMER, DESK, TRACKER
from rasa_handoff.store.retention import (
    BEGINNING,
    MOST_LOOKED_AT,
    DeletionStep,
    Expiry,
    Retention,
    delete_dead_letters,
    delete_messages,
    ended_from,
    place_behind,
)

MESSAGE_LEFT_SECONDS: Final = 90 * DAY
"""A message that was left may be answered for so long at least: the live-agent server gives it up after 30 days."""
TARGETS: Final = (DESK, CUSTOMER, TRACKER)
NEVER_FETCHED: Final = "The customer hasn't come back for it."


def delete_ended(connection: Connection, before: float, place: Any = None) -> DeletionStep:
    """Delete handoffs that ended before this time, with their messages; and conversations of which nothing is left.

    A handoff in whose conversation outbox entries still wait is left out. ``place``: where the last step ended.
    """
    columns, messages = repository.handoffs.c, repository.messages
    may_go = columns.message_left.is_(False) | (columns.ended_at < before - MESSAGE_LEFT_SECONDS)
    query = select(columns.handoff_id, columns.conversation_id, columns.ended_at, may_go.label("may_go"))
    rows = connection.execute(ended_from(query, columns.ended_at, columns.handoff_id, before, place)).all()
    if not rows:
        return DeletionStep(deleted=0)
    waiting = repository.outbox.with_entries(connection, TARGETS, {row.conversation_id for row in rows})
    free = [row for row in rows if row.may_go and row.conversation_id not in waiting]
    gone: list[str] = []
    has_all = True
    if free:
        gone, has_all = delete_messages(connection, messages, [row.handoff_id for row in free])
        delete_handoffs(connection, gone, {row.conversation_id for row in free if row.handoff_id in gone})
    if not has_all:
        return DeletionStep(deleted=len(gone), place=place or BEGINNING)
    return DeletionStep(deleted=len(gone), place=place_behind(rows))


def delete_handoffs(connection: Connection, handoff_ids: Sequence[str], conversation_ids: set[str]) -> None:
    """Delete handoffs, and what is kept of their conversations once no handoff is left."""
    if not handoff_ids:
        return
    handoffs, conversations = repository.handoffs, repository.conversations
    connection.execute(delete(handoffs).where(handoffs.c.handoff_id.in_(handoff_ids)))
    others = exists().where(handoffs.c.conversation_id == conversations.c.conversation_id)
    idle = (conversations.c.state == Control.BOT.value) & conversations.c.conversation_id.in_(conversation_ids)
    connection.execute(delete(conversations).where(idle, ~others))
    kept = exists().where(conversations.c.conversation_id == resume_secrets.c.conversation_id)
    connection.execute(delete(resume_secrets).where(resume_secrets.c.conversation_id.in_(conversation_ids), ~kept))
    kept = exists().where(conversations.c.conversation_id == buttons.c.conversation_id)
    connection.execute(delete(buttons).where(buttons.c.conversation_id.in_(conversation_ids), ~kept))


def expire_undelivered(
    connection: Connection, before: float, place: int | None = None
) -> tuple[DeletionStep, list[events.Event]]:
    """Remove entries that have waited since before this time, in conversations that are the bot's.

    ``place``: where the last step ended. Return this step, and the events that tell the desk which of its agents' messages have
    failed.
    """
    rows = repository.outbox.oldest(connection, place or 0, MOST_LOOKED_AT)
    old = [row for row in rows if row.at < before]
    conversations = repository.conversations.c
    lanes = conversations.conversation_id.in_({row.lane for row in old})
    live = select(conversations.conversation_id).where(lanes, conversations.state != Control.BOT.value)
    under_way = set(connection.execute(live).scalars()) if old else set()
    due = [row for row in old if row.lane not in under_way]
    failed: list[events.Event] = []
    for row in due:
        entry = repository.outbox.entry(connection, row.key) if row.target == CUSTOMER else None
        if entry is not None and entry.name == Speaker.AGENT.value and entry.id and entry.handoff_id:
            here: dict[str, Any] = {"conversation_id": row.lane, "handoff_id": entry.handoff_id, "message_id": entry.id}
            failed.append(events.MessageReported(**here, status=Status.FAILED, reason=NEVER_FETCHED))
    if due:
        repository.outbox.expire(connection, due)
    goes_on = old and len(rows) == MOST_LOOKED_AT
    return DeletionStep(deleted=len(due), place=rows[-1].key if goes_on else None), failed


def retention_of(relay: Relay, settings: RetentionSettings, now: Callable[[], float] = time.time) -> Retention:
    """Return the task that deletes what the settings say. Undelivered entries go first: while one waits, its handoff stays."""

    async def undelivered(before: float, place: Any) -> DeletionStep:
        step, failed = await relay.store.write(lambda connection: expire_undelivered(connection, before, place))
        for event in failed:
            with contextlib.suppress(IllegalEvent):
                await relay.apply(event)
        return step

    async def letters(before: float, place: Any) -> DeletionStep:
        outbox = repository.outbox
        return await relay.store.write(lambda connection: delete_dead_letters(connection, outbox, before, place))

    async def ended(before: float, place: Any) -> DeletionStep:
        return await relay.store.write(lambda connection: delete_ended(connection, before, place))

    wanted = (
        ("undelivered entries", settings.undelivered_days, undelivered),
        ("dead letters", settings.dead_letter_days, letters),
        ("ended handoffs", settings.ended_days, ended),
    )
    expiries = [
        Expiry(what=what, seconds=seconds, step=step)
        for what, days, step in wanted
        if (seconds := in_seconds(days)) is not None
    ]
    return Retention(expiries, now)
