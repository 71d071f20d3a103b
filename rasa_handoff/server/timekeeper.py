"""Keeps the timers of the desk: sets and stops them in the transaction that makes it necessary, and says what they mean."""

import re
import time
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Final

import msgspec
from sqlalchemy import select
from sqlalchemy.engine import Connection

from rasa_handoff.server.tables import HANDOFFS, TIMERS
from rasa_handoff.store.timers import RECOVERY, Timer
from rasa_handoff.thinking.assignment import Assignment, Stage
from rasa_handoff.thinking.desk_events import Event
from rasa_handoff.thinking.desk_timing import SWITCHABLE, TIMINGS, DeskTimers, rung, timers
from rasa_handoff.vocabulary.errors import SettingsError

OFF: Final = ("off", "null", "none")


class Timekeeper:
    """Knows how long each timer runs. ``now`` tells the wall-clock time in seconds."""

    def __init__(self, settings: DeskTimers, now: Callable[[], float] = time.time) -> None:
        self._settings, self.now = settings, now

    def follow(
        self, connection: Connection, handoff_id: str, before: Assignment | None, after: Assignment, event: Event
    ) -> None:
        """Something happened to a conversation: start and stop its timers."""
        start, stop = timers(before, after, event, TIMERS.running(connection, handoff_id))
        for kind in stop:
            TIMERS.clear(connection, handoff_id, kind)
        for kind in start:
            seconds = self._settings.seconds(kind)
            if seconds is not None:
                TIMERS.set(connection, Timer(key=handoff_id, kind=kind, due=self.now() + seconds))

    def event(self, timer: Timer) -> Event | None:
        """What a timer that is due means; None if it was switched off since it was set."""
        seconds = self._settings.seconds(timer.kind) if timer.kind in TIMINGS else None
        return None if seconds is None else rung(timer.kind, self.now(), seconds)

    def again(self, connection: Connection, timer: Timer) -> None:
        """Not now: let it run once more."""
        due = self.now() + (self._settings.seconds(timer.kind) or 0.0)
        TIMERS.set(connection, Timer(key=timer.key, kind=timer.kind, due=due))

    def recover(self, connection: Connection) -> None:
        """The server was away: what fell due meanwhile gets a while more, and what an older version left without any gets one."""
        table = TIMERS.table
        TIMERS.postpone(connection, self.now() + RECOVERY)
        timeless = ~select(table.c.key).where(table.c.key == HANDOFFS.c.handoff_id).exists()
        query = select(HANDOFFS.c.handoff_id, HANDOFFS.c.stage).where(HANDOFFS.c.stage != Stage.ENDED.value, timeless)
        for row in connection.execute(query).all():
            kind = "message" if row.stage == Stage.MESSAGE.value else "silence"
            due = self.now() + getattr(self._settings, kind)
            TIMERS.set(connection, Timer(key=row.handoff_id, kind=kind, due=due))


def read_timers(given: Iterable[str]) -> DeskTimers:
    """Timers from the command line: ``agent_silent=60``, ``customer_silent=off``.

    Raises:
        SettingsError: one sentence with the timer and what to write.
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
