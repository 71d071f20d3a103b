"""The bus: what another process wrote is looked at within three seconds, whatever happens to Redis, Postgres or the way there."""

import asyncio
import contextlib
import gc
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

import psycopg2
import pytest

from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.relay import repository
from rasa_handoff.relay.repository import RelayStore
from rasa_handoff.store import bus
from rasa_handoff.store.bus import Bus, channel_of, check_bus, open_bus
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.slowness import slowness
from rasa_handoff.testing.waiting import eventually, within
from tests.support.paths import ROOT
from tests.support.postgres_server import Database
from tests.support.redis import RedisServer
from tests.support.relay_stores import relay_store
from tests.support.transaction_pooler import TransactionPooler
from tests.support.wire import Wire

NAME = "relay of the tests"
CALM = 0.3
"""Seconds without a call after which what came before is over."""
OTHER = """
import asyncio, sys
import uvloop
from rasa_handoff.store.bus import open_bus

async def main():
    bus = open_bus(sys.argv[1] or None, sys.argv[2], sys.argv[3])
    bus.listeners.append(lambda: print("look", flush=True))
    async with bus:
        while await asyncio.to_thread(sys.stdin.readline):
            bus.ring()

asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
asyncio.run(main())
"""


class Carrier(Protocol):
    """What carries the bus in a test, and its troubles."""

    port: int

    def urls(self, port: int | None = None) -> tuple[str | None, str]:
        """The bus's URL and the database's, perhaps through another port."""

    def send(self, *messages: bytes) -> None:
        """Send messages as somebody else."""

    def flood(self, count: int) -> None:
        """Send so many different messages at once."""

    def counted(self) -> AbstractContextManager[Callable[[], int]]:
        """Count the messages that are sent inside the block."""

    def cut_listeners(self) -> None: ...
    def cut_speakers(self) -> None: ...
    def stopped(self) -> AbstractContextManager[None]: ...
    def away(self) -> AbstractContextManager[None]: ...


class OnRedis:
    def __init__(self, server: RedisServer) -> None:
        self.port, self.stopped, self.away = server.port, server.stopped, server.away
        self.cut_listeners, self.cut_speakers = server.cut_subscribers, server.cut
        self._server = server

    def urls(self, port: int | None = None) -> tuple[str | None, str]:
        return self._server.url_at(port or self.port), "sqlite:///unused.db"

    def send(self, *messages: bytes) -> None:
        with self._server.client() as client:
            for message in messages:
                client.publish(channel_of(NAME), message)

    def flood(self, count: int) -> None:
        with self._server.client() as client:
            client.eval(f"for i = 1, {count} do redis.call('publish', KEYS[1], 'no. ' .. i) end", 1, channel_of(NAME))

    @contextlib.contextmanager
    def counted(self) -> Iterator[Callable[[], int]]:
        with self._server.client() as client:
            before = client.info("commandstats")["cmdstat_publish"]["calls"]
            yield lambda: client.info("commandstats")["cmdstat_publish"]["calls"] - before

    def send_megabytes(self, count: int) -> None:
        with self._server.client() as client:
            client.eval(f"redis.call('publish', KEYS[1], string.rep('x', {count} * 1048576))", 1, channel_of(NAME))


