"""What is out of date when a customer comes to read it isn't said: only what holds now, what agents said, and the end."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.protocol import events
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials

AWAY, BACK = "The connection to our people is interrupted.", "The connection is back,"


@pytest.fixture
async def rasa(small_model: Path, desk: DeskServer, tmp_path: Path) -> AsyncIterator[RasaServer]:
    """A server that tells each new place on ``rest`` too."""
    more: dict[str, Any] = {"quiet_channels": []}
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path, **more)) as server:
        await eventually(lambda: server.channel.desk.connected)
        yield server


async def happen(rasa: RasaServer, *kinds: Any, **more: Any) -> None:
    """Let these things happen to thabo, who reads none of it; a number is a new place in the queue."""
    relay = rasa.channel.relay
    handoff_id = relay.conversation("thabo").handoff_id
    for kind in kinds:
        here: dict[str, Any] = {"conversation_id": "thabo", "handoff_id": handoff_id}
        event = events.PositionChanged(**here, position=kind) if isinstance(kind, int) else kind(**here)
        await relay.apply(event)


async def take(rasa: RasaServer, agent: ScriptedAgent) -> str:
    handoff_id = str((await agent.take_next())["handoff_id"])
    await eventually(lambda: rasa.channel.relay.conversation("thabo").agent)
    return handoff_id


async def resolve(rasa: RasaServer, agent: ScriptedAgent, handoff_id: str) -> None:
    answer = await agent.ask("resolve", handoff_id=handoff_id, outcome="resolved", note=None, slots={})
    assert answer["ok"], answer
    await eventually(lambda: not rasa.channel.relay.silences_bot("thabo"))


async def test_a_newer_place_replaces_one_that_was_not_told(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await rasa.texts("/execute_handoff")
    await happen(rasa, 9, 8, 7)
    assert await rasa.texts("and now?") == ["You are now number 7 in the queue."]
    assert await rasa.texts("and now?") == []


async def test_who_is_there_replaces_all_about_waiting(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await rasa.texts("/execute_handoff")
    await happen(rasa, 3, events.NobodyCame, 2, events.DeskLost)
    handoff_id = await take(rasa, thandi)
    await thandi.say(handoff_id, "Hello, Thabo.")
    await happen(rasa, events.DeskBack)
    await eventually(lambda: rasa.channel.relay.delivers("customer", "thabo") is False)
    joined, said, back = await rasa.texts("and now?")
    assert joined.startswith("Thandi is here")
    assert said == "Hello, Thabo."
    assert back.startswith(BACK)
    assert await rasa.texts("and then?") == []
    noted = [str(event.get("text")) for event in await rasa.events("thabo") if event["event"] == "bot"]
    assert not [text for text in noted if "You are now" in text or text.startswith(AWAY)]


async def test_a_question_nobody_awaits_an_answer_to_is_not_asked_after_the_end(
    rasa: RasaServer, thandi: ScriptedAgent
) -> None:
    await rasa.texts("/execute_handoff")
    handoff_id = await take(rasa, thandi)
    await happen(rasa, events.CustomerFellSilent)
    await thandi.say(handoff_id, "Bye, Thabo.")
    await resolve(rasa, thandi, handoff_id)
    joined, said, ended, *_ = await rasa.texts("here I am")
    assert joined.startswith("Thandi is here")
    assert (said, ended) == ("Bye, Thabo.", "Thandi has ended the chat.")


async def test_an_open_question_is_asked_and_its_answer_understood(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await rasa.texts("/execute_handoff")
    await happen(rasa, 3, events.NobodyCame, 2, events.NobodyCame)
    place, question = await rasa.texts("and now?")
    assert (place, question[:15]) == ("You are now number 2 in the queue.", "I'm sorry, nobo")
    assert (await rasa.texts("1"))[0].startswith("Thank you for your patience.")


async def test_a_page_that_comes_back_reads_what_holds_now(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    async with ScriptedCustomer(rasa.url, "thabo", acks=True) as page:
        await page.say("/execute_handoff")
        await page.hears("number 1 in the queue")
    await eventually(lambda: not rasa.channel.channels["socketio"].connected("thabo"))
    await happen(rasa, 3, 2, events.NobodyCame)
    handoff_id = await take(rasa, thandi)
    await thandi.say(handoff_id, "Hello, Thabo.")
    await happen(rasa, events.DeskLost, events.DeskBack)
    async with ScriptedCustomer(rasa.url, "thabo", acks=True) as page:
        await page.hears(BACK)
        assert [text.split(" and ")[0] for text in page.texts[:2]] == ["Thandi is here", "Hello, Thabo."]
        assert len(page.texts) == 3


async def test_a_mailbox_that_names_a_notice_since_replaced_gets_nothing_twice(
    rasa: RasaServer, thandi: ScriptedAgent
) -> None:
    async def ask(text: str, after: str | None) -> list[dict[str, Any]]:
        metadata = {"handoff_after": after, "handoff_message_id": text.replace(" ", "-").rstrip("?")}
        return await rasa.say(text, "thabo", metadata=metadata)

    await ask("/execute_handoff", None)
    await happen(rasa, 5)
    *_, place = await ask("and now?", None)
    assert place["text"] == "You are now number 5 in the queue."
    await happen(rasa, 4, 3)
    assert [message["text"] for message in await ask("and then?", place["id"])] == [
        "You are now number 3 in the queue."
    ]
