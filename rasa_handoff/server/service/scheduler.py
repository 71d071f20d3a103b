"""The timers of conversations, set and stopped in the transaction of the event that asks for it; and periodic checks.

The periodic checks are for what no timer announces: a department added by the command line, a session that ran out.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final

import msgspec
from sqlalchemy import select
from sqlalchemy.engine import Connection

from rasa_handoff.core.assignment import MACHINE, TABLE, Assignment, Stage
from rasa_handoff.core.assignment_events import AssignmentEvent, CustomerSilent, NobodyTook
from rasa_handoff.core.assignment_timers import SWITCHABLE, TIMINGS, DeskTimers
from rasa_handoff.protocol.errors import SettingsError, Unreachable
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.server.storage import handoffs
from rasa_handoff.server.storage.handoffs import RELAY, Record
from rasa_handoff.server.storage.tables import HANDOFFS, OUTBOX, TIMERS
from rasa_handoff.store.tasks import cancel_all
from rasa_handoff.store.timers import RECOVERY, Timer

if TYPE_CHECKING:  # a unit of work has a timekeeper
    from rasa_handoff.server.service.unit_of_work import UnitOfWork

log = get_log(__name__)

OFF: Final = ("off", "null", "none")
"""Values on the command line that switch a timer off."""
EVERY: Final = 5.0
"""Seconds between two rounds of checks: a department added by the command, an expected wait, a session that ran out."""
HISTORY_DAYS: Final = 400
"""Days for which what happened to handoffs is kept, so that a month can be compared with the same one of the year before."""
AUDIT_DAYS: Final = 730
"""Days for which the audit log is kept: who looked may be asked for long after."""
LOOK_EVERY: Final = 0.25
"""Seconds between two looks for what another process changed: a session that the command line ended, a revoked token."""


class Timekeeper:
    """Sets the timers of conversations. ``now`` returns the wall-clock time in seconds since 1970."""

    def __init__(self, settings: DeskTimers, now: Callable[[], float] = time.time) -> None:
        self._settings, self.now = settings, now

    def follow(
        self,
        connection: Connection,
        handoff_id: str,
        before: Assignment | None,
        after: Assignment,
        event: AssignmentEvent,
    ) -> None:
        """Start and stop the timers of a conversation after an event."""
        running = TIMERS.running(connection, handoff_id)
        start, stop = MACHINE.timer_changes(TIMINGS, before, after, event, running)
        due = {kind: self.now() + seconds for kind in start if (seconds := self._settings.seconds(kind)) is not None}
        TIMERS.change(connection, handoff_id, due, stop)

    def fire(self, unit: "UnitOfWork", timer: Timer) -> None:
        """Apply the event of a due timer to its conversation; a timer that was switched off since it was set does nothing."""
        record, event = handoffs.find(unit.connection, timer.key), self._event(timer)
        if not TIMERS.take(unit.connection, timer) or record is None or event is None:
            return
        if isinstance(event, NobodyTook | CustomerSilent) and _relay_is_away(unit.connection, record):
            self._run_again(unit.connection, timer)
        elif (record.assignment.stage, type(event)) in TABLE:
            unit.apply(record, event)

    def _event(self, timer: Timer) -> AssignmentEvent | None:
        seconds = self._settings.seconds(timer.kind) if timer.kind in TIMINGS else None
        return None if seconds is None else TIMINGS[timer.kind].due_event(at=self.now(), seconds=seconds)

    def _run_again(self, connection: Connection, timer: Timer) -> None:
        due = self.now() + (self._settings.seconds(timer.kind) or 0.0)
        TIMERS.set(connection, Timer(key=timer.key, kind=timer.kind, due=due))

    def recover(self, connection: Connection) -> None:
        """Adjust the timers after a start.

        Timers that fell due while the server was away are postponed. Conversations that an older version left without a timer
        get one.
        """
        table = TIMERS.table
        TIMERS.postpone(connection, self.now() + RECOVERY)
        timeless = ~select(table.c.key).where(table.c.key == HANDOFFS.c.handoff_id).exists()
        query = select(HANDOFFS.c.handoff_id, HANDOFFS.c.stage).where(HANDOFFS.c.stage != Stage.ENDED.value, timeless)
        for row in connection.execute(query).all():
            kind = "message" if row.stage == Stage.MESSAGE.value else "silence"
            due = self.now() + getattr(self._settings, kind)
            TIMERS.set(connection, Timer(key=row.handoff_id, kind=kind, due=due))


def _relay_is_away(connection: Connection, record: Record) -> bool:
    """Return whether entries still wait for the relay: then the customer can't have been asked, or have answered."""
    return record.side == RELAY and bool(OUTBOX.head(connection, RELAY, record.handoff_id, 1))


