"""Several processes on one Postgres, with whatever may happen to them at random: each entry arrives, once and in order."""

import asyncio
import contextlib
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import pytest
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.errors import Waits
from rasa_handoff.store import dispatcher as dispatcher_module
from rasa_handoff.store import membership as membership_module
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.troubles import TROUBLES
from rasa_handoff.testing.waiting import eventually
from tests.core.test_shared_store import DESK, Process, Text
from tests.support.postgres_server import Database

SECONDS: Final = 6.0
"""How long things happen."""
LOCKED: Final = tuple(f"locked {number}" for number in range(6))
"""Lanes whose entries are written under the lock of a row, as the relay does: they arrive in order."""
UNLOCKED: Final = ("unlocked 0", "unlocked 1")


class Receivers:
    """The receivers of all lanes. Each is connected to one process, or to none, and knows by its id what it has got."""

    def __init__(self) -> None:
        self.got: dict[str, list[int]] = defaultdict(list)
        self.twice: list[str] = []
        self.at: dict[str, Member | None] = {}

    def take(self, lane: str, number: int) -> None:
        """Take an entry, unless it came before."""
        if number in self.got[lane]:
            self.twice.append(f"{lane} {number}")
        else:
            self.got[lane].append(number)


class Member(Process):
    """A process among them."""

    def __init__(self, url: str, receivers: Receivers, chance: random.Random) -> None:
        super().__init__(url, [])
        self._receivers, self._chance = receivers, chance
        self._renew = self.sharing.membership._renew
        self.frozen = asyncio.Event()
        self.sharing.membership._renew = self._beat  # type: ignore[method-assign]

    async def _beat(self, looks_for_ended: bool) -> None:
        while self.frozen.is_set():  # noqa: ASYNC110 (nothing sets a flag when it is cleared)
            await asyncio.sleep(0.05)
        await self._renew(looks_for_ended)

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> None:
        """Pass on what the receiver can take."""
        await asyncio.sleep(self._chance.random() * 0.01)
        if self._receivers.at.get(lane) is not self:
            raise Waits("The receiver is elsewhere, or nowhere.")
        for entry in entries:
            self._receivers.take(lane, int(entry.read(Text).id))

    async def process_of(self, lane: str) -> str | None:
        """Return the process that the receiver is connected to."""
        await self.store.write(lambda _: None)
        at = self._receivers.at.get(lane)
        return None if at is None or at is self else at.store.process

    async def say(self, lane: str) -> None:
        """Put the next entry, with its number in the lane."""
        counters = self.counters

        def work(connection: Connection) -> None:
            here = counters.c.name == lane
            connection.execute(insert(counters).values(name=lane, value=0).on_conflict_do_nothing())
            if lane in LOCKED:
                connection.execute(select(counters).where(here).with_for_update())
            added = update(counters).where(here).values(value=counters.c.value + 1).returning(counters.c.value)
            number = connection.execute(added).scalar_one()
            self.outbox.put(connection, [Entry.of(DESK, lane, "message", Text(id=str(number)))])

        await self.store.write(work)

    async def take_out(self, lane: str) -> int | None:
        """Remove the last entry of a lane, whoever has it, and return its number."""

        def work(connection: Connection) -> int | None:
            entries = self.outbox.head(connection, DESK, lane)
            self.outbox.remove(connection, entries[-1:])
            return int(entries[-1].read(Text).id) if entries else None

        return await self.store.write(work)

    async def die(self) -> None:
        """End without a word."""
        membership, dispatcher = self.sharing.membership, self.dispatcher
        assert membership._task is not None
        membership._task.cancel()
        membership._task = None
        dispatcher._ended = True
        for task in dispatcher._tasks.values():
            task.cancel()
        await self._stack.aclose()


