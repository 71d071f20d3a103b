"""What a platform's channel remembers: after a restart, between processes, while its database is away, and not for ever."""

import asyncio
import contextlib
import json
import sqlite3
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from rasa_handoff.platforms import memory_tables, platform_calls
from rasa_handoff.platforms.memory import Memory, OpenTurn
from rasa_handoff.testing.waiting import eventually, within
from tests.support.postgres_server import Database

HERE = "4711"


@contextlib.asynccontextmanager
async def opened(url: str, channel: str = "kommunicate") -> AsyncIterator[Memory]:
    memory = Memory(channel, url)
    await memory.open()
    try:
        yield memory
    finally:
        await memory.close()


@pytest.fixture
async def memory(database_url: str) -> AsyncIterator[Memory]:
    async with opened(database_url) as one:
        yield one


@pytest.fixture
async def two(postgres: Database) -> AsyncIterator[tuple[Memory, Memory]]:
    """The memories of two processes that share a database."""
    async with (
        opened(f"{postgres.url}?application_name=one") as one,
        opened(f"{postgres.url}?application_name=two") as other,
    ):
        yield one, other


async def answered(memory: Memory, key: str, says: str, conversation: str = HERE) -> list[str]:
    """Answer a call with the late messages that wait and what the bot says; or with the answer it had."""
    async with memory.turn(conversation, key) as turn:
        if turn.known is not None:
            return list(json.loads(turn.known))
        answer = [*(json.loads(late) for late in turn.late), says]
        await turn.finish(answer)
    return answer


async def test_a_repeated_call_has_its_answer_after_a_restart_too(database_url: str) -> None:
    async with opened(database_url) as memory:
        assert await answered(memory, "m1", "Hello.") == ["Hello."]
        assert await answered(memory, "m1", "Hello again.") == ["Hello."]
    async with opened(database_url) as memory:
        assert await answered(memory, "m1", "Hello again.") == ["Hello."]
        assert await answered(memory, "m2", "Bye.") == ["Bye."]


async def test_an_answer_that_must_not_be_repeated_later_is_forgotten_with_the_next_one(memory: Memory) -> None:
    async with memory.turn(HERE, "m1") as turn:
        await turn.finish(["Handed over."], while_last=True)
    assert await answered(memory, "m1", "Hello.") == ["Handed over."]
    await answered(memory, "m2", "Hello.")
    assert await answered(memory, "m1", "Hello again.") == ["Hello again."]


async def test_channels_and_conversations_stay_apart(database_url: str) -> None:
    async with opened(database_url) as kommunicate, opened(database_url, "liveperson") as liveperson:
        await kommunicate.keep_late(HERE, ["Welcome."])
        assert await answered(liveperson, "m1", "Hello.") == ["Hello."]
        assert await answered(kommunicate, "m1", "Hello.", "4712") == ["Hello."]
        assert await answered(kommunicate, "m1", "Hi.") == ["Welcome.", "Hi."]


async def test_a_call_without_a_key_or_with_a_long_one_is_answered(memory: Memory) -> None:
    async with memory.turn(HERE) as turn:
        await turn.finish(["Hello."])
    async with memory.turn(HERE) as turn:
        assert turn.known is None
    long = "m" * 1_000
    assert await answered(memory, long, "Hello.") == await answered(memory, long, "Hello again.") == ["Hello."]


async def test_late_messages_outlive_a_restart_and_are_given_once(database_url: str) -> None:
    async with opened(database_url) as memory:
        async with memory.turn(HERE, "m1") as turn:
            await turn.finish(["Wait."], ["Here it is.", "And that."])
        await memory.keep_late(HERE, ["A reminder."])
    async with opened(database_url) as memory:
        given = ["Here it is.", "And that.", "A reminder.", "Hello."]
        assert await answered(memory, "m2", "Hello.") == given
        assert await answered(memory, "m2", "Hello again.") == given
        assert await answered(memory, "m3", "Hello.") == ["Hello."]


async def test_a_turn_that_fails_takes_nothing_and_is_run_again(memory: Memory) -> None:
    await memory.keep_late(HERE, ["Welcome."])
    with contextlib.suppress(ZeroDivisionError):
        async with memory.turn(HERE, "m1") as turn:
            assert turn.late == ['"Welcome."']
            raise ZeroDivisionError
    assert await answered(memory, "m1", "Hello.") == ["Welcome.", "Hello."]


async def test_what_was_given_before_the_end_of_a_turn_is_given_once(memory: Memory) -> None:
    await memory.keep_late(HERE, ["Welcome."])
    async with memory.turn(HERE, "m1") as turn:
        await turn.give(["Welcome.", "Wait."])
        await turn.finish(["Welcome.", "Wait."], ["Here it is."])
    assert await answered(memory, "m1", "Hello.") == ["Welcome.", "Wait."]
    assert await answered(memory, "m2", "Hello.") == ["Here it is.", "Hello."]


