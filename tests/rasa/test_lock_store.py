"""Rasa's conversation lock lets nobody wait for ever, with ours around it."""

import asyncio
import inspect
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import rasa.server
from rasa.core import lock as rasa_lock
from rasa.core.lock_store import InMemoryLockStore, LockStore, RedisLockStore

from rasa_handoff.channel.compat import lock_store
from rasa_handoff.testing.waiting import eventually, within
from tests.support.redis import RedisServer
from tests.support.started_processes import Process

QUICK = {"wait_time_in_seconds": 0.01}
"""Rasa's waiter looks again once a second."""
HOLDER = """
import asyncio, sys
from rasa.core.lock_store import RedisLockStore
from rasa_handoff.channel.compat import lock_store

async def main():
    lock_store.SHARED_SECONDS = 1.0
    lock_store.patch()
    async with RedisLockStore(port=int(sys.argv[1])).lock("anna"):
        print("held", flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def mended() -> Iterator[None]:
    """Rasa's lock store with our patch."""
    lock_store.patch()
    yield
    lock_store.restore()


async def wait_and_finish(store: LockStore, took: list[str], name: str, **more: float) -> None:
    async with store.lock("anna", **QUICK, **more):
        took.append(name)


async def behind_another(store: LockStore, took: list[str], lifetime: float = 60.0) -> "asyncio.Task[None]":
    """Begin to wait for the lock that the test holds, and return the task."""
    waiting = asyncio.create_task(wait_and_finish(store, took, "waiter", lock_lifetime=lifetime))
    await drawn(store, 2)
    return waiting


async def drawn(store: LockStore, number: int) -> None:
    """Wait until so many tickets are drawn, the holder's among them."""
    await eventually(lambda: len(store.get_lock("anna").tickets) == number)


@pytest.mark.usefixtures("mended")
async def test_a_waiter_whose_ticket_expired_by_a_leap_of_the_clock_gets_its_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, took = InMemoryLockStore(), []
    async with store.lock("anna", **QUICK):
        waiting = await behind_another(store, took)
    monkeypatch.setattr(rasa_lock.time, "time", _later(time.time, 3600))
    await within(waiting, 5)
    assert took == ["waiter"]
    assert store.get_lock("anna") is None  # nothing is left behind


@pytest.mark.usefixtures("mended")
async def test_a_waiter_behind_a_turn_longer_than_its_ticket_gets_its_turn() -> None:
    store, took = InMemoryLockStore(), []
    async with store.lock("anna", **QUICK):
        waiting = await behind_another(store, took, lifetime=0.05)
        expired = time.time() + 0.05
        await eventually(lambda: time.time() > expired)
        assert took == []  # the turn isn't over: nobody is let in beside it
    await within(waiting, 5)
    assert took == ["waiter"]


@pytest.mark.usefixtures("mended")
async def test_nobody_is_let_in_beside_a_turn_longer_than_its_own_ticket() -> None:
    """A turn of more than a minute, or a clock that leaps: of two at once the tracker keeps one."""
    store, took = InMemoryLockStore(), []
    async with store.lock("anna", lock_lifetime=0.05, **QUICK):
        expired = time.time() + 0.05
        await eventually(lambda: time.time() > expired)
        waiting = asyncio.create_task(wait_and_finish(store, took, "waiter"))
        await drawn(store, 2)
        await eventually(lambda: time.time() > expired + 0.1)
        assert took == []
    await within(waiting, 5)
    assert took == ["waiter"]
    assert store.get_lock("anna") is None


class FarLockStore(LockStore):
    """As Redis's: each look reads the lock anew, and another process knows nothing of ours."""

    kept: ClassVar[dict[str, str]] = {}

    def get_lock(self, conversation_id: str) -> rasa_lock.TicketLock | None:
        text = self.kept.get(conversation_id)
        return rasa_lock.TicketLock.from_dict(json.loads(text)) if text else None

    def save_lock(self, lock: rasa_lock.TicketLock) -> None:
        self.kept[lock.conversation_id] = lock.dumps()

    def delete_lock(self, conversation_id: str) -> None:
        self.kept.pop(conversation_id, None)


@pytest.mark.usefixtures("mended")
async def test_a_long_turns_ticket_is_renewed_for_other_processes() -> None:
    store = FarLockStore()
    async with store.lock("anna", lock_lifetime=0.3, **QUICK):
        began = time.time()
        await eventually(lambda: time.time() > began + 0.5)
        (ticket,) = json.loads(store.kept["anna"])["tickets"]
        assert json.loads(ticket)["expires"] > time.time()
    assert store.kept == {}


