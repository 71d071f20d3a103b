"""The brake's counts, of two servers over one database."""

import asyncio
import contextlib

import pytest
from sqlalchemy import create_engine, func, select

from rasa_handoff.server import brake
from rasa_handoff.server.brake import FREE_TRIES, LONGEST_BRAKE, Brake, Key
from rasa_handoff.server.storage.tables import SIGN_IN_TRIES, open_store
from rasa_handoff.store import named_locks
from rasa_handoff.store.named_locks import StillHeld, try_lock
from rasa_handoff.testing.waiting import eventually

OWN = [Key(name="pair 192.0.2.1 thandi", free=FREE_TRIES)]


class Servers:
    """Two servers' brakes, whose clock a test moves."""

    def __init__(self, *stores):
        self.now, self.store = 1_000_000.0, stores[0]
        self.first, self.second = (Brake(store, lambda: self.now) for store in stores)

    async def fail(self, times, keys=OWN, at=None):
        """Try so many times, each as soon as it is accepted."""
        for _ in range(times):
            while wait := await (at or self.first).tried(keys):
                self.now += wait

    async def counted(self):
        return await self.store.write(
            lambda connection: connection.execute(select(func.count()).select_from(SIGN_IN_TRIES)).scalar()
        )


@pytest.fixture
async def servers(database_url):
    async with open_store(database_url) as one, another(database_url, one) as other:
        yield Servers(one, other)


def another(database_url, store):
    """Return the store of another server; the same one where the database has one owner."""
    return open_store(database_url) if store.shared else contextlib.nullcontext(store)


async def test_tries_at_one_server_count_at_the_other(servers):
    await servers.fail(3, at=servers.first)
    await servers.fail(2, at=servers.second)
    assert (await servers.first.tried(OWN), await servers.second.tried(OWN)) == (1, 1)
    servers.now += 1
    await servers.fail(1, at=servers.second)
    assert await servers.first.tried(OWN) == 2


async def test_of_many_tries_at_once_at_two_servers_no_more_are_accepted_than_are_free(servers, monkeypatch):
    monkeypatch.setattr(named_locks, "FREE_WITHIN", 60.0)
    shared = Key(name="mail thandi", free=100, shared=True)
    both = [servers.first, servers.second] * 20
    waits = await asyncio.gather(*(one.tried([*OWN, shared]) for one in both))
    assert waits.count(0) == FREE_TRIES
    assert set(waits) == {0, 1}


async def test_counts_outlive_their_server(servers, database_url):
    await servers.fail(5)
    async with another(database_url, servers.store) as new:
        assert await Brake(new, lambda: servers.now).tried(OWN) == 1


async def test_a_success_clears_its_own_count_and_takes_one_try_from_a_shared_one(servers):
    shared = [Key(name="from 192.0.2.1", free=3, shared=True)]
    await servers.fail(4, OWN)
    await servers.fail(3, shared)
    await servers.second.succeeded([*OWN, *shared])
    assert await servers.first.tried(OWN) == 0
    await servers.fail(1, shared)
    assert await servers.first.tried(shared) == 1, "two of the three are others'"


async def test_no_wait_is_longer_than_the_longest_and_a_clock_that_is_set_back_makes_none(servers):
    await servers.fail(30)
    assert await servers.first.tried(OWN) == LONGEST_BRAKE
    servers.now -= 3_600
    assert await servers.first.tried(OWN) == 0


async def test_tries_are_counted_together_for_a_day(servers):
    await servers.fail(5)
    servers.now += 23 * 3_600
    await servers.fail(1)
    assert await servers.first.tried(OWN) == 2
    servers.now += 2 * 3_600
    await servers.fail(4)
    assert await servers.first.tried(OWN) == 0


async def test_what_is_over_is_forgotten_and_beyond_a_number_what_was_accepted_longest_ago(servers, monkeypatch):
    monkeypatch.setattr(brake, "MOST_REMEMBERED", 20)
    await servers.fail(6)
    for number in range(30):
        servers.now += 0.001
        await servers.fail(1, [Key(name=str(number), free=5)])
    await servers.first.forget_old()
    assert await servers.counted() == 20
    assert await servers.second.tried(OWN) == 2, "it waits, so it isn't forgotten"
    assert await servers.second.tried([Key(name="29", free=2)]) == 0
    assert await servers.second.tried([Key(name="29", free=2)]) == 1, "it was counted before"
    servers.now += brake.COUNT_LASTS + 60
    await servers.second.forget_old()
    assert await servers.counted() == 0


async def test_without_tries_it_is_rarely_looked_for_what_is_over(servers):
    await servers.first.forget_old()
    await servers.fail(1, at=servers.second)
    servers.now += brake.COUNT_LASTS + 60
    await servers.first.forget_old()
    assert await servers.counted() == 1
    await servers.second.forget_old()
    assert await servers.counted() == 0


async def test_no_address_and_no_e_mail_is_kept_in_clear(servers):
    await servers.fail(1)
    rows = await servers.store.write(lambda connection: connection.execute(select(SIGN_IN_TRIES)).all())
    assert "192.0.2.1" not in str(rows)
    assert "thandi" not in str(rows)


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_while_another_process_counts_the_same_nothing_waits_inside_a_transaction(
    servers, database_url, monkeypatch
):
    """It would hold up the messages that share the commit. Others are counted meanwhile, and who waits is answered at last."""
    monkeypatch.setattr(named_locks, "FREE_WITHIN", 60.0)
    engine = create_engine(database_url)
    with contextlib.closing(engine.connect()) as other, other.begin() as transaction:
        assert try_lock(other, brake._locks(OWN))
        waiting = asyncio.create_task(servers.first.tried(OWN))
        await servers.fail(1, [Key(name="another", free=5)])
        assert not waiting.done()
        monkeypatch.setattr(named_locks, "FREE_WITHIN", 0.0)
        with pytest.raises(StillHeld):
            await servers.second.tried(OWN)
        assert not waiting.done()
        transaction.rollback()
        await eventually(waiting.done)
        assert waiting.result() == 0
    engine.dispose()
