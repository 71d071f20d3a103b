"""What the desk says it has isn't told again; an offer is, until it was answered."""

from sqlalchemy.engine import Connection

from rasa_handoff.protocol.values import Channel, Offer
from rasa_handoff.relay import repository
from rasa_handoff.relay.desk_reconnection import remove_acknowledged
from rasa_handoff.relay.repository import DESK
from rasa_handoff.store.outbox import Entry
from tests.support.relay_stores import relay_store


def _left_in_the_lane(connection: Connection) -> list[str]:
    for handoff_id in ("old", "new"):
        offer = Offer(handoff_id=handoff_id, conversation_id="thabo", bot_id="b", channel=Channel(name="rest"))
        repository.add_handoff(connection, offer)
    put = (
        ("old", "1", "handoff.status"),
        ("new", "1", "handoff.initiate"),
        ("new", "2", "message"),
        ("new", "3", "message"),
        ("new", "4", "message.status"),
    )
    entries = [Entry(DESK, "thabo", name, {"handoff_id": handoff, "id": id}) for handoff, id, name in put]
    repository.outbox.put(connection, entries)
    remove_acknowledged(connection, {"new": "3", "unheard-of": "9"})
    remove_acknowledged(connection, {"new": "an id of another life"})
    return [
        f"{entry.body['handoff_id']} {entry.name}" for entry in repository.outbox.head(connection, DESK, "thabo", 99)
    ]


async def test_entries_up_to_the_id_that_the_desk_has_are_removed_but_not_the_offer(database_url: str) -> None:
    async with relay_store(database_url) as store:
        left = await store.write(_left_in_the_lane)
    assert left == ["old handoff.status", "new handoff.initiate", "new message.status"]


def _left_beside_wrong_entries(connection: Connection) -> list[str]:
    offer = Offer(handoff_id="new", conversation_id="thabo", bot_id="b", channel=Channel(name="rest"))
    repository.add_handoff(connection, offer)
    wrong = [Entry(DESK, "thabo", "nothing.known", body) for body in ({}, {"handoff_id": 7}, {"handoff_id": "new"})]
    right = Entry(DESK, "thabo", "message", {"handoff_id": "new", "id": "1"})
    repository.outbox.put(connection, [*wrong, right])
    repository.offer_with_messages(connection, "new")
    remove_acknowledged(connection, {"new": "1"})
    return [f"{entry.name} {entry.body}" for entry in repository.outbox.head(connection, DESK, "thabo", 99)]


async def test_wrong_entries_in_the_lane_keep_nothing_from_being_told(database_url: str) -> None:
    """They raised, and the relay never connected again."""
    async with relay_store(database_url) as store:
        left = await store.write(_left_beside_wrong_entries)
    assert left == ["nothing.known {}", "nothing.known {'handoff_id': 7}"]