@pytest.fixture
def shared(mended: None, monkeypatch: pytest.MonkeyPatch, redis_server: RedisServer) -> RedisLockStore:
    """Rasa's lock store in Redis, with our patch, in which a ticket lasts a second."""
    monkeypatch.delenv(lock_store.VARIABLE, raising=False)
    monkeypatch.setattr(lock_store, "SHARED_SECONDS", 1.0)
    return RedisLockStore(port=redis_server.port)


async def test_a_conversation_waits_briefly_for_the_bot_after_its_process_was_killed(
    shared: RedisLockStore, redis_server: RedisServer, tmp_path: Path
) -> None:
    took: list[str] = []
    async with Process([sys.executable, "-c", HOLDER, str(redis_server.port)], tmp_path) as other:
        await eventually(lambda: "held" in other.said(), 60)
        waiting = asyncio.create_task(wait_and_finish(shared, took, "waiter"))
        began = time.time()
        await eventually(lambda: time.time() > began + 2)
        assert took == []  # the other process renews its ticket
        other.kill()
        await within(waiting, 10)
    assert took == ["waiter"]


async def test_who_waits_longer_than_a_ticket_lasts_keeps_their_place(
    shared: RedisLockStore, caplog: pytest.LogCaptureFixture
) -> None:
    took: list[str] = []
    async with shared.lock("anna", **QUICK):
        waiting = []
        for number in range(3):
            waiting.append(asyncio.create_task(wait_and_finish(shared, took, str(number))))
            await drawn(shared, number + 2)
        began = time.time()
        await eventually(lambda: time.time() > began + 2.5)
        assert took == []
    await within(asyncio.gather(*waiting), 5)
    assert took == ["0", "1", "2"]
    assert "draws a new one" not in caplog.text


async def test_a_lifetime_that_the_operator_has_set_is_kept(
    shared: RedisLockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(lock_store.VARIABLE, "60")
    async with shared.lock("anna", **QUICK) as held:
        assert held.tickets[0].expires > time.time() + 50


async def test_without_it_rasa_lets_the_waiter_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """When this fails, Rasa has mended it: ``channel/compat/lock_store.py`` can go."""
    store, took = InMemoryLockStore(), []
    async with store.lock("anna", **QUICK):
        waiting = await behind_another(store, took)
    monkeypatch.setattr(rasa_lock.time, "time", _later(time.time, 3600))
    with pytest.raises(asyncio.TimeoutError):
        await asyncio.wait_for(waiting, 0.5)
    assert took == []


@pytest.mark.usefixtures("mended")
async def test_the_lock_is_still_a_lock_and_keeps_the_order() -> None:
    store, took = InMemoryLockStore(), []
    async with store.lock("anna", **QUICK):
        waiting = [asyncio.create_task(wait_and_finish(store, took, str(number))) for number in range(5)]
        await drawn(store, 6)
        assert took == []
    await within(asyncio.gather(*waiting), 5)
    assert took == ["0", "1", "2", "3", "4"]


def test_the_patch_is_taken_away_again() -> None:
    before = LockStore.lock, LockStore._acquire_lock
    lock_store.patch()
    lock_store.patch()
    assert LockStore.lock is not before[0]
    lock_store.restore()
    assert (LockStore.lock, LockStore._acquire_lock) == before


def _later(clock: Callable[[], float], seconds: float) -> Callable[[], float]:
    return lambda: clock() + seconds


@pytest.mark.usefixtures("mended")
async def test_a_reminder_after_a_model_reload_waits_for_the_message_before_it() -> None:
    """Messages hold the old agent's store, reminders the new processor's."""
    messages, reminders, took = InMemoryLockStore(), InMemoryLockStore(), []
    async with messages.lock("anna", **QUICK):
        waiting = asyncio.create_task(wait_and_finish(reminders, took, "reminder"))
        await drawn(messages, 2)
        assert took == []
    await within(waiting, 5)
    assert took == ["reminder"]


def test_rasa_still_gives_a_reloaded_model_two_lock_stores() -> None:
    """When this fails, Rasa has mended it: ``channel/compat/lock_store.py`` needn't share the locks in memory."""
    source = inspect.getsource(rasa.server)
    assert "new_agent.lock_store = app.ctx.agent.lock_store" in source
    assert "processor.lock_store" not in source
