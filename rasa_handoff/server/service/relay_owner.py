"""The one relay that speaks for a bot: with two databases each would know half of the conversations.

A relay names its database (its epoch) when it connects. The same database may always connect again, after a restart or a cut.
Another one is refused

- while a relay with the first database answers on its connection. One that doesn't answer (half-open, stopped) is asked again
  at each attempt, and its connection is closed when it has been silent for ``SILENT_SECONDS``;
- and, while conversations of the bot are under way, until the first one has been away for ``AWAY_SECONDS``: after a restart of
  this server both come back, and the wrong one may be the quicker.

So a relay whose database was lost gets in once the old process is gone.

A relay of an older version doesn't name its database. Such relays count as if they all had one further database: they are
accepted while no other relay speaks for the bot, and refused beside a relay that names its database, or shortly after it. No
database is stored for them, so that such a relay is accepted at once when it has been updated and names its own.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.engine import Connection

from rasa_handoff.core.assignment import Stage
from rasa_handoff.server.storage.tables import HANDOFFS, RELAYS

SILENT_SECONDS: Final = 10.0
"""Seconds without an answer after which a relay's connection is closed for another relay."""
AWAY_SECONDS: Final = 15.0
"""Seconds that a bot's relay may be away before one with another database takes its place."""

IN_USE: Final = (
    "Another Rasa server with another database speaks for the bot '{bot_id}' here. A bot has one: stop the other one, "
    "or give this one a bot_id of its own."
)
AWAY: Final = (
    "The Rasa server that began the conversations of the bot '{bot_id}' had another database. If it doesn't come back within "
    "{seconds:.0f} s, this one takes its place."
)
UPDATE: Final = " This one doesn't say which database it has: update rasa-handoff there."


class RelayOwner:
    """Decides about each connection of a relay. ``answers``: whether a socket answers now. ``close``: ends a socket."""

    def __init__(
        self, answers: Callable[[str], Awaitable[bool]], close: Callable[[str], Awaitable[None]], side: str
    ) -> None:
        self._answers, self._close, self._side = answers, close, side
        # Bot id and database of each connected relay, by its socket.
        self._sockets: dict[str, tuple[str, str | None]] = {}
        self._silent_since: dict[str, float] = {}
        # When a bot's relay was connected last; without an entry, the start of this server counts.
        self._last_connected: dict[str, float] = {}
        self._started = time.monotonic()
        self._deciding: dict[str, asyncio.Lock] = {}

    def deciding(self, bot_id: str) -> asyncio.Lock:
        """Return the lock to hold while a connection is decided: of two that come at once, one is first."""
        return self._deciding.setdefault(bot_id, asyncio.Lock())

    async def close_silent(self, bot_id: str, database: str | None) -> str | None:
        """Close silent relays with other databases; return why this one is refused beside a relay that stays, or None.

        ``database``: its epoch; None for an older version, which doesn't name it.
        """
        in_use = IN_USE.format(bot_id=bot_id) + ("" if database else UPDATE)
        for sid in [sid for sid, (bot, other) in self._sockets.items() if bot == bot_id and other != database]:
            if await self._answers(sid):
                self._silent_since.pop(sid, None)
                return in_use
            if sid not in self._sockets:
                continue
            if time.monotonic() - self._silent_since.setdefault(sid, time.monotonic()) < SILENT_SECONDS:
                return in_use
            await self._close(sid)
            self.note_left(sid)
        return None

    def claim(self, connection: Connection, bot_id: str, database: str | None) -> str | None:
        """Make this relay's database the bot's, unless the relay of the stored one may come back; return why not, or None."""
        relays, handoffs = RELAYS.c, HANDOFFS.c
        known = connection.execute(select(relays.epoch).where(relays.bot_id == bot_id)).scalar_one_or_none()
        if known == database:
            return None
        left = AWAY_SECONDS - (time.monotonic() - self._last_connected.get(bot_id, self._started))
        mine = (handoffs.bot_id == bot_id) & (handoffs.side == self._side)
        under_way = mine & (handoffs.stage != Stage.ENDED.value)
        if known is not None and left > 0 and connection.execute(select(func.count()).where(under_way)).scalar():
            return AWAY.format(bot_id=bot_id, seconds=AWAY_SECONDS) + ("" if database else UPDATE)
        connection.execute(delete(RELAYS).where(relays.bot_id == bot_id))
        if database is not None:
            connection.execute(insert(RELAYS).values(bot_id=bot_id, epoch=database))
        return None

    def note_accepted(self, sid: str, bot_id: str, database: str | None) -> None:
        """Note that a relay was accepted."""
        self._sockets[sid] = bot_id, database

    def note_left(self, sid: str) -> None:
        """Note that a relay's connection has ended."""
        bot_id, _ = self._sockets.pop(sid, ("", ""))
        self._silent_since.pop(sid, None)
        if bot_id:
            self._last_connected[bot_id] = time.monotonic()
