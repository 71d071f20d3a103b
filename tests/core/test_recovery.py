"""The relay when something fails in the middle: a kill among repeated offers, a tracker that can't be written in time."""

from collections.abc import Iterator

import pytest

from rasa_handoff.core.control import Control
from rasa_handoff.protocol import events
from rasa_handoff.protocol.errors import StoreUnavailable
from rasa_handoff.protocol.values import Channel, Offer
from rasa_handoff.relay import repository
from tests.chaos.scripted import Stage

WHO = "thabo"


@pytest.fixture
def stage() -> Iterator[Stage]:
    one = Stage()
    yield one
    one.close()


def hand_over(stage: Stage, handoff_id: str) -> None:
    offer = Offer(handoff_id=handoff_id, conversation_id=WHO, bot_id="b", channel=Channel(name="rest"))
    here = {"conversation_id": WHO, "handoff_id": handoff_id}
    stage.run(stage.relay.requests.offer(events.HandoffRequested(**here, offer=offer, leaving_word="disconnect")))


def test_offers_to_a_desk_that_lost_its_database_are_made_again_after_a_kill_among_them(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.run(stage.relay.reconnection.complete("first"))
    hand_over(stage, "h1")

    async def killed(*_: object) -> None:
        raise StoreUnavailable("killed")

    monkeypatch.setattr(stage.relay.reconnection, "offer_again", killed)
    with pytest.raises(StoreUnavailable):
        stage.run(stage.relay.reconnection.complete("second"))
    stage.crash()
    stage.run(stage.relay.reconnection.complete("second"))
    stage.drain()
    offers = [entry.body["handoff_id"] for entry in stage.desk.once() if entry.name == "handoff.initiate"]
    assert offers == ["h1", "h1"]
    assert stage.run(stage.relay.store.write(repository.desk_epoch)) == "second"


def test_what_the_desk_accepts_after_the_hello_is_not_offered_again(stage: Stage) -> None:
    """The desk didn't know it when it read the hello; the acceptance came first, by another process of this side perhaps."""
    stage.run(stage.relay.reconnection.complete("first"))
    stage.run(stage.relay.reconnection.open_handoffs())
    hand_over(stage, "h1")
    assert stage.relay.conversation(WHO).state is Control.WAITING
    stage.run(stage.relay.reconnection.complete("first", unknown=["h1"]))
    stage.run(stage.relay.reconnection.open_handoffs())
    stage.drain()
    offers = [entry.body["handoff_id"] for entry in stage.desk.once() if entry.name == "handoff.initiate"]
    assert offers == ["h1"]
    stage.run(stage.relay.reconnection.open_handoffs())
    stage.run(stage.relay.reconnection.complete("first", unknown=["h1"]))
    stage.drain()
    assert [entry.body["handoff_id"] for entry in stage.desk.once() if entry.name == "handoff.initiate"] == ["h1", "h1"]


def test_the_bots_words_are_told_though_the_way_back_took_too_long(stage: Stage) -> None:
    hand_over(stage, "h1")
    stage.tracker.manner = "fails"
    here = {"conversation_id": WHO, "handoff_id": "h1"}
    stage.run(stage.relay.apply(events.HandoffCompleted(**here)))
    stage.run(stage.relay.apply(events.ReturnTimedOut(**here)))
    assert stage.relay.conversation(WHO).state is Control.BOT
    stage.drain()
    said = [entry.body["message"] for entry in stage.customer.once() if entry.name == "bot"]
    assert said == [{"text": "back h1"}]
