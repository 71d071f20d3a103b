"""Now and then, customers who wait in a queue hear of their new places."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from rasa_handoff.core.assignment import Stage
from rasa_handoff.server.service.queues import send_place
from rasa_handoff.server.service.unit_of_work import Service, UnitOfWork
from rasa_handoff.server.storage import handoffs
from rasa_handoff.store.engine import Store

PLACE_NOTICE_SECONDS: Final = 60.0
"""Seconds between two notices of a place to one customer, unless ``rasa-handoff serve --place-notices`` says otherwise."""
MOST_AT_ONCE: Final = 50
"""Notices of one transaction: other transactions wait for it."""


class QueueNotices:
    """Sends the places that have changed. A check of the ``Sweeper``.

    ``every``: seconds between two notices to one customer, who is informed at once when they are next; None: only then.
    ``is_first``: whether this process does it, of those that share the database: each would have its own idea of who was informed
    when.
    """

    def __init__(
        self,
        store: Store,
        service: Service,
        every: float | None,
        now: Callable[[], float],
        is_first: Callable[[], Awaitable[bool]],
    ) -> None:
        self._store, self._service, self._every, self._now, self._is_first = store, service, every, now, is_first
        self._sent: dict[str, float] = {}

    async def check(self) -> None:
        """Send what is due. Reads a few columns of those who wait, and nothing else unless a place has changed."""
        if self._every is None or not await self._is_first():
            return
        places = await self._store.write(handoffs.places)
        now, waiting = self._now(), {place.handoff_id for place in places}
        self._sent = {handoff_id: at for handoff_id, at in self._sent.items() if handoff_id in waiting}
        due = {
            one.handoff_id: one.place
            for one in places
            if one.place != one.sent and now - self._sent.get(one.handoff_id, one.queued_at) >= self._every
        }
        for first in range(0, len(due), MOST_AT_ONCE):
            some = dict(list(due.items())[first : first + MOST_AT_ONCE])
            seen = await self._service.do(lambda unit, some=some: _send(unit, some))  # type: ignore[misc]
            self._sent.update(dict.fromkeys(seen, now))


def _send(unit: UnitOfWork, places: Mapping[str, int]) -> list[str]:
    """Send these places; return whose turn it was. One that another process is changing has it in the next round."""
    seen = []
    for handoff_id, place in places.items():
        record = handoffs.find_if_free(unit.connection, handoff_id)
        if record is None:
            continue
        seen.append(handoff_id)
        if record.assignment.stage is Stage.QUEUED and record.position != place:
            with unit.isolated("The place of %s in its queue can't be sent.", handoff_id):
                send_place(unit, record, place)
    return seen
