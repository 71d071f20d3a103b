"""What was sent is met again, also after the database couldn't be used for a while."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from rasa_handoff.relay import memory
from rasa_handoff.relay.database import RelayStore
from rasa_handoff.relay.inbox import Inbox, Met
from rasa_handoff.store.outbox import Entry
from rasa_handoff.vocabulary.errors import StoreUnavailable


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


def _entry() -> Entry:
    return Entry(target="customer", lane="thabo", name="bot", body={"id": "1"})
