"""An offer that the desk didn't answer is withdrawn, and nothing else with it."""

from typing import Any

from rasa_handoff.core.control import Control
from rasa_handoff.protocol import events
from rasa_handoff.protocol.values import Channel, Offer
from rasa_handoff.testing.waiting import eventually
from tests.chaos.scripted import Stage, new_id


def test_words_of_the_handoff_before_still_arrive() -> None:
    stage = Stage()

    def asks() -> None:
        handoff_id = new_id()
        offer = Offer(handoff_id=handoff_id, conversation_id="thabo", bot_id="b", channel=Channel(name="rest"))
        here: dict[str, Any] = {"conversation_id": "thabo", "handoff_id": handoff_id}
        stage.run(stage.relay.requests.offer(events.HandoffRequested(**here, offer=offer, leaving_word="disconnect")))

    try:
        asks()
        stage.desk.manner = "fails"
        said: dict[str, Any] = {"conversation_id": "thabo", "at": 1.0}
        stage.run(stage.relay.apply(events.CustomerSaid(**said, id="1", text="are you there")))
        stage.run(stage.relay.apply(events.CustomerLeaving(**said, id="2", text="disconnect")))
        stage.run(eventually(lambda: stage.relay.conversation("thabo").state is Control.BOT))
        asks()
        assert stage.relay.conversation("thabo").state is Control.BOT
        stage.drain()
        reported = [(entry.name, entry.body.get("text") or entry.body.get("reason")) for entry in stage.desk.once()[1:]]
        assert reported == [
            ("message", "are you there"),
            ("handoff.status", "customer_left"),
            ("handoff.status", "cancelled"),
        ]
    finally:
        stage.close()
