"""What the desk says it has isn't told again; an offer is, until it was answered."""

from sqlalchemy.engine import Connection

from rasa_handoff.relay import memory
from rasa_handoff.relay.database import RelayStore
from rasa_handoff.relay.ledger import DESK, forget_heard
from rasa_handoff.store.outbox import Entry
from rasa_handoff.vocabulary.values import Channel, Offer


def _waiting(connection: Connection) -> list[str]:
    for handoff_id in ("old", "new"):
        offer = Offer(handoff_id=handoff_id, conversation_id="thabo", bot_id="b", channel=Channel(name="rest"))
        memory.begin(connection, offer)
    told = (
        ("old", "1", "handoff.status"),
        ("new", "1", "handoff.initiate"),
        ("new", "2", "message"),
        ("new", "3", "message"),
        ("new", "4", "message.status"),
    )
    entries = [Entry(DESK, "thabo", name, {"handoff_id": handoff, "id": id}) for handoff, id, name in told]
    memory.outbox.put(connection, entries)
    forget_heard(connection, {"new": "3", "unheard-of": "9"})
    forget_heard(connection, {"new": "an id of another life"})
    return [f"{entry.body['handoff_id']} {entry.name}" for entry in memory.outbox.head(connection, DESK, "thabo", 99)]


async def test_up_to_that_id_but_for_the_offer(database_url: str) -> None:
    async with RelayStore(database_url, memory.metadata, memory.SIDE, memory.SCHEMA) as store:
        left = await store.write(_waiting)
    assert left == ["old handoff.status", "new handoff.initiate", "new message.status"]


def _beside_wrong_entries(connection: Connection) -> list[str]:
    offer = Offer(handoff_id="new", conversation_id="thabo", bot_id="b", channel=Channel(name="rest"))
    memory.begin(connection, offer)
    wrong = [Entry(DESK, "thabo", "nothing.known", body) for body in ({}, {"handoff_id": 7}, {"handoff_id": "new"})]
    right = Entry(DESK, "thabo", "message", {"handoff_id": "new", "id": "1"})
    memory.outbox.put(connection, [*wrong, right])
    memory.told_again(connection, "new")
    forget_heard(connection, {"new": "1"})
    return [f"{entry.name} {entry.body}" for entry in memory.outbox.head(connection, DESK, "thabo", 99)]


async def test_wrong_entries_in_the_lane_keep_nothing_from_being_told(database_url: str) -> None:
    """They raised, and the relay never connected again."""
    async with RelayStore(database_url, memory.metadata, memory.SIDE, memory.SCHEMA) as store:
        left = await store.write(_beside_wrong_entries)
    assert left == ["nothing.known {}", "nothing.known {'handoff_id': 7}"]