def read_timers(given: Iterable[str]) -> DeskTimers:
    """Read timers from the command line: ``agent_silent=60``, ``customer_silent=off``.

    Raises:
        SettingsError: there is no such timer, or its value can't be used; the sentence says what to write.
    """
    return msgspec.convert(dict(_read_timer(one) for one in given), DeskTimers)


def _read_timer(given: str) -> tuple[str, float | None]:
    name, _, value = given.partition("=")
    name, value = name.strip(), value.strip().lower()
    if name not in TIMINGS:
        near = get_close_matches(name, TIMINGS, n=1, cutoff=0.5)
        hint = f"did you mean '{near[0]}'?" if near else f"it may be one of: {', '.join(TIMINGS)}."
        raise SettingsError(f"There is no timer '{name}': {hint}")
    if value in OFF:
        if name not in SWITCHABLE:
            raise SettingsError(f"The timer '{name}' can be long, but not off: no conversation may last for ever.")
        return name, None
    if not re.fullmatch(r"\d+(\.\d+)?", value) or float(value) <= 0:
        raise SettingsError(f"The timer '{name}' needs seconds, such as --timer {name}=300.")
    return name, float(value)


class Sweeper:
    """Runs checks every few seconds while it is entered: ``async with Sweeper([...])``."""

    def __init__(
        self, checks: Sequence[Callable[[], Awaitable[object]]], changes: Callable[[], Awaitable[str]] | None = None
    ) -> None:
        """``changes`` returns the id of the last change by another process; when it differs, the next round begins at once."""
        self._checks, self._changes, self._seen = checks, changes, ""
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Sweeper":
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        await cancel_all(self._task)

    async def _run(self) -> None:
        while True:
            await self._wait()
            for check in self._checks:
                try:
                    await check()
                except Unreachable as problem:  # the database has logged it once
                    log.debug("A periodic check failed: %s", problem)
                except Exception:
                    log.exception("A periodic check failed; the next round is in %g s.", EVERY)

    async def _wait(self) -> None:
        """Wait until the next round is due, or another process changed something."""
        due = time.monotonic() + EVERY
        while time.monotonic() < due:
            await asyncio.sleep(LOOK_EVERY)
            if self._changes is not None and await self._changed(self._changes):
                return

    async def _changed(self, changes: Callable[[], Awaitable[str]]) -> bool:
        try:
            now = await changes()
        except Exception as problem:  # the checks themselves log what is wrong
            log.debug("Looking for changes failed: %s", problem)
            return False
        before, self._seen = self._seen, now
        return now != before


def read_place_notices(given: str) -> float | None:
    """Read how often a customer hears of a place from the command line: seconds, or ``off``.

    Raises:
        SettingsError: it is neither.
    """
    value = given.strip().lower()
    if value in OFF:
        return None
    if not re.fullmatch(r"\d+(\.\d+)?", value) or float(value) <= 0:
        raise SettingsError("Notices of a place in the queue need seconds, such as --place-notices 60, or off.")
    return float(value)


def check_history_days(days: int) -> int:
    """Return the days for which the history is kept, after a check.

    Raises:
        SettingsError: it is less than one day.
    """
    if days < 1:
        raise SettingsError("What happened to handoffs is kept for a day at least, such as --history-days 400.")
    return days


def check_audit_days(days: int) -> int:
    """Return the days for which the audit log is kept, after a check.

    Raises:
        SettingsError: it is less than one day.
    """
    if days < 1:
        raise SettingsError("The audit log is kept for a day at least, such as --audit-days 730.")
    return days