async def test_a_call_that_the_end_of_its_process_cut_off_is_answered_by_the_next_one(database_url: str) -> None:
    async with opened(database_url) as memory:
        await memory.keep_late(HERE, ["Welcome."])
        await cut_off(memory, "m1")
    async with opened(database_url) as memory:
        assert await answered(memory, "m1", "Hello.") == ["Welcome.", "Hello."]


async def cut_off(memory: Memory, key: str) -> None:
    """Begin a turn and leave it as a killed process does."""
    turn = memory.turn(HERE, key)
    began: OpenTurn = await turn.__aenter__()
    began._over = True
    await turn.__aexit__(None, None, None)


async def test_late_messages_that_were_being_sent_go_out_with_the_next_answer(database_url: str) -> None:
    async with opened(database_url) as memory:
        sending = asyncio.Event()

        async def hangs(_: list[Any]) -> list[Any]:
            sending.set()
            await asyncio.Event().wait()
            return []

        pushing = asyncio.create_task(memory.push_late(HERE, ["A reminder."], hangs))
        await sending.wait()
        assert await answered(memory, "m1", "Hello.") == ["Hello."], "it is on its way"
        pushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await pushing
    async with opened(database_url) as memory:
        assert await answered(memory, "m2", "Hello.") == ["A reminder.", "Hello."]


async def test_what_could_not_be_sent_waits(memory: Memory) -> None:
    async def refuses(messages: list[Any]) -> list[Any]:
        return messages[1:]

    async def fails(_: list[Any]) -> list[Any]:
        raise ZeroDivisionError

    await memory.push_late(HERE, ["one", "two"], refuses)
    await memory.push_late(HERE, ["three"], fails)
    assert await answered(memory, "m1", "Hello.") == ["two", "three", "Hello."]


async def test_a_context_outlives_a_restart(database_url: str) -> None:
    async with opened(database_url) as memory:
        assert await memory.context("c-1") is None
        assert await memory.context("c-1") == {}, "asked for once"
        assert await memory.create_context("c-1", {"sdes": {"a": 1}})
        assert not await memory.create_context("c-1", {"sdes": {"a": 2}})
    async with opened(database_url) as memory:
        assert await memory.context("c-1") == {"sdes": {"a": 2}}