class OnPostgres:
    def __init__(self, database: Database, scheme: str = "postgresql") -> None:
        self.port, self.stopped, self.away = database.server.port, database.server.stopped, database.server.away
        self._database, self._scheme = database, scheme

    def urls(self, port: int | None = None) -> tuple[str | None, str]:
        return None, self._database.url_at(port or self.port).replace("postgresql", self._scheme, 1)

    def send(self, *messages: bytes) -> None:
        with contextlib.closing(psycopg2.connect(self._database.url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            for message in messages:
                cursor.execute("select pg_notify(%s, %s)", (channel_of(NAME), message.decode()))

    def flood(self, count: int) -> None:
        self._database.execute(
            f"select pg_notify('{channel_of(NAME)}', 'no. ' || i) from generate_series(1, {count}) i"
        )

    @contextlib.contextmanager
    def counted(self) -> Iterator[Callable[[], int]]:
        with contextlib.closing(psycopg2.connect(self._database.url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            cursor.execute(f'listen "{channel_of(NAME)}"')

            def count() -> int:
                connection.poll()
                return len(connection.notifies)

            yield count

    def cut_listeners(self) -> None:
        assert self._database.cut("LISTEN%")

    def cut_speakers(self) -> None:
        assert self._database.cut("%pg_notify%")


class Process:
    """A process with its bus: when its listener was called, and whether it was deaf then."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.calls: list[float] = []
        self.deaf_calls: list[bool] = []
        bus.listeners.append(self._note)

    def _note(self) -> None:
        self.calls.append(time.monotonic())
        self.deaf_calls.append(self.bus.is_deaf)

    def forget(self) -> None:
        self.calls.clear()
        self.deaf_calls.clear()

    def is_calm(self) -> bool:
        return bool(self.calls) and not self.bus.is_deaf and time.monotonic() - self.calls[-1] > CALM


@contextlib.asynccontextmanager
async def processes(*opened: Bus) -> AsyncIterator[list[Process]]:
    """Processes that hear each other, and whose first rings are over."""
    async with contextlib.AsyncExitStack() as stack:
        found = [Process(bus) for bus in opened]
        for process in found:
            await stack.enter_async_context(process.bus)
        await calm(found)
        yield found


async def calm(found: list[Process]) -> None:
    """Wait until each has been called since it was looked at last, and no more calls come; then forget them."""
    await eventually(lambda: all(process.is_calm() for process in found))
    for process in found:
        process.forget()


def bus_of(carrier: Carrier, name: str = NAME, port: int | None = None) -> Bus:
    return open_bus(*carrier.urls(port), name)


@pytest.fixture(params=["redis", "postgres"])
def carrier(request: pytest.FixtureRequest) -> Carrier:
    if request.param == "redis":
        return OnRedis(request.getfixturevalue("redis_server"))
    return OnPostgres(request.getfixturevalue("postgres"))


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
    """What the bus has logged, as it comes."""
    found: list[str] = []
    caplog.set_level("INFO", logger="rasa_handoff.store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caplog.handler, "emit", lambda record: found.append(record.getMessage()))
        yield found


async def test_a_ring_reaches_the_others_and_not_the_process_itself(carrier: Carrier) -> None:
    async with processes(bus_of(carrier), bus_of(carrier), bus_of(carrier)) as (first, second, third):
        first.bus.ring()
        await eventually(lambda: second.calls and third.calls, seconds=1)
        second.bus.ring()  # behind the first's, which has come back to it by then
        await eventually(lambda: first.calls and len(third.calls) == 2, seconds=1)
        assert [len(one.calls) for one in (first, second, third)] == [1, 1, 2]


async def test_processes_of_their_own_ring_each_other_and_end_without_a_word(carrier: Carrier) -> None:
    async with processes(bus_of(carrier)) as (here,):
        urls = [url or "" for url in carrier.urls()]
        other = await asyncio.create_subprocess_exec(
            *(sys.executable, "-W", "error", "-c", OTHER, *urls, NAME),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert other.stdin is not None
        assert other.stdout is not None
        assert await within(other.stdout.readline(), 20) == b"look\n"  # it hears
        await calm([here])
        here.bus.ring()
        assert await within(other.stdout.readline(), 3) == b"look\n"
        other.stdin.write(b"ring\n")
        await eventually(lambda: here.calls, seconds=3)
        _, complaints = await within(other.communicate(b""), 20)
        assert (other.returncode, complaints) == (0, b"")


async def test_many_rings_are_few_messages(carrier: Carrier) -> None:
    async with processes(bus_of(carrier), bus_of(carrier)) as (here, there):
        with carrier.counted() as sent:
            begun = time.monotonic()
            while time.monotonic() < begun + 0.5:
                here.bus.ring()
                await asyncio.sleep(0)
            await eventually(there.is_calm)
            assert 5 < sent() <= (time.monotonic() - begun) * (200 + 2 * 2) + 4  # with the heartbeats of both
        there.forget()
        begun = time.monotonic()
        for _ in range(1_000):
            here.bus.ring()
        await eventually(lambda: there.calls, seconds=1)
        assert there.calls[0] - begun < 0.1 * slowness()
        await eventually(there.is_calm)
        assert len(there.calls) <= 2


async def test_what_another_system_rings_is_not_heard(carrier: Carrier) -> None:
    async with contextlib.AsyncExitStack() as stack:
        here, there = await stack.enter_async_context(processes(bus_of(carrier), bus_of(carrier)))
        others = [bus_of(carrier, "another system") for _ in range(2)]
        other, another = await stack.enter_async_context(processes(*others))
        other.bus.ring()
        await eventually(lambda: another.calls, seconds=1)
        here.bus.ring()
        await eventually(lambda: there.calls, seconds=1)
        assert [len(one.calls) for one in (here, there, other, another)] == [0, 1, 0, 1]


async def test_whatever_somebody_sends_is_a_ring_at_most(carrier: Carrier, lines: list[str]) -> None:
    messages = [b"", b"?", b"beat " + b"9" * 5_000, b"ring", "größer als du".encode()]
    if isinstance(carrier, OnRedis):
        messages += [b"\xff\xfe\0", b"*3\r\n$7\r\nmessage\r\n", b"beat " + b"\xff" * 500_000]
    async with processes(bus_of(carrier)) as (here,):
        for message in messages:
            carrier.send(message)
            await eventually(lambda: here.calls, seconds=1)
            assert len(here.calls) == 1, message
            here.forget()
        carrier.send(b"beat of another process", b"beat ")
        carrier.send(b"ring")
        await eventually(lambda: here.calls, seconds=1)
        assert len(here.calls) == 1
    assert lines == []


async def test_a_flood_leaves_the_event_loop_to_others(carrier: Carrier) -> None:
    async with processes(bus_of(carrier), bus_of(carrier)) as (here, there):
        begun, longest = time.monotonic(), 0.0
        flood = asyncio.create_task(asyncio.to_thread(carrier.flood, 20_000))
        while not flood.done() or not here.is_calm():
            before = time.monotonic()
            await asyncio.sleep(0)
            longest = max(longest, time.monotonic() - before)
        await flood
        assert longest < 0.2 * slowness()
        assert len(here.calls) <= (time.monotonic() - begun) * 200 + 2
        await calm([there])
        here.bus.ring()
        await eventually(lambda: there.calls, seconds=3)


async def test_a_listener_that_fails_keeps_nobody_from_looking(carrier: Carrier, lines: list[str]) -> None:
    async with processes(bus_of(carrier), bus_of(carrier)) as (here, there):
        there.bus.listeners.insert(0, lambda: [][0])
        for _ in range(2):
            here.bus.ring()
            await eventually(lambda: there.calls, seconds=1)
            there.forget()
    assert set(lines) == {"A listener of the bus failed; the others are called."}


async def test_a_lost_subscription_is_made_again_and_what_was_missed_is_looked_at(
    carrier: Carrier, lines: list[str]
) -> None:
    async with processes(bus_of(carrier), bus_of(carrier)) as (here, there):
        carrier.cut_listeners()
        here.bus.ring()
        await eventually(lambda: there.calls, seconds=3)
        await calm([here, there])
        here.bus.ring()
        await eventually(lambda: there.calls, seconds=1)
    assert lines == []


async def test_a_ring_is_sent_again_when_the_connection_for_it_is_lost(carrier: Carrier) -> None:
    async with processes(bus_of(carrier), bus_of(carrier)) as (here, there):
        carrier.cut_speakers()
        here.bus.ring()
        await eventually(lambda: there.calls, seconds=3)
        await calm([here, there])
        there.bus.ring()
        await eventually(lambda: here.calls, seconds=1)


async def test_huge_messages_end_nothing_and_are_not_kept(redis_server: RedisServer) -> None:
    """Redis ends subscribers who have more than 32 MB to read; what is smaller is read."""
    carrier = OnRedis(redis_server)
    async with processes(bus_of(carrier), bus_of(carrier)) as (here, there):
        before = resident()
        for megabytes in (33, 31, 33):
            await asyncio.to_thread(carrier.send_megabytes, megabytes)
            carrier.cut_listeners()
            await asyncio.to_thread(carrier.send_megabytes, megabytes)
            here.bus.ring()
            await eventually(lambda: there.calls, seconds=3)
            await calm([here, there])
            here.bus.ring()
            await eventually(lambda: there.calls, seconds=1)
            there.forget()
        await eventually(lambda: resident() < before + 33 * 1024)


def resident() -> int:
    """Return the kilobytes of memory that this process has."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


@pytest.mark.parametrize("trouble", ["stopped", "away"])
async def test_while_nothing_comes_it_looks_each_second_and_then_goes_on(
    carrier: Carrier, trouble: str, lines: list[str]
) -> None:
    async with processes(bus_of(carrier)) as (here,):
        with getattr(carrier, trouble)():
            begun = time.monotonic()
            await eventually(lambda: True in here.deaf_calls, seconds=3)
            assert time.monotonic() - begun < 3 * slowness()
            await eventually(lambda: here.deaf_calls.count(True) == 4, seconds=5)
        await eventually(lambda: False in here.deaf_calls)
        await eventually(lambda: len(lines) == 2)
        deaf = [at for at, is_deaf in zip(here.calls, here.deaf_calls, strict=True) if is_deaf]
        assert min(after - before for before, after in itertools.pairwise(deaf)) > 0.7
        assert here.deaf_calls.count(False) == 1
        assert "up to three seconds late" in lines[0]
        assert lines[1].endswith("carries messages again.")


async def test_a_bus_that_comes_and_goes_is_two_lines(carrier: Carrier, lines: list[str]) -> None:
    async with processes(bus_of(carrier)) as (here,):
        for _ in range(3):
            with carrier.stopped():
                await eventually(lambda: here.bus.is_deaf)
            await eventually(lambda: not here.bus.is_deaf)
        await eventually(lambda: len(lines) == 2)
        assert lines[1].endswith("carries messages again.")


async def test_a_redis_that_has_become_a_replica_is_named_once_until_it_is_a_master_again(
    redis_server: RedisServer, lines: list[str]
) -> None:
    """After a failover a connection may be left on the former master: what is published there reaches nobody elsewhere."""
    async with processes(bus_of(OnRedis(redis_server))) as (here,):
        with redis_server.client() as client:
            client.execute_command("REPLICAOF", "127.0.0.1", free_port())
            await eventually(lambda: here.deaf_calls.count(True) >= 3, 10)
            assert len(lines) == 1
            assert "it is a replica" in lines[0]
            client.execute_command("REPLICAOF", "NO", "ONE")
        await eventually(lambda: len(lines) == 2, 20)
        assert lines[1].endswith("carries messages again.")


@pytest.mark.parametrize("lost", ["up", "down"])
async def test_a_half_open_connection_is_noticed_on_both_sides(carrier: Carrier, lost: str) -> None:
    async with contextlib.AsyncExitStack() as stack:
        wire = await stack.enter_async_context(Wire(f"tcp://127.0.0.1:{carrier.port}"))
        async with processes(bus_of(carrier, port=wire.port), bus_of(carrier)) as (here, there):
            setattr(wire, f"swallow_{lost}", True)
            await eventually(lambda: True in here.deaf_calls, seconds=3)
            there.bus.ring()
            looked = len(here.calls)
            await eventually(lambda: len(here.calls) > looked, seconds=1.5)
            here.bus.ring()
            assert not there.calls or lost == "down"
            there.forget()
            wire.cut()
            wire.mend()
            await eventually(lambda: False in here.deaf_calls and there.calls)
            assert not here.bus.is_deaf


async def test_a_ring_that_was_lost_on_the_way_is_sent_again(carrier: Carrier) -> None:
    async with contextlib.AsyncExitStack() as stack:
        wire = await stack.enter_async_context(Wire(f"tcp://127.0.0.1:{carrier.port}"))
        async with processes(bus_of(carrier, port=wire.port), bus_of(carrier)) as (here, there):
            wire.swallow_up = True
            here.bus.ring()
            await eventually(lambda: wire.swallowed, seconds=1)
            wire.cut()
            wire.mend()
            await eventually(lambda: there.calls, seconds=3)


@pytest.mark.parametrize("latest", ["LISTEN", "SELECT pg_notify"])
async def test_a_connection_that_stays_mute_is_given_up(postgres: Database, latest: str) -> None:
    async with processes(bus_of(OnPostgres(postgres))) as (here,):
        like = f"query like '{latest}%{channel_of(NAME)}%'"
        (backend,) = await eventually(lambda: postgres.execute(f"select pid from pg_stat_activity where {like}"))
        os.kill(backend[0], signal.SIGSTOP)
        try:
            await eventually(lambda: True in here.deaf_calls, seconds=3)
            await eventually(lambda: not here.bus.is_deaf)
        finally:
            os.kill(backend[0], signal.SIGCONT)


async def test_a_process_that_was_busy_is_not_deaf(carrier: Carrier, lines: list[str]) -> None:
    async with processes(bus_of(carrier), bus_of(carrier)) as (here, there):
        threading.Event().wait(2.5)  # holds the event loop
        here.bus.ring()
        await eventually(lambda: there.calls, seconds=1)
        await eventually(there.is_calm)
        assert not here.calls
        assert len(there.calls) == 1
    assert lines == []


async def test_the_last_ring_arrives(carrier: Carrier) -> None:
    async with processes(bus_of(carrier)) as (here,):
        async with processes(bus_of(carrier)) as (there,):
            await calm([here])
            there.bus.ring()
        await eventually(lambda: here.calls, seconds=1)


@pytest.mark.parametrize("is_deaf", [False, True], ids=["at once", "deaf"])
async def test_it_ends_soon_while_the_server_is_stopped(carrier: Carrier, is_deaf: bool) -> None:
    async with contextlib.AsyncExitStack() as stack:
        (here,) = await stack.enter_async_context(processes(bus_of(carrier)))
        with carrier.stopped():
            await eventually(lambda: here.bus.is_deaf is is_deaf)
            here.bus.ring()
            begun = time.monotonic()
            await stack.aclose()
            assert time.monotonic() - begun < 1.5 * slowness()
            assert asyncio.all_tasks() == {asyncio.current_task()}
        await eventually(lambda: "bus" not in [thread.name for thread in threading.enumerate()])
        here.bus.ring()  # after the end: nothing


async def test_a_start_while_the_server_is_stopped_is_deaf_until_it_answers(carrier: Carrier, lines: list[str]) -> None:
    here = Process(bus_of(carrier))
    with carrier.stopped():
        async with here.bus:
            await eventually(lambda: True in here.deaf_calls, seconds=3)
    assert len(lines) == 1
    async with processes(bus_of(carrier), here.bus) as (there, _):
        there.bus.ring()
        await eventually(lambda: here.calls, seconds=1)


async def test_a_pooler_that_hands_out_connections_by_transaction_is_named(
    postgres: Database, lines: list[str]
) -> None:
    """The process isn't taken in by its own notifications, which would come back."""
    async with TransactionPooler(postgres.server.port) as pooler:
        here = Process(open_bus(None, postgres.url_at(pooler.port), NAME))
        async with here.bus:
            await eventually(lambda: here.deaf_calls.count(True) == 2, seconds=5)
    assert False not in here.deaf_calls
    (line,) = lines
    assert "a pooler hands out connections by transaction" in line
    assert "PgBouncer" in line


async def test_psycopg_carries_it_where_only_that_is_installed(
    postgres: Database, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("psycopg")
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    carrier = OnPostgres(postgres, "postgresql+psycopg")
    async with processes(bus_of(carrier), bus_of(carrier)) as (here, there):
        here.bus.ring()
        await eventually(lambda: there.calls, seconds=1)
        await calm([there])
        carrier.flood(2_000)
        await calm([here, there])
        for cut in (carrier.cut_listeners, carrier.cut_speakers):
            cut()
            here.bus.ring()
            await eventually(lambda: there.calls, seconds=3)
            await calm([here, there])
        assert lines == []
        with postgres.server.stopped():
            await eventually(lambda: here.bus.is_deaf and there.bus.is_deaf, seconds=3)
        await calm([here, there])


async def test_a_wrong_password_is_one_line_without_it(redis_server: RedisServer, lines: list[str]) -> None:
    with redis_server.client() as client:
        client.config_set("requirepass", "richtig")
    here = Process(open_bus(f"redis://:geheim@127.0.0.1:{redis_server.port}", "sqlite:///unused.db", NAME))
    async with here.bus:
        await eventually(lambda: len(here.calls) == 2, seconds=5)
        assert here.deaf_calls == [True, True]
    (line,) = lines
    assert "redis://:***@127.0.0.1" in line
    assert "invalid username-password pair" in line
    assert "geheim" not in line


class RefusedLate(bus.BusLine):
    """A connection that is refused just as it is given up."""

    def __init__(self, begun: asyncio.Event) -> None:
        self.begun = begun

    async def open(self) -> None:
        self.begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ConnectionError("refused") from None

    async def read(self) -> None:
        raise NotImplementedError

    async def send(self, message: bytes) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        pass


async def test_a_connection_that_is_refused_as_it_is_given_up_is_no_error(lines: list[str]) -> None:
    begun = asyncio.Event()
    async with Bus(bus.Carrier("nowhere", "", lambda _: RefusedLate(begun))):
        await eventually(begun.is_set)
    gc.collect()
    assert not [line for line in lines if "never retrieved" in line]


async def test_a_wrong_user_of_postgres_is_one_line_without_the_password(postgres: Database, lines: list[str]) -> None:
    here = Process(open_bus(None, postgres.url.replace("postgres@", "thabo:geheim@"), NAME))
    async with here.bus:
        await eventually(lambda: len(here.calls) == 2, seconds=5)
    (line,) = lines
    assert 'role "thabo" does not exist' in line
    assert "geheim" not in line


@pytest.mark.parametrize(
    ("bus_url", "database_url", "why"),
    [
        ("http://:geheim@here", "sqlite://", "the bus is a Redis"),
        ("here:6379", "sqlite://", "the bus is a Redis"),
        ("redis://:geheim/er@here", "sqlite://", "in a name or password @ is written as %40, and / as %2F"),
        ("redis://:geheim@here?db=no", "sqlite://", "a port or an option isn't valid"),
        ("redis://:geheim@here?nonsense=1", "sqlite://", "nonsense"),
        (None, "sqlite:///here.db", "needs a Postgres, or a Redis"),
        (None, "postgresql://thabo:geh@im@here/x", "isn't an address of a database"),
        (None, "postgresql+nonsense://thabo:geheim@here/x", "nonsense"),
    ],
)
def test_a_url_that_cannot_be_used_is_one_sentence_without_its_password(
    bus_url: str | None, database_url: str, why: str
) -> None:
    with pytest.raises(StoreError) as problem:
        open_bus(bus_url, database_url, NAME)
    assert why in str(problem.value)
    assert "\n" not in str(problem.value)
    assert "geh" not in str(problem.value)


@pytest.mark.parametrize(
    ("library", "urls", "remedy"),
    [
        ("redis", ("redis://:geheim@here", "sqlite://"), "pip install 'rasa-handoff[redis]'"),
        ("psycopg2", (None, "postgresql://thabo:geheim@here/x"), "psycopg2"),
    ],
)
def test_a_library_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, library: str, urls: tuple[str | None, str], remedy: str
) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.delitem(sys.modules, "rasa_handoff.store.redis_bus", raising=False)
    with pytest.raises(StoreError) as problem:
        open_bus(*urls, NAME)
    assert remedy in str(problem.value)
    assert "geheim" not in str(problem.value)


def test_a_bus_beside_a_database_of_one_process_is_refused(tmp_path: Path) -> None:
    alone = relay_store(f"sqlite:///{tmp_path / 'relay.db'}")
    check_bus(None, alone)
    with pytest.raises(StoreError, match=r"'redis://:\*\*\*@here' is for processes that share a Postgres database"):
        check_bus("redis://:s3cret@here", alone)


def test_a_bus_that_cant_be_used_is_refused_before_the_start() -> None:
    url = "postgresql://relay@127.0.0.1:9/relay"
    shared = RelayStore(url, repository.metadata, repository.SIDE, repository.SCHEMA, shares=True)
    check_bus("redis://127.0.0.1:9", shared)
    with pytest.raises(StoreError, match="nonsense"):
        check_bus("nonsense", shared)
