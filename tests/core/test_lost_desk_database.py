"""A desk that lost its database is told again in the order in which it was said."""

from sqlalchemy.engine import Connection

from rasa_handoff.core.transcript import LEFT_OUT
from rasa_handoff.protocol import events
from rasa_handoff.protocol.limits import LONGEST_TRANSCRIPT
from rasa_handoff.protocol.values import Channel, Line, Offer
from rasa_handoff.relay import repository
from tests.support.relay_stores import relay_store


def _entries_told(connection: Connection) -> list[str]:
    offer = Offer(handoff_id="h", conversation_id="thabo", bot_id="b", channel=Channel(name="rest"))
    repository.add_handoff(connection, offer)
    here = {"conversation_id": "thabo", "handoff_id": "h"}
    for said in (
        events.CustomerSaid(**here, id="1", text="asked by our clock", at=10.0),
        events.AgentSaid(**here, id="2", text="answered by the desk's, which is behind", at=9.0),
        events.CustomerSaid(**here, id="3", text="thanked", at=11.0),
    ):
        assert repository.keep_message(connection, "h", said)
        assert not repository.keep_message(connection, "h", said)
    return [line.text for line in repository.offer_with_messages(connection, "h").transcript]


async def test_messages_keep_their_order_whatever_the_clocks_say(database_url: str) -> None:
    async with relay_store(database_url) as store:
        lines = await store.write(_entries_told)
    assert lines == ["asked by our clock", "answered by the desk's, which is behind", "thanked"]


def _told_at_length(connection: Connection) -> tuple[Line, ...]:
    offer = Offer(handoff_id="h", conversation_id="thabo", bot_id="b", channel=Channel(name="rest"))
    repository.add_handoff(connection, offer)
    for number in range(40):
        said = events.CustomerSaid(
            conversation_id="thabo", handoff_id="h", id=str(number), text="x" * 20_000, at=number
        )
        assert repository.keep_message(connection, "h", said)
    return repository.offer_with_messages(connection, "h").transcript


async def test_of_what_would_not_fit_one_packet_the_end_is_told(database_url: str) -> None:
    async with relay_store(database_url) as store:
        lines = await store.write(_told_at_length)
    assert (lines[0].text, lines[-1].at) == (LEFT_OUT, 39)
    assert sum(len(line.text) for line in lines) < LONGEST_TRANSCRIPT
