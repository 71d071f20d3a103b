"""Postgres stopped, cut, locked, half-open: refused within seconds, what was answered is true, it goes on by itself."""

import asyncio
import threading
from typing import Any

import pytest
from sqlalchemy import Column, MetaData, String, Table, insert, text
from sqlalchemy.exc import OperationalError, TimeoutError

from rasa_handoff.protocol.errors import StoreError, StoreUnavailable
from rasa_handoff.relay.repository import RelayStore
from rasa_handoff.store.engine import Store
from rasa_handoff.store.troubles import TROUBLES
from rasa_handoff.testing.waiting import eventually
from tests.support.postgres_server import Database

QUICKLY = 8.0
"""Seconds: two limits of the store one after the other, on a busy machine."""
WITH_REAL_LIMITS = (
    "test_while_it_is_stopped_words_are_refused_within_seconds_and_then_taken",
    "test_a_table_that_somebody_holds",
)


@pytest.fixture(autouse=True)
def _impatient(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time that the store waits for an answer, but for the tests that show its real limits."""
    if not request.node.name.startswith(WITH_REAL_LIMITS):
        monkeypatch.setattr("rasa_handoff.store.engine.ANSWER_SECONDS", 1.0)


class Words:
    """A store with one table, in which a word may stand once."""

    def __init__(self, url: str, kind: type[Store] = Store) -> None:
        metadata = MetaData()
        self.table = Table("word", metadata, Column("word", String(40), primary_key=True))
        self.store = kind(url, metadata, "relay", 1)

    async def say(self, word: str) -> None:
        await self.store.write(lambda connection: connection.execute(insert(self.table).values(word=word)))

    async def said(self) -> list[str]:
        query = text("select word from word order by word")
        return list(await self.store.write(lambda connection: connection.execute(query).scalars().all()))


async def answers(*tried: Any) -> list[Any]:
    """Return what each returned or raised. Fail if that takes longer than ``QUICKLY``."""
    return list(await asyncio.wait_for(asyncio.gather(*tried, return_exceptions=True), QUICKLY))


async def test_while_it_is_stopped_words_are_refused_within_seconds_and_then_taken(postgres: Database) -> None:
    words = Words(postgres.url, RelayStore)
    async with words.store:
        await words.say("a")
        with postgres.server.stopped():
            first = asyncio.create_task(answers(words.say("b"), words.say("c")))
            meanwhile = await answers(words.say("d"))
            assert [type(said) for said in (*await first, *meanwhile)] == [StoreUnavailable] * 3
            (again,) = await answers(words.say("e"))
            assert isinstance(again, StoreUnavailable)
        await words.say("f")
        assert await words.said() == ["a", "f"]


async def test_a_start_while_it_is_stopped_is_one_sentence(postgres: Database) -> None:
    words = Words(postgres.url)
    with postgres.server.stopped(), pytest.raises(StoreError, match=r"can't be opened: .*timeout expired") as problem:
        await asyncio.wait_for(words.store.__aenter__(), QUICKLY)
    assert "\n" not in str(problem.value)
    async with words.store:
        await words.say("a")


async def test_a_connection_that_ended_while_nobody_used_it_is_made_again_unnoticed(postgres: Database) -> None:
    words = Words(postgres.url)
    async with words.store:
        for word in "abc":
            await words.say(word)
            assert postgres.cut() == 1
        assert await words.said() == ["a", "b", "c"]


async def test_a_half_open_connection_is_given_up_and_its_lock_with_it(postgres: Database) -> None:
    """The old connection lives on at the server, and holds what makes us the owner."""
    async with postgres.wired() as wire:
        words = Words(postgres.url_at(wire.port))
        async with words.store:
            await words.say("a")
            wire.swallow_up = wire.swallow_down = True
            assert isinstance((await answers(words.say("b")))[0], TROUBLES)
            wire.mend()
            await eventually(lambda: _works(words, "c"))
            assert await words.said() == ["a", "c"]


@pytest.mark.parametrize("arrives", [True, False], ids=["it was committed", "it wasn't"])
async def test_a_commit_whose_answer_is_lost_is_answered_with_the_truth(postgres: Database, arrives: bool) -> None:
    """Nobody is told that their words weren't taken if they were; who comes after is refused until that is known."""
    async with postgres.wired() as wire:
        words = Words(postgres.url_at(wire.port))
        async with words.store as store:
            await words.say("a")
            commit = store._engine.dialect.do_commit

            def lose(connection: Any) -> None:
                wire.swallow_down, wire.swallow_up = True, not arrives
                store._engine.dialect.do_commit = commit
                commit(connection)

            store._engine.dialect.do_commit = lose
            unsure = asyncio.create_task(words.say("b"))
            await eventually(lambda: wire.swallow_down)
            (meanwhile,) = await answers(words.say("c"))
            assert isinstance(meanwhile, TROUBLES)
            assert not unsure.done()
            wire.mend()
            if arrives:
                await asyncio.wait_for(unsure, QUICKLY)
            else:
                with pytest.raises(TimeoutError, match="said nothing"):
                    await asyncio.wait_for(unsure, QUICKLY)
            assert await words.said() == (["a", "b"] if arrives else ["a"])


async def test_a_store_closes_although_nobody_knows_what_became_of_a_commit(postgres: Database) -> None:
    async with postgres.wired() as wire:
        words = Words(postgres.url_at(wire.port))
        async with words.store as store:
            commit = store._engine.dialect.do_commit

            def lose(connection: Any) -> None:
                wire.swallow_down = True
                commit(connection)

            store._engine.dialect.do_commit = lose
            unsure = asyncio.create_task(words.say("b"))
            await eventually(lambda: wire.swallow_down)
        assert isinstance((await answers(unsure))[0], TROUBLES)


async def test_a_table_that_somebody_holds_refuses_and_doesnt_refuse_one_by_one(postgres: Database) -> None:
    words = Words(postgres.url)
    async with words.store:
        await words.say("a")
        with postgres.locked("word"):
            refused = await answers(*(words.say(f"b{number}") for number in range(20)))
        assert {type(said) for said in refused} == {OperationalError}
        await words.say("c")
        assert await words.said() == ["a", "c"]


async def test_a_database_that_hangs_elsewhere_refuses_too_and_what_was_refused_is_never_done(
    postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Looking up its name may hang, for example, where no connection is there to be cut."""
    words = Words(postgres.url)
    async with words.store as store:
        await words.say("a")
        postgres.cut()
        dialect, goes_on = store._engine.dialect, threading.Event()
        connect = dialect.connect

        def hang(*arguments: Any, **more: Any) -> Any:
            goes_on.wait()
            return connect(*arguments, **more)

        monkeypatch.setattr(dialect, "connect", hang)
        refused = [(await answers(words.say(word)))[0] for word in ("b", "c")]
        assert [type(said) for said in refused] == [TimeoutError] * 2
        goes_on.set()
        await eventually(lambda: _works(words, "d"))
        assert await words.said() == ["a", "d"]


async def test_who_lost_the_database_to_another_process_doesnt_write(postgres: Database) -> None:
    """The right to write is the writing connection's own."""
    first, second = Words(postgres.url), Words(postgres.url)
    async with first.store:
        await first.say("a")
        postgres.cut()
        async with second.store:
            (said,) = await answers(first.say("b"))
            assert isinstance(said, TROUBLES)
            assert "in use by another process" in str(said)
            await second.say("c")
        await eventually(lambda: _works(first, "d"))
        assert await first.said() == ["a", "c", "d"]


async def _works(words: Words, word: str) -> bool:
    try:
        await words.say(word)
    except TROUBLES:
        return False
    return True


async def test_each_side_may_have_a_schema_of_one_database(postgres: Database) -> None:
    """As docs/operations.md says. The URL's other options are kept."""
    for schema in ("relay", "desk"):
        postgres.execute(f"create schema {schema}")
    url = postgres.url + "?options=-csearch_path%3D{}%20-cstatement_timeout%3D5s"
    relay = Store(url.format("relay"), MetaData(), "relay", 1)
    async with relay, Store(url.format("desk"), MetaData(), "server", 1) as desk:
        assert relay.epoch != desk.epoch
        assert await desk.write(lambda connection: connection.execute(text("show statement_timeout")).scalar()) == "5s"
        with pytest.raises(StoreError, match="in use by another process"):
            await Store(url.format("relay"), MetaData(), "relay", 1).__aenter__()