async def test_of_late_messages_the_newest_wait(memory: Memory, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(memory_tables.MOST_LATE + 5):
        await memory.keep_late(HERE, [str(number)])
    assert (await answered(memory, "m1", "Hello."))[0] == "5"
    assert "late messages of de650d61 are dropped" in caplog.text


async def test_of_answers_the_last_one_is_kept_longest_and_none_for_ever(memory: Memory) -> None:
    for key in ("m1", "m2", "m3"):
        await answered(memory, key, "Hello.")
    await make_older(memory, platform_calls.SAME_ANSWER_SECONDS + 1)
    await answered(memory, "m4", "Hello.")
    assert await kept(memory, memory_tables.calls) == 1
    await memory.keep_late(HERE, ["Welcome."])
    await memory.create_context("c-1", {})
    await make_older(memory, 31 * 86_400.0)
    await memory.database._retention.check()
    assert [await kept(memory, table) for table in (memory_tables.calls, memory_tables.waiting)] == [0, 0]
    assert await kept(memory, memory_tables.contexts) == 0


async def make_older(memory: Memory, seconds: float) -> None:
    def work(connection: Any) -> None:
        for table in (memory_tables.calls, memory_tables.waiting, memory_tables.contexts):
            connection.execute(update(table).values(at=table.c.at - seconds))

    await memory.database.write(work)
    memory.database._retention._next = 0.0


async def kept(memory: Memory, table: Any) -> int:
    query = select(func.count()).select_from(table)
    return int(await memory.database.write(lambda connection: connection.execute(query).scalar_one()))


# Two processes


async def test_a_call_that_is_repeated_at_another_process_waits_and_has_the_same_answer(
    two: tuple[Memory, Memory],
) -> None:
    one, other = two
    async with one.turn(HERE, "m1") as turn:
        repeated = asyncio.create_task(answered(other, "m1", "Hello again."))
        next_one = asyncio.create_task(answered(other, "m2", "Bye."))
        await eventually(lambda: is_drawn(one, "m2"))
        assert not repeated.done()
        await turn.finish(["Hello."], ["Late."])
    assert await within(repeated, 5) == ["Hello."]
    assert await within(next_one, 5) == ["Late.", "Bye."]


async def is_drawn(memory: Memory, key: str) -> bool:
    query = select(memory_tables.calls.c.number).where(memory_tables.calls.c.key == key)
    return await memory.database.write(lambda connection: connection.execute(query).first()) is not None


async def test_calls_have_their_turns_in_the_order_in_which_they_came(two: tuple[Memory, Memory]) -> None:
    one, other = two
    order: list[str] = []

    async def call(memory: Memory, key: str) -> None:
        async with memory.turn(HERE, key) as turn:
            order.append(key)
            await turn.finish([])

    tasks = []
    async with one.turn(HERE, "m0") as turn:
        for memory, key in ((one, "m1"), (other, "m2"), (one, "m3"), (other, "m4"), (other, "m5"), (one, "m6")):
            tasks.append(asyncio.create_task(call(memory, key)))
            await eventually(partial(is_drawn, one, key))
        await turn.finish([])
    await within(asyncio.gather(*tasks), 10)
    assert order == ["m1", "m2", "m3", "m4", "m5", "m6"]


async def test_one_turn_at_a_time_and_one_for_each_message_whatever_comes_at_once(two: tuple[Memory, Memory]) -> None:
    turns: dict[str, list[str]] = {}
    under_way: set[str] = set()

    async def call(memory: Memory, conversation: str, key: str) -> list[str]:
        async with memory.turn(conversation, key) as turn:
            if turn.known is not None:
                return list(json.loads(turn.known))
            assert conversation not in under_way
            under_way.add(conversation)
            turns.setdefault(conversation, []).append(key)
            await asyncio.sleep(0)
            under_way.remove(conversation)
            await turn.finish([key])
            return [key]

    conversations, keys = [f"c-{number}" for number in range(5)], [f"m{number}" for number in range(8)]
    wanted = [(memory, one, key) for one in conversations for key in keys for memory in (*two, *two)]
    given = await within(asyncio.gather(*(call(*each) for each in wanted)), 60)
    assert given == [[key] for _, _, key in wanted]
    assert {one: sorted(found) for one, found in turns.items()} == dict.fromkeys(conversations, keys)


async def test_what_another_process_keeps_is_given_by_this_one(two: tuple[Memory, Memory]) -> None:
    one, other = two
    await one.keep_late(HERE, ["A reminder."])
    assert await one.create_context("c-1", {"sdes": {"a": 1}})
    assert await other.context("c-1") == {"sdes": {"a": 1}}
    assert await answered(other, "m1", "Hello.") == ["A reminder.", "Hello."]
    assert await answered(one, "m1", "Hello again.") == ["A reminder.", "Hello."]
    number = await one.keep_change(HERE, "{}")
    assert [change.number for change in await changes_at(other)] == [number]
    assert await other.adopt_changes() == [], "the other process is at work on it"


async def end_without_a_word(memory: Memory) -> None:
    """Have a process end as ``kill -9`` ends it, a while ago: its heart has stopped, and its row is old."""
    membership = memory.database._membership
    assert membership._task is not None
    membership._task.cancel()
    table, process = memory_tables.processes.table, memory.database.process
    old = update(table).where(table.c.id == process).values(seen_at=table.c.seen_at - 60)
    await memory.database.store.write(lambda connection: connection.execute(old))


async def hangs(_: list[Any]) -> list[Any]:
    await asyncio.Event().wait()
    return []


async def test_what_a_process_was_doing_when_it_ended_is_taken_over(two: tuple[Memory, Memory]) -> None:
    one, other = two
    await one.keep_late(HERE, ["Welcome."])
    pushed = asyncio.create_task(one.push_late(HERE, ["A reminder."], hangs))
    number = await one.keep_change("4712", "{}")
    async with one.turn(HERE, "m1"):
        repeated = asyncio.create_task(answered(other, "m1", "Hello."))
        later = asyncio.create_task(answered(other, "m2", "Bye."))
        await eventually(lambda: is_drawn(one, "m2"))
        await end_without_a_word(one)
        assert await within(repeated, 10) == ["Welcome.", "A reminder.", "Hello."]
        assert await within(later, 5) == ["Bye."]
    assert [change.number for change in await other.adopt_changes()] == [number]
    pushed.cancel()


async def test_a_copy_that_waits_goes_before_what_came_later_when_its_process_has_ended(
    two: tuple[Memory, Memory],
) -> None:
    one, other = two
    order: list[str] = []

    async def call(key: str) -> None:
        async with other.turn(HERE, key) as turn:
            order.append(key)
            await turn.finish([])

    async with one.turn(HERE, "m1"):
        calls = []
        for key in ("m2", "m3", "m1", "m1"):
            calls.append(asyncio.create_task(call(key)))
            await eventually(partial(is_drawn, one, key))
        await end_without_a_word(one)
        await within(asyncio.gather(*calls), 15)
    assert order[0] == "m1"
    assert order.index("m2") < order.index("m3")


async def test_who_no_longer_waits_holds_up_nobody(two: tuple[Memory, Memory]) -> None:
    one, other = two

    async def gives_up(memory: Memory, key: str) -> None:
        waits = asyncio.create_task(answered(memory, key, "Hello."))
        await eventually(partial(is_drawn, one, key))
        await eventually(lambda: not memory.database.store._waiting)
        waits.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waits

    async with one.turn(HERE, "m1") as turn:
        for memory, key in ((one, "m2"), (other, "m3"), (other, "m1"), (one, "m1")):
            await gives_up(memory, key)
        await turn.finish(["Hello."])
    assert await within(answered(other, "m4", "Bye."), 5) == ["Bye."]
    assert await within(answered(one, "m2", "Bye."), 5) == ["Bye."]
    assert await within(answered(one, "m1", "Bye."), 5) == ["Hello."]


async def test_a_process_that_stood_still_changes_nothing_of_what_was_taken_over(two: tuple[Memory, Memory]) -> None:
    one, other = two
    async with one.turn(HERE, "m1") as turn:
        await end_without_a_word(one)
        assert await within(answered(other, "m1", "Hello."), 10) == ["Hello."]
        async with other.turn(HERE, "m2") as others:
            await turn.finish(["It took me long."], ["Late."])
            third = asyncio.create_task(answered(other, "m3", "Bye."))
            await eventually(lambda: is_drawn(one, "m3"))
            assert not third.done(), "the turn is the other process's"
            await others.finish(["Hi."])
        assert await within(third, 5) == ["Late.", "Bye."]
    assert await answered(other, "m1", "Hello again.") == ["Hello."]


async def changes_at(memory: Memory) -> list[Any]:
    async with memory.turn(HERE) as turn:
        return turn.changes


# While the database is away


@contextlib.contextmanager
def locked(file: Path) -> Any:
    """Lock a SQLite file, so that nobody else can write."""
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.fixture(params=["sqlite", "postgres"])
async def away(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Memory, Callable[[], Any]]]:
    """A memory, and what keeps its database away within a ``with`` block."""
    monkeypatch.setattr("rasa_handoff.store.engine.ANSWER_SECONDS", 0.5)
    monkeypatch.setattr("rasa_handoff.store.engine.BUSY_SECONDS", 0.2)
    if request.param == "sqlite":
        url, stop = f"sqlite:///{tmp_path / 'x.db'}", lambda: locked(tmp_path / "x.db")
    else:
        postgres: Database = request.getfixturevalue("postgres")
        url, stop = postgres.url, postgres.server.stopped
    async with opened(url) as memory:
        yield memory, stop


