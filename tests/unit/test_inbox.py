"""What was sent is met again, also after the database couldn't be used for a while."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.relay import memory
from rasa_handoff.relay.database import RelayStore
from rasa_handoff.relay.inbox import Inbox, Met
from rasa_handoff.relay.ledger import Ledger
from rasa_handoff.store.outbox import Entry
from rasa_handoff.vocabulary.errors import StoreUnavailable
from rasa_handoff.vocabulary.events import HandoffRequested
from rasa_handoff.vocabulary.settings import TimerSettings
from rasa_handoff.vocabulary.values import Channel, Offer


async def test_a_locked_database_is_said_to_be_away_for_now(tmp_path: Path) -> None:
    file = tmp_path / "relay.db"
    async with RelayStore(f"sqlite:///{file}", memory.metadata, memory.SIDE, memory.SCHEMA) as store:
        inbox = Inbox(store)
        assert await inbox.meet("thabo", "1") is Met.NEVER
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            for work in (inbox.meet("thabo", "2"), inbox.done("thabo", "1"), inbox.put_once(_entry())):
                with pytest.raises(StoreUnavailable):
                    await work
        assert await inbox.meet("thabo", "1") is Met.BEGUN
        assert await inbox.meet("thabo", "2") is Met.NEVER


async def test_an_id_that_tells_copies_for_a_minute_alone_is_another_ones_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1_000_000.0]
    monkeypatch.setattr("time.time", lambda: clock[0])
    async with RelayStore(f"sqlite:///{tmp_path / 'relay.db'}", memory.metadata, memory.SIDE, memory.SCHEMA) as store:
        inbox = Inbox(store)
        first, met = await inbox.meet_lately("thabo", "key", 60.0)
        assert met is Met.NEVER
        assert await inbox.meet_lately("thabo", "key", 60.0) == (first, Met.BEGUN)
        await inbox.done("thabo", first)
        clock[0] += 59
        assert await inbox.meet_lately("thabo", "key", 60.0) == (first, Met.DONE)
        assert (await inbox.meet_lately("sipho", "key", 60.0))[1] is Met.NEVER
        assert (await inbox.meet_lately("thabo", "ke", 60.0))[1] is Met.NEVER
        clock[0] += 2
        second, met = await inbox.meet_lately("thabo", "key", 60.0)
        assert met is Met.NEVER
        assert second != first


async def test_what_led_to_a_handoff_is_known_whatever_the_clock_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It steps back between a message and the handoff it asked for, and between a handoff and a later message."""
    clock = [1_000_000.0]
    monkeypatch.setattr("time.time", lambda: clock[0])
    ledger = Ledger(TimerSettings())
    async with RelayStore(f"sqlite:///{tmp_path / 'relay.db'}", memory.metadata, memory.SIDE, memory.SCHEMA) as store:
        inbox = Inbox(store)
        await inbox.meet("thabo", "asked")
        clock[0] -= 3600
        offer = Offer(handoff_id="h", conversation_id="thabo", bot_id="b", channel=Channel(name="rest"))
        here: dict[str, Any] = {"conversation_id": "thabo", "handoff_id": "h", "message_id": "asked"}
        event = HandoffRequested(**here, offer=offer, leaving_word="disconnect")
        await store.write(lambda connection: ledger.apply(connection, event))
        assert await inbox.led_to_handoff("thabo", "asked")
        clock[0] -= 3600
        await inbox.meet("thabo", "later")
        assert not await inbox.led_to_handoff("thabo", "later")


def _entry() -> Entry:
    return Entry(target="customer", lane="thabo", name="bot", body={"id": "1"})
