"""Rasa keeps the ids that we keep: its SQL tracker store's own table says how long they may be."""

from rasa.core.tracker_store import SQLTrackerStore
from sqlalchemy import MetaData

from rasa_handoff.protocol.limits import LONGEST_ID
from rasa_handoff.relay import repository
from rasa_handoff.server.storage.tables import METADATA


def test_an_id_is_as_long_as_rasas_sql_tracker_store_keeps_of_it() -> None:
    assert SQLTrackerStore.SQLEvent.__table__.c.sender_id.type.length == LONGEST_ID


def test_every_column_for_a_conversation_or_handoff_has_that_length() -> None:
    lengths = {**_lengths(repository.metadata), **_lengths(METADATA)}
    assert len(lengths) >= 9
    assert set(lengths.values()) == {LONGEST_ID}, lengths


def _lengths(metadata: MetaData) -> dict[str, int]:
    """Return the lengths of the columns that hold an id of another system, or a lane or timer named after one."""
    named = ("conversation_id", "handoff_id", "bot_id", "lane", "key")
    return {
        f"{table.name}.{column.name}": column.type.length
        for table in metadata.tables.values()
        for column in table.columns
        if column.name in named
        and getattr(column.type, "length", None)
        and table.name not in ("meta", "secrets", "sign_in_tries")
    }
