"""The one database whose relays speak for a bot: with two databases each would know half of the conversations.

A relay names its database (its epoch) when it connects. The same database may always connect again, after a restart or a cut,
and several times at once, to this server or to others of this database. Another one is refused

- while a relay with the first database answers on its connection here. One that doesn't answer (half-open, stopped) is asked
  again at each attempt, and its connection is closed when it has been silent for ``SILENT_SECONDS``;
- while one is connected to another server. That one can't be asked from here: its row (``storage/relay_connections.py``) says
  that it is there, and is written every few seconds by the server that has its socket, until that server has ended;
- and, while conversations of the bot are under way, until the first one has been away for ``AWAY_SECONDS``: after a restart of
  this server both come back, and the wrong one may be the quicker.

So a relay whose database was lost gets in once the old process is gone.

A relay of an older version doesn't name its database. Such relays count as if they all had one further database: they are
accepted while no other relay speaks for the bot, and refused beside a relay that names its database, or shortly after it. No
database is stored for them, so that such a relay is accepted at once when it has been updated and names its own.
"""

import asyncio
import contextlib
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.engine import Connection

from rasa_handoff.core.assignment import Stage
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.server.storage import relay_connections
from rasa_handoff.server.storage.relay_connections import ConnectedRelay
from rasa_handoff.server.storage.tables import HANDOFFS, OUTBOX, RELAYS
from rasa_handoff.store.engine import Store
from rasa_handoff.store.named_locks import Held, try_lock, when_free
from rasa_handoff.store.tasks import cancel_all

log = get_log(__name__)

SILENT_SECONDS: Final = 10.0
"""Seconds without an answer after which a relay's connection is closed for another relay."""
AWAY_SECONDS: Final = 120.0
"""Seconds that a bot's relay may be away before one with another database takes its place: longer than a restart of Rasa with
a large model, which would find its live chats given up."""
SEEN_EVERY: Final = 3.0
"""Seconds between two notes in the database that this server's relays are there; several fit into ``THERE_SECONDS``."""

