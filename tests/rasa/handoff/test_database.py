"""The relay's database in trouble: a message is refused rather than accepted and lost, and service resumes by itself."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually, within
from tests.rasa.handoff.conftest import credentials
from tests.rasa.handoff.seen_by_rasa import all_is_told

pytestmark = [pytest.mark.usefixtures("locked_databases_fail_soon"), pytest.mark.sqlite]

NOT_TAKEN = "I'm sorry, I couldn't pass that on. Please send it again in a moment."


@contextmanager
def locked(database: Path) -> Iterator[None]:
    """Lock a SQLite file by another connection, inside the block."""
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


def _back_up(database: Path, copy: Path) -> None:
    with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)


def _restore(copy: Path, database: Path) -> None:
    for path in database.parent.glob(f"{database.name}*"):
        path.unlink()
    copy.rename(database)


async def live(rasa: RasaServer, agent: ScriptedAgent) -> str:
    """Have Thabo ask for a person, the agent take it and both talk, and return the handoff's id once nothing waits for him."""
    await eventually(lambda: rasa.channel.desk.connected)
    await rasa.texts("/execute_handoff")
    handoff_id = str((await agent.take_next())["handoff_id"])
    await eventually(lambda: rasa.channel.relay.conversation("thabo").agent)
    await rasa.texts("before")
    await agent.hears("message", text="before")
    await eventually(lambda: all_is_told(rasa))
    return handoff_id


async def test_a_locked_database_refuses_and_resumes(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path)) as rasa:
        handoff_id = await live(rasa, thandi)
        with locked(tmp_path / "relay.db"):
            for _ in range(3):
                assert await rasa.texts("while locked") == [NOT_TAKEN]
            await thandi.say(handoff_id, "said to a locked relay")
        outages = [line for line in caplog.messages if line.startswith("The relay's database can't be used now")]
        assert len(outages) == 1, "an outage is logged once, not once for each message"
        seen = await rasa.texts("after")
        await thandi.hears("message", text="after")
        texts = [data["text"] for name, data in thandi.received if name == "message" and data["speaker"] == "customer"]
        assert texts == ["before", "after"]

        async def arrived() -> bool:
            if "said to a locked relay" not in seen:
                seen.extend(await rasa.texts("and you?"))
            return "said to a locked relay" in seen

        await eventually(arrived, seconds=15)
        assert seen.count("said to a locked relay") == 1


async def test_a_full_database_refuses_and_resumes(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path)) as rasa:
        await live(rasa, thandi)
        store = rasa.channel.relay.store
        pages = await store.write(lambda connection: connection.exec_driver_sql("PRAGMA page_count").scalar())
        await store.write(lambda connection: connection.exec_driver_sql(f"PRAGMA max_page_count={pages}").scalar())
        assert await rasa.texts("x" * 20_000) == [NOT_TAKEN]
        await store.write(lambda connection: connection.exec_driver_sql("PRAGMA max_page_count=1000000").scalar())
        assert await rasa.texts("room again") == []
        await thandi.hears("message", text="room again")


async def test_a_server_set_back_to_a_backup_goes_on(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    """The copy's count is behind what the relay has heard: what is said after it isn't taken for old."""
    file, kept = tmp_path / "desk.db", tmp_path / "kept.db"
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path)) as rasa:
        handoff_id = await live(rasa, thandi)
        _back_up(file, kept)
        for text in ("one", "two", "three"):
            await thandi.say(handoff_id, text)
        received: list[str] = []

        async def come(text: str) -> bool:
            received.extend(await rasa.texts("and?"))
            return text in received

        await eventually(lambda: come("three"))  # the relay has them: what only the lost database had is lost
        await thandi.sio.disconnect()
        await desk.__aexit__(None, None, None)
        _restore(kept, file)
        await desk.__aenter__()
        await eventually(lambda: rasa.channel.desk.connected, seconds=20)
        async with ScriptedAgent(desk.url, "thandi@example.com") as again:
            await again.say(handoff_id, "after the restore", id="new")
            await eventually(lambda: come("after the restore"))
    assert [text for text in received if text in ("one", "two", "three", "after the restore")] == [
        "one", "two", "three", "after the restore",
    ]  # fmt: skip


async def test_a_server_set_back_learns_of_newer_handoffs_by_itself(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    """Nobody types: the relay hears on connecting that the copy hasn't got it."""
    file, kept = tmp_path / "desk.db", tmp_path / "kept.db"
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path)) as rasa:
        _back_up(file, kept)
        handoff_id = await live(rasa, thandi)
        await thandi.sio.disconnect()
        await desk.__aexit__(None, None, None)
        _restore(kept, file)
        await desk.__aenter__()
        async with ScriptedAgent(desk.url, "thandi@example.com") as again:
            assert (await again.take_next())["handoff_id"] == handoff_id
            seen = (await again.ask("open", handoff_id=handoff_id, after=0))["conversation"]
            assert seen["transcript"][-1]["text"] == "before"
            await again.say(handoff_id, "here again", id="new")
            await eventually(lambda: _has_received(rasa, "here again"), seconds=20)