async def test_while_it_is_away_turns_go_on_and_what_they_leave_is_written_later(
    away: tuple[Memory, Callable[[], Any]], caplog: pytest.LogCaptureFixture
) -> None:
    memory, stop = away
    with stop():
        assert await within(answered(memory, "m1", "Hello."), 10) == ["Hello."]
        async with memory.turn(HERE, "m2") as turn:
            await turn.finish(["Wait."], ["Here it is."])
        await memory.keep_late(HERE, ["A reminder."])
        assert await memory.create_context("c-1", {"sdes": {"a": 1}})
        assert await memory.context("c-1") == {"sdes": {"a": 1}}
        assert await memory.context("c-2") == {}, "nobody knows whether it was created"
    assert caplog.text.count("can't be used now") == 1
    assert await answered(memory, "m2", "Hello again.") == ["Wait."]
    assert await answered(memory, "m3", "Hello.") == ["Here it is.", "A reminder.", "Hello."]
    assert await answered(memory, "m1", "Hello again.") == ["Hello."]
    assert await memory.context("c-1") == {"sdes": {"a": 1}}
    assert memory._contexts == {}


async def test_it_is_written_without_another_call_too(away: tuple[Memory, Callable[[], Any]]) -> None:
    memory, stop = away
    with stop():
        await memory.keep_late(HERE, ["A reminder."])
    await eventually(lambda: not memory.database._kept)
    assert await kept(memory, memory_tables.waiting) == 1


async def test_a_turn_that_began_before_is_finished_after_it(away: tuple[Memory, Callable[[], Any]]) -> None:
    memory, stop = away
    async with memory.turn(HERE, "m1") as turn:
        with stop():
            await turn.finish(["Hello."], ["Late."])
    assert await answered(memory, "m2", "Bye.") == ["Late.", "Bye."]