RELAY_READY: Final = "relay"
"""The topic of a change that says that a relay of a bot can take something."""

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
    """Decides about each connection of a relay, and notes in the database which are there: ``async with RelayOwner(...)``.

    ``answers``: whether a socket answers now. ``close``: ends a socket.
    """

    def __init__(
        self,
        store: Store,
        answers: Callable[[str], Awaitable[bool]],
        close: Callable[[str], Awaitable[None]],
        side: str,
    ) -> None:
        self._store, self._answers, self._close, self._side = store, answers, close, side
        self._server = uuid.uuid4().hex
        # The connected relays, by their sockets, and the ids of those that have left since the last note.
        self._sockets: dict[str, ConnectedRelay] = {}
        self._gone: set[str] = set()
        # The ids of those that can take something.
        self._ready: set[str] = set()
        self._has_left = asyncio.Event()
        self._silent_since: dict[str, float] = {}
        # When a bot's relay was connected here last; without an entry, the start of this server counts.
        self._last_connected: dict[str, float] = {}
        self._started = time.monotonic()
        self._deciding: dict[str, asyncio.Lock] = {}
        self._noting: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "RelayOwner":
        if not self._store.shared:
            await self._store.write(relay_connections.forget_all)
        self._noting = asyncio.create_task(self._note_for_ever())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._noting is not None
        await cancel_all(self._noting)
        for sid in list(self._sockets):
            self.note_left(sid)
        with contextlib.suppress(Unreachable):  # other servers notice it by the time
            await self._note()

    async def let_in(self, sid: str, bot_id: str, database: str | None) -> str | None:
        """Let a relay in, unless one with another database speaks for its bot; return why not, or None.

        ``database``: its epoch; None for an older version, which doesn't name it.

        Raises:
            Unreachable: the database can't be used now.
        """
        # Of two that come at once, one is first: here by the lock, between servers by one in the database.
        async with self._deciding.setdefault(bot_id, asyncio.Lock()):
            refusal = await self._close_silent(bot_id, database)
            if refusal is not None:
                return refusal
            id = uuid.uuid4().hex
            claimed: ConnectedRelay | str = await when_free(
                lambda: self._store.write(lambda connection: self._claim(connection, id, bot_id, database))
            )
            if isinstance(claimed, str):
                return claimed
            self._sockets[sid] = claimed
            return None

    def refusal_of(self, connection: Connection, bot_id: str, database: str) -> str | None:
        """Return why a relay with this database would be refused now, because another one is there; None if none is."""
        now = relay_connections.clock(connection)
        others = [row for row in relay_connections.of_bot(connection, bot_id) if row.epoch != database]
        return _in_use(bot_id, database) if any(row.is_there(now) for row in others) else None

    async def note_ready(self, sid: str) -> None:
        """Note that a relay can take something, for other servers that have something for it.

        Raises:
            Unreachable: the database can't be used now; it is noted later.
        """
        relay = self._sockets.get(sid)
        if relay is not None and self._store.shared:
            self._ready.add(relay.id)
            await self._store.write(lambda connection: _note_ready(connection, relay))

    def note_left(self, sid: str) -> None:
        """Note that a relay's connection has ended."""
        relay = self._sockets.pop(sid, None)
        self._silent_since.pop(sid, None)
        if relay is not None:
            self._last_connected[relay.bot_id] = time.monotonic()
            self._gone.add(relay.id)
            self._ready.discard(relay.id)
            self._has_left.set()

    async def _close_silent(self, bot_id: str, database: str | None) -> str | None:
        """Close silent relays with other databases; return why this one is refused beside a relay that stays, or None."""
        others = [sid for sid, one in self._sockets.items() if one.bot_id == bot_id and one.epoch != database]
        for sid in others:
            if await self._answers(sid):
                self._silent_since.pop(sid, None)
                return _in_use(bot_id, database)
            if sid not in self._sockets:
                continue
            if time.monotonic() - self._silent_since.setdefault(sid, time.monotonic()) < SILENT_SECONDS:
                return _in_use(bot_id, database)
            await self._close(sid)
            self.note_left(sid)
        return None

    def _claim(self, connection: Connection, id: str, bot_id: str, database: str | None) -> ConnectedRelay | str | Held:
        """Make this relay's database the bot's, and add its row; or return why it is refused.

        It is refused if a relay with another database is connected to another server, or that of the stored one may come back.
        """
        if not try_lock(connection, [f"relay {bot_id}"]):
            return Held.BY_ANOTHER_PROCESS
        now = relay_connections.clock(connection)
        elsewhere = [row for row in relay_connections.of_bot(connection, bot_id) if row.server != self._server]
        if any(row.epoch != database and row.is_there(now) for row in elsewhere):
            return _in_use(bot_id, database)
        relays = RELAYS.c
        known = connection.execute(select(relays.epoch).where(relays.bot_id == bot_id)).scalar_one_or_none()
        if known is not None and known != database:
            here = time.monotonic() - self._last_connected.get(bot_id, self._started)
            away = min([here, *(now - row.seen for row in elsewhere)])
            if away < AWAY_SECONDS and self._has_conversations(connection, bot_id):
                return AWAY.format(bot_id=bot_id, seconds=AWAY_SECONDS) + ("" if database else UPDATE)
        if not relay_connections.take_place(connection, bot_id, database, self._server, now):
            return _in_use(bot_id, database)
        if known != database:
            connection.execute(delete(RELAYS).where(relays.bot_id == bot_id))
            if database is not None:
                connection.execute(insert(RELAYS).values(bot_id=bot_id, epoch=database))
        relay = ConnectedRelay(id=id, bot_id=bot_id, epoch=database, server=self._server, seen=now)
        relay_connections.add(connection, relay)
        return relay

    def _has_conversations(self, connection: Connection, bot_id: str) -> bool:
        handoffs = HANDOFFS.c
        mine = (handoffs.bot_id == bot_id) & (handoffs.side == self._side)
        under_way = select(func.count()).where(mine & (handoffs.stage != Stage.ENDED.value))
        return bool(connection.execute(under_way).scalar())

    async def _note_for_ever(self) -> None:
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._has_left.wait(), SEEN_EVERY)
            self._has_left.clear()
            try:
                await self._note()
            except Unreachable as problem:  # the database has logged it once
                log.debug("Which relays are there can't be noted: %s", problem)
            except Exception:
                log.exception("Noting which relays are there failed; it will be tried again.")

    async def _note(self) -> None:
        """Note in the database which relays have left, and which are there; close those whose place was taken meanwhile."""
        gone, ready, here = list(self._gone), list(self._ready), {relay.id: sid for sid, relay in self._sockets.items()}
        if not gone and not here:
            return

        def work(connection: Connection) -> set[str]:
            now = relay_connections.clock(connection)
            relay_connections.note_gone(connection, gone, now)
            lost = relay_connections.see(connection, list(here), now)
            relay_connections.note_ready(connection, ready)
            relay_connections.forget_old(connection, now)
            return lost

        lost = await self._store.write(work)
        self._gone.difference_update(gone)
        for sid in (here[id] for id in lost):
            if sid in self._sockets:
                log.warning(
                    "A relay of the bot %r is disconnected: this server couldn't say for too long that it is there.",
                    self._sockets[sid].bot_id,
                )
                await self._close(sid)
                self.note_left(sid)


def _note_ready(connection: Connection, relay: ConnectedRelay) -> None:
    relay_connections.note_ready(connection, [relay.id])
    OUTBOX.change_log.note(connection, RELAY_READY, relay.bot_id)


def _in_use(bot_id: str, database: str | None) -> str:
    return IN_USE.format(bot_id=bot_id) + ("" if database else UPDATE)