class World:
    """The processes and what happens to them."""

    def __init__(self, database: Database, seed: int) -> None:
        self.database, self.chance, self.receivers = database, random.Random(seed), Receivers()
        self.members: list[Member] = []
        self.removed: dict[str, set[int]] = defaultdict(set)
        self.happened: list[str] = []

    async def begin(self) -> Member:
        """Start one more process."""
        member = Member(self.database.url, self.receivers, self.chance)
        await member.__aenter__()
        self.members.append(member)
        return member

    async def happen(self) -> None:
        """Let one thing happen."""
        lane, member = self.chance.choice(LOCKED + UNLOCKED), self.chance.choice(self.members)
        things: dict[Callable[[str, Member], Awaitable[None]], int] = {
            self._say: 60,
            self._move: 14,
            self._take_out: 4,
            self._cut: 1,
            self._freeze: 1,
            self._thaw: 3,
            self._kill: 1,
            self._replace: 1,
        }
        (thing,) = self.chance.choices(list(things), list(things.values()))
        with contextlib.suppress(*TROUBLES):
            await thing(lane, member)

    async def _say(self, lane: str, member: Member) -> None:
        others = [self.chance.choice(self.members) for _ in range(3)]
        works = (one.say(self.chance.choice((lane, *LOCKED))) for one in (member, *others))
        await asyncio.gather(*works, return_exceptions=True)

    async def _move(self, lane: str, member: Member) -> None:
        self._connect(lane, None if self.chance.random() < 0.2 else member)

    def _connect(self, lane: str, member: Member | None) -> None:
        self.receivers.at[lane] = member
        if member is not None:
            member.dispatcher.notify([(DESK, lane)])

    async def _take_out(self, lane: str, member: Member) -> None:
        if (number := await member.take_out(lane)) is not None:
            self.removed[lane].add(number)

    async def _cut(self, *_: object) -> None:
        self._note("cut")
        self.database.cut()

    async def _freeze(self, _: str, member: Member) -> None:
        self._note("freeze")
        member.frozen.set()

    async def _thaw(self, *_: object) -> None:
        for member in self.members:
            member.frozen.clear()

    async def _kill(self, _: str, member: Member) -> None:
        await self._end(member, member.die)

    async def _replace(self, _: str, member: Member) -> None:
        await self._end(member, lambda: member.__aexit__())

    async def _end(self, member: Member, end: Callable[[], Awaitable[None]]) -> None:
        self._note(f"end by {end.__name__}")
        self.members.remove(member)
        for lane, at in self.receivers.at.items():
            if at is member:
                self.receivers.at[lane] = None
        await end()
        while len(self.members) < 3:
            await self.begin()

    def _note(self, what: str) -> None:
        self.happened.append(what)

    async def settle(self) -> None:
        """Have every receiver come somewhere, and wait until all that was put has arrived."""
        await self._thaw()
        for lane in LOCKED + UNLOCKED:
            self._connect(lane, self.chance.choice(self.members))
        await eventually(self._is_empty, 30)

    async def _is_empty(self) -> bool:
        with contextlib.suppress(*TROUBLES):
            return await self.members[0].is_empty()
        return False

    async def check(self) -> None:
        """Check what has arrived."""
        counters = self.members[0].counters
        rows = await self.members[0].store.write(lambda connection: connection.execute(select(counters)).all())
        for row in rows:
            got, removed = self.receivers.got[row.name], self.removed[row.name]
            assert set(got) | removed == set(range(1, row.value + 1)), (row.name, self.happened)
            if row.name in LOCKED:
                assert got == sorted(got), (row.name, self.happened)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", range(3))
async def test_whatever_happens_each_entry_arrives_in_order(
    postgres: Database, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership_module, "HEARTBEAT", 0.3)
    monkeypatch.setattr(membership_module, "LEASE", 2.4)
    monkeypatch.setattr(membership_module, "MARGIN", 0.8)
    monkeypatch.setattr(dispatcher_module, "CLOSING_SECONDS", 0.2)
    world = World(postgres, seed)
    try:
        for _ in range(3):
            await world.begin()
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            await world.happen()
        await world.settle()
        await world.check()
    finally:
        for member in world.members:
            await member.__aexit__()
