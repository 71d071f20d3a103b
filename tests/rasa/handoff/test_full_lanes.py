"""Where so much waits that no more is taken, whoever says something is told."""

from typing import Any

import pytest

from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.store import outbox
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.test_dead_letters import live

TOO_MANY = "I'm sorry, so much is waiting to be passed on that I can't take this. Please send it again later."


async def test_both_sides_are_told(rasa: RasaServer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver, away = rasa.channel.desk.deliver, True

    async def stuck(lane: str, entries: Any) -> Any:
        if away:
            raise Unreachable("The desk is away.")
        return await deliver(lane, entries)

    async with ScriptedCustomer(rasa.url, "thabo", acks=True) as page:
        handoff_id = await live(rasa, page, thandi)
        await eventually(lambda: not rasa.channel.relay.delivers("desk", "thabo"))
        monkeypatch.setattr(rasa.channel.desk, "deliver", stuck)
        monkeypatch.setattr(outbox, "LONGEST_LANE", 3)
        for text in ("one", "two", "three"):
            await eventually(lambda: not rasa.channel.relay.delivers("tracker", "thabo"))
            assert await page.say_with_id(text) == {"ok": True}
        refused = await page.say_with_id("four", id="four")
        assert (refused["ok"], refused["code"]) == (False, "too_many")
        await page.hears(TOO_MANY)
        # What the page hasn't acknowledged yet would go into the next response on rest too.
        await eventually(lambda: not rasa.channel.relay.delivers("customer", "thabo"))
        assert await rasa.texts("five") == [TOO_MANY]
        away = False
        await rasa.channel.relay.notify("desk")
        await thandi.hears("message", text="three")
        assert await page.say_with_id("four", id="four") == {"ok": True}
        await thandi.hears("message", text="four")
    for number in range(3):
        await eventually(lambda: not rasa.channel.relay.delivers("tracker", "thabo"))
        await thandi.say(handoff_id, f"{number}", id=f"w-{number}")
        await thandi.hears("message.status", message_id=f"w-{number}", status="waiting")
    await eventually(lambda: not rasa.channel.relay.delivers("tracker", "thabo"))
    await thandi.say(handoff_id, "one too many", id="w-3")
    failed = await thandi.hears("message.status", message_id="w-3", status="failed")
    assert "messages already wait for the customer" in failed["reason"]
