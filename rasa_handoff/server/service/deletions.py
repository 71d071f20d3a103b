"""Deletes handoffs, by their age or because a customer is to be forgotten, and has them vanish from open desks."""

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.engine import Connection

from rasa_handoff.admin.forget_command import Forgotten
from rasa_handoff.protocol.retention_settings import RetentionSettings, in_seconds
from rasa_handoff.server.forget_handoffs import delete_handoffs, forget, handoffs_of
from rasa_handoff.server.service.deliveries import failed_marks, mark_all
from rasa_handoff.server.service.publications import Deleted
from rasa_handoff.server.service.unit_of_work import Service, UnitOfWork
from rasa_handoff.server.storage import audit_log, handoff_events, handoffs
from rasa_handoff.server.storage.tables import HANDOFFS, MESSAGES, OUTBOX
from rasa_handoff.store.retention import (
    BEGINNING,
    MOST_LOOKED_AT,
    MOST_ROWS,
    DeletionStep,
    Expiry,
    delete_dead_letters,
    delete_messages,
    ended_from,
    place_behind,
)

NEVER_FETCHED: Final = "The customer's side hasn't come back for it."


class DeletionService(Service):
    """Deletes handoffs and undelivered entries, each call in a transaction of its own.

    ``place``: where the step before ended; None: begin at the oldest.
    """

    async def forget(self, conversation_id: str, bot_id: str | None = None) -> Forgotten:
        """Delete a conversation, as :func:`~rasa_handoff.server.forget_handoffs.forget` does, on open desks too."""

        def work(unit: UnitOfWork) -> Forgotten:
            ids = [row.handoff_id for row in handoffs_of(unit.connection, conversation_id, bot_id)]
            forgotten = forget(unit.connection, conversation_id, bot_id)
            _publish(unit, ids)
            return forgotten

        return await self.do(work)

    async def delete_ended(self, before: float, place: Any = None) -> DeletionStep:
        """Delete some of the handoffs that ended before this time; one with entries that still wait in the outbox is left out."""

        def work(unit: UnitOfWork) -> DeletionStep:
            step, ids = delete_ended(unit.connection, before, place)
            _publish(unit, ids)
            return step

        return await self.do(work)

    async def expire_undelivered(self, before: float, place: int | None = None) -> DeletionStep:
        """Remove entries that have waited since before this time, of handoffs that have ended; mark their messages as failed."""
        return await self.do(lambda unit: _expire(unit, before, place))

    def expiries(self, settings: RetentionSettings, history_days: float, audit_days: float) -> list[Expiry]:
        """Return what is deleted here by its age, in order. Undelivered entries go first: while one waits, its handoff stays."""

        async def letters(before: float, place: Any) -> DeletionStep:
            return await self.do(lambda unit: delete_dead_letters(unit.connection, OUTBOX, before, place))

        async def history(before: float, place: Any) -> DeletionStep:
            return await self.do(lambda unit: remove_history(unit.connection, before))

        async def looks(before: float, place: Any) -> DeletionStep:
            return await self.do(lambda unit: remove_audit(unit.connection, before))

        wanted = (
            ("undelivered entries", settings.undelivered_days, self.expire_undelivered),
            ("dead letters", settings.dead_letter_days, letters),
            ("ended handoffs", settings.ended_days, self.delete_ended),
            ("rows of the history", history_days, history),
            ("rows of the audit log", audit_days, looks),
        )
        return [
            Expiry(what=what, seconds=seconds, step=step)
            for what, days, step in wanted
            if (seconds := in_seconds(days)) is not None
        ]


def remove_history(connection: Connection, before: float) -> DeletionStep:
    """Remove some rows of the history that are older than this time."""
    removed = handoff_events.remove_before(connection, before, MOST_ROWS)
    return DeletionStep(deleted=removed, place=True if removed == MOST_ROWS else None)


def remove_audit(connection: Connection, before: float) -> DeletionStep:
    """Remove some rows of the audit log that are older than this time."""
    removed = audit_log.remove_before(connection, before, MOST_ROWS)
    return DeletionStep(deleted=removed, place=True if removed == MOST_ROWS else None)


def delete_ended(connection: Connection, before: float, place: Any = None) -> tuple[DeletionStep, list[str]]:
    """Delete some of the handoffs that ended before this time; return the step, and the ids of those that are gone."""
    columns = HANDOFFS.c
    query = select(columns.handoff_id, columns.side, columns.ended_at)
    rows = connection.execute(ended_from(query, columns.ended_at, columns.handoff_id, before, place)).all()
    if not rows:
        return DeletionStep(deleted=0), []
    waiting = OUTBOX.with_entries(connection, {row.side for row in rows}, {row.handoff_id for row in rows})
    free = [row.handoff_id for row in rows if row.handoff_id not in waiting]
    gone, has_all = delete_messages(connection, MESSAGES, free) if free else ([], True)
    delete_handoffs(connection, gone)
    if not has_all:
        return DeletionStep(deleted=len(gone), place=place or BEGINNING), gone
    return DeletionStep(deleted=len(gone), place=place_behind(rows)), gone


def _expire(unit: UnitOfWork, before: float, place: int | None) -> DeletionStep:
    rows = OUTBOX.oldest(unit.connection, place or 0, MOST_LOOKED_AT)
    old = [row for row in rows if row.at < before]
    columns = HANDOFFS.c
    lanes = columns.handoff_id.in_({row.lane for row in old})
    live = select(columns.handoff_id).where(lanes, columns.ended_at.is_(None))
    under_way = set(unit.connection.execute(live).scalars()) if old else set()
    due = [row for row in old if row.lane not in under_way]
    entries = [OUTBOX.entry(unit.connection, row.key) for row in due]
    if due:
        handoffs.lock(unit.connection, (row.lane for row in due))
        OUTBOX.expire(unit.connection, due)
    for entry in entries:
        if entry is not None:
            mark_all(unit, failed_marks(entry, NEVER_FETCHED))
    return DeletionStep(deleted=len(due), place=rows[-1].key if old and len(rows) == MOST_LOOKED_AT else None)


def _publish(unit: UnitOfWork, handoff_ids: Sequence[str]) -> None:
    if handoff_ids:
        unit.publications.append(Deleted(handoff_ids=tuple(handoff_ids)))