@pytest.mark.parametrize("by_agent", [True, False])
async def test_a_relay_set_back_ends_what_has_ended(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path, by_agent: bool
) -> None:
    """The copy is of a live chat; the server tells how it ended, and the customer is with the bot again."""
    own = credentials(desk.url, tmp_path)
    async with RasaServer(small_model, tmp_path, own) as rasa:
        handoff_id = await live(rasa, thandi)
        _back_up(tmp_path / "relay.db", tmp_path / "kept.db")
        if by_agent:
            await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved")
        else:
            await rasa.texts("disconnect")
            await rasa.texts("disconnect")
        await eventually(lambda: not rasa.channel.relay.under_way)
        await eventually(lambda: _is_ended(thandi, handoff_id))
        assert (await rasa.texts("/greet"))[-1] == "Hello."
    _restore(tmp_path / "kept.db", tmp_path / "relay.db")
    async with RasaServer(small_model, tmp_path, own) as rasa:
        assert rasa.channel.relay.silences_bot("thabo")
        await eventually(lambda: not rasa.channel.relay.under_way)
        assert (await rasa.texts("/greet")).count("Hello.") == 1, "what the bot said after that end isn't told again"


async def test_an_offer_made_again_to_a_locked_server_is_not_refused(
    rasa: RasaServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    """Not now is no answer: the chat goes on, and so does the agent."""
    handoff_id, relay = await live(rasa, thandi), rasa.channel.relay
    tried, deliver = asyncio.Event(), rasa.channel.desk.deliver

    async def noted(lane: str, entries: Any) -> Any:
        try:
            return await deliver(lane, entries)
        finally:
            tried.set()

    rasa.channel.desk.deliver = noted
    with locked(tmp_path / "desk.db"):
        await relay.reconnection.offer_again(relay.conversation("thabo"))
        await within(tried.wait(), 10)
    await rasa.texts("still here")
    await thandi.hears("message", text="still here", handoff_id=handoff_id)
    assert relay.silences_bot("thabo")


async def test_words_that_wait_when_it_is_offered_again_are_told_after_it(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    """The server has the conversation after all: it doesn't read an offer's transcript a second time."""
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path)) as rasa:
        handoff_id, relay = await live(rasa, thandi), rasa.channel.relay
        await thandi.sio.disconnect()
        await desk.__aexit__(None, None, None)
        await eventually(lambda: not rasa.channel.desk.connected)
        assert await rasa.texts("said meanwhile") == []
        await relay.reconnection.offer_again(relay.conversation("thabo"))
        await desk.__aenter__()
        async with ScriptedAgent(desk.url, "thandi@example.com") as again:
            await eventually(lambda: _has(again, handoff_id, ["before", "said meanwhile"]))


async def test_what_an_agent_does_before_the_offers_answer_is_heard_waits_for_it(
    rasa: RasaServer, thandi: ScriptedAgent
) -> None:
    """The answer got lost, an agent took it at once: the bot's side isn't told of a chat it doesn't have yet."""
    deliver, early = rasa.channel.desk.deliver, []

    async def losing(lane: str, entries: Any) -> Any:
        answer = await deliver(lane, entries)
        if entries[0].name == "handoff.initiate" and not early:
            handoff_id = (await thandi.take_next())["handoff_id"]
            await thandi.say(handoff_id, "taken at once")
            early.append(handoff_id)
            await eventually(lambda: "accepted" in reported)
            raise Unreachable("The answer was lost.")
        return answer

    reported: list[str] = []
    client = rasa.channel.desk._client
    received = client.handlers["/relay"]["handoff.status"]

    async def noted(data: Any) -> Any:
        reported.append(data["status"])
        return await received(data)

    client.on("handoff.status", noted, namespace="/relay")
    rasa.channel.desk.deliver = losing
    await eventually(lambda: rasa.channel.desk.connected)
    await rasa.texts("/execute_handoff")
    await eventually(lambda: rasa.channel.relay.conversation("thabo").agent == "Thandi")
    await eventually(lambda: _has_received(rasa, "taken at once"))


async def _has(agent: ScriptedAgent, handoff_id: str, texts: list[str]) -> bool:
    conversation = (await agent.ask("open", handoff_id=handoff_id, after=0))["conversation"]
    return [said["text"] for said in conversation["messages"] if said["speaker"] == "customer"] == texts


async def _has_received(rasa: RasaServer, text: str) -> bool:
    return text in await rasa.texts("and?")


async def _is_ended(agent: ScriptedAgent, handoff_id: str) -> bool:
    conversation = (await agent.ask("open", handoff_id=handoff_id, after=0))["conversation"]
    return bool(conversation["state"] == "ended")


async def test_a_backup_taken_in_a_live_chat_restores_it(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    """docs/operations.md: sqlite3's own backup, while everything runs."""
    own = credentials(desk.url, tmp_path)
    async with RasaServer(small_model, tmp_path, own) as rasa:
        handoff_id = await live(rasa, thandi)
        _back_up(tmp_path / "relay.db", tmp_path / "kept.db")
    _restore(tmp_path / "kept.db", tmp_path / "relay.db")
    async with RasaServer(small_model, tmp_path, own) as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        assert await rasa.texts("restored") == []
        await thandi.hears("message", text="restored", handoff_id=handoff_id)
