"""The inbox recognises a message that it has met before, also after the database couldn't be used for a while."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from rasa_handoff.protocol.channel_settings import read_settings
from rasa_handoff.protocol.errors import StoreUnavailable
from rasa_handoff.protocol.events import AgentJoined, CustomerSaid, HandoffAccepted, HandoffRequested
from rasa_handoff.protocol.values import Agent, Channel, Offer
from rasa_handoff.relay import repository
from rasa_handoff.relay.conversation_writer import ConversationWriter
from rasa_handoff.relay.inbox import CameBefore, Inbox, MessageProgress
from rasa_handoff.relay.relay import DESK
from rasa_handoff.store.outbox import Entry
from tests.support.relay_stores import relay_store

SETTINGS = read_settings({"bot_id": "b", "desk": {"url": "http://127.0.0.1:1"}, "channels": {"rest": None}})


@contextmanager
def locked(request: pytest.FixtureRequest, url: str) -> Iterator[None]:
    """Lock the whole database, as another program might."""
    if url.startswith("sqlite"):
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            yield
    else:
        with request.getfixturevalue("postgres").locked(*repository.metadata.tables):
            yield


async def test_a_locked_database_is_said_to_be_away_for_now(database_url: str, request: pytest.FixtureRequest) -> None:
    async with relay_store(database_url) as store:
        inbox = Inbox(store)
        assert await inbox.begin("thabo", "1") is MessageProgress.NEW
        with locked(request, database_url):
            works = (
                inbox.begin("thabo", "2"),
                inbox.finish("thabo", "1"),
                inbox.put_once(Entry(target="customer", lane="thabo", name="bot", body={"id": "1"})),
            )
            for problem in await asyncio.gather(*works, return_exceptions=True):
                assert isinstance(problem, StoreUnavailable)
        assert await inbox.begin("thabo", "1") is MessageProgress.BEGUN
        assert await inbox.begin("thabo", "2") is MessageProgress.NEW


async def test_a_key_that_marks_copies_for_a_minute_belongs_to_a_new_message_afterwards(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1_000_000.0]
    monkeypatch.setattr("time.time", lambda: clock[0])
    async with relay_store(database_url) as store:
        inbox = Inbox(store)
        first, progress = await inbox.begin_recent("thabo", "key", 60.0)
        assert progress is MessageProgress.NEW
        assert await inbox.begin_recent("thabo", "key", 60.0) == (first, MessageProgress.BEGUN)
        await inbox.finish("thabo", first)
        clock[0] += 59
        assert await inbox.begin_recent("thabo", "key", 60.0) == (first, MessageProgress.DONE)
        assert (await inbox.begin_recent("sipho", "key", 60.0))[1] is MessageProgress.NEW
        assert (await inbox.begin_recent("thabo", "ke", 60.0))[1] is MessageProgress.NEW
        clock[0] += 2
        second, progress = await inbox.begin_recent("thabo", "key", 60.0)
        assert progress is MessageProgress.NEW
        assert second != first


async def test_what_led_to_a_handoff_is_known_whatever_the_clock_does(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It steps back between a message and the handoff it asked for, and between a handoff and a later message."""
    clock = [1_000_000.0]
    monkeypatch.setattr("time.time", lambda: clock[0])
    writer = ConversationWriter(SETTINGS)
    async with relay_store(database_url) as store:
        inbox = Inbox(store)
        await inbox.begin("thabo", "asked")
        clock[0] -= 3600
        offer = Offer(handoff_id="h", conversation_id="thabo", bot_id="b", channel=Channel(name="rest"))
        here: dict[str, Any] = {"conversation_id": "thabo", "handoff_id": "h", "message_id": "asked"}
        event = HandoffRequested(**here, offer=offer, leaving_word="disconnect")
        await store.write(lambda connection: writer.apply(connection, event))
        assert await inbox.led_to_handoff("thabo", "asked")
        clock[0] -= 3600
        await inbox.begin("thabo", "later")
        assert not await inbox.led_to_handoff("thabo", "later")


async def test_a_live_chats_message_and_its_id_are_one_transaction(database_url: str) -> None:
    """Only one that the inbox doesn't have: it may have been the bot's, finished or interrupted."""
    here: dict[str, Any] = {"conversation_id": "thabo", "handoff_id": "h"}
    offer = Offer(handoff_id="h", conversation_id="thabo", bot_id="b", channel=Channel(name="rest"))
    writer = ConversationWriter(SETTINGS)
    async with relay_store(database_url) as store:
        inbox = Inbox(store)

        async def say(id: str) -> list[Any]:
            said = CustomerSaid(conversation_id="thabo", id=id, text=id, at=1.0, inbox_id=id, is_first=True)
            await store.write(lambda connection: writer.apply(connection, said))
            waiting = await store.write(lambda connection: repository.outbox.head(connection, DESK, "thabo"))
            return [entry.id for entry in waiting]

        for event in (
            HandoffRequested(**here, offer=offer, leaving_word="bye"),
            HandoffAccepted(**here),
            AgentJoined(**here, agent=Agent(id="a", name="Thandi")),
        ):
            await store.write(lambda connection, event=event: writer.apply(connection, event))  # type: ignore[misc]
        await inbox.begin("thabo", "interrupted")
        await inbox.begin("thabo", "finished")
        await inbox.finish("thabo", "finished")
        assert (await say("new"))[-1] == "new"
        for known in ("interrupted", "finished", "new"):
            with pytest.raises(CameBefore):
                await say(known)
        assert (await say("newer"))[-2:] == ["new", "newer"]
        assert await inbox.begin("thabo", "interrupted") is MessageProgress.BEGUN
        assert await inbox.begin("thabo", "newer") is MessageProgress.DONE
