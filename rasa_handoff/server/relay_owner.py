"""Which relay speaks for a bot: one database at a time, since two would each know half of the conversations.

A relay says on connecting which database it has (its epoch). The same one may always come again, after a restart or a cut.
Another one is refused

- while a relay with the first database answers on its connection. One that doesn't answer (half-open, stopped) is asked again
  at each attempt, and its connection is closed when it has been silent for ``SILENT_SECONDS``;
- and, while conversations of the bot are under way, until the first one has been away for ``AWAY_SECONDS``: after a restart of
  this server both come back, and the wrong one may be the quicker.

So a relay whose database was lost gets in once the old process is gone.

A relay of an older version doesn't say its database. It is one more claimant, the same for all of them: let in alone,
refused like another database beside one that says its own or shortly after it. It isn't written down, so that its newer version
follows it at once.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.engine import Connection

from rasa_handoff.server.tables import HANDOFFS, RELAYS
from rasa_handoff.thinking.assignment import Stage

SILENT_SECONDS: Final = 10.0
AWAY_SECONDS: Final = 15.0

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
    """Asked at each connection of a relay. ``answers``: whether a socket answers now. ``close``: ends one."""

    def __init__(
        self, answers: Callable[[str], Awaitable[bool]], close: Callable[[str], Awaitable[None]], side: str
    ) -> None:
        self._answers, self._close, self._side = answers, close, side
        self._sockets: dict[str, tuple[str, str | None]] = {}
        self._silent_since: dict[str, float] = {}
        # When a bot's relay was here last; before that, this server's start.
        self._here: dict[str, float] = {}
        self._started = time.monotonic()
        self._deciding: dict[str, asyncio.Lock] = {}

    def deciding(self, bot_id: str) -> asyncio.Lock:
        """Held from the question to the answer: of two that come at once one is the first."""
        return self._deciding.setdefault(bot_id, asyncio.Lock())

    async def refusal_beside_another(self, bot_id: str, database: str | None) -> str | None:
        """Why it can't be let in now, as far as the others' sockets tell. ``database``: its epoch; None: it doesn't say it."""
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
            self.has_left(sid)
        return None

    def refusal_after_another(self, connection: Connection, bot_id: str, database: str | None) -> str | None:
        """Why it can't be let in now, as far as is written down; if it can, that is written down."""
        r, h = RELAYS.c, HANDOFFS.c
        known = connection.execute(select(r.epoch).where(r.bot_id == bot_id)).scalar_one_or_none()
        if known == database:
            return None
        left = AWAY_SECONDS - (time.monotonic() - self._here.get(bot_id, self._started))
        under_way = (h.bot_id == bot_id) & (h.side == self._side) & (h.stage != Stage.ENDED.value)
        if known is not None and left > 0 and connection.execute(select(func.count()).where(under_way)).scalar():
            return AWAY.format(bot_id=bot_id, seconds=AWAY_SECONDS) + ("" if database else UPDATE)
        connection.execute(delete(RELAYS).where(r.bot_id == bot_id))
        if database is not None:
            connection.execute(insert(RELAYS).values(bot_id=bot_id, epoch=database))
        return None

    def is_here(self, sid: str, bot_id: str, database: str | None) -> None:
        """It was let in."""
        self._sockets[sid] = bot_id, database

    def has_left(self, sid: str) -> None:
        """Its connection has ended."""
        bot_id, _ = self._sockets.pop(sid, ("", ""))
        self._silent_since.pop(sid, None)
        if bot_id:
            self._here[bot_id] = time.monotonic()
