"""Texts of every kind from customers, bot and desk, on SQLite and on Postgres: they arrive, or are refused aloud."""

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.protocol.logs import short_id
from rasa_handoff.protocol.text import valid, valid_text
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials
from tests.support import texts
from tests.support.foreign import ForeignServer

EVERY_KIND = texts.some(texts.COUNT)
WORDS = [text for text in texts.some(40, seed=3) if len(text) < 1000 and not text.lstrip().startswith("/")]
LONG = 90
"""Seconds for all texts of a test."""

pytestmark = pytest.mark.timeout(LONG)


@pytest.fixture
async def rasa(
    small_model: Path, desk: DeskServer, tmp_path: Path, request: pytest.FixtureRequest, database_url: str
) -> AsyncIterator[RasaServer]:
    """The small bot, whose relay has its database on SQLite or Postgres; the tracker store too."""
    settings = credentials(desk.url, tmp_path, store=database_url)
    endpoints = None
    if not database_url.startswith("sqlite"):
        tracker_database = request.getfixturevalue("postgres_server").fresh()
        endpoints = {"tracker_store": tracker_database.tracker_store()}
    async with RasaServer(small_model, tmp_path, settings, endpoints) as server:
        await eventually(lambda: server.channel.desk.connected)
        yield server


async def handed_over(rasa: RasaServer, agent: ScriptedAgent, sender: str = "thabo") -> dict[str, Any]:
    """Have the customer ask for a person and the agent take it, and return the conversation as the agent sees it."""
    assert "I've asked for a person" in " ".join(await rasa.texts("/execute_handoff", sender))
    taken = await agent.take_next()
    await eventually(lambda: rasa.channel.relay.conversation(valid_text(sender)).agent)
    return taken


async def test_half_a_character_before_a_handoff_is_replaced(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    """Rasa's tracker never has it, so the bot goes on answering, and a person can be asked for."""
    assert await rasa.texts("hello \ud83d")
    for text in WORDS[:20]:
        await rasa.say(text, metadata={text: [text, {"deep": text}], "n": 10**30})
    assert await rasa.texts("hello") == ["Hello."]
    taken = await handed_over(rasa, thandi)
    said = [line["text"] for line in taken["transcript"] if line["speaker"] == "customer"]
    assert said[0] == "hello \ufffd"
    assert {valid_text(text).strip() for text in WORDS[:20]} - {""} <= set(said)
    events = await rasa.events()
    assert valid(events) == events


@pytest.mark.parametrize("sender", ["thabo \ud83d", "tha\0bo", "\udcff", "\ud83d\ude00"])
async def test_a_customer_whose_id_is_no_valid_text_is_served(
    rasa: RasaServer, thandi: ScriptedAgent, sender: str
) -> None:
    taken = await handed_over(rasa, thandi, sender)
    assert taken["short_id"] == short_id(valid_text(sender))
    await rasa.say("words", sender)
    await thandi.hears("message", text="words")
    await thandi.say(taken["handoff_id"], "an answer")
    await eventually(lambda: rasa.channel.relay.waiting_entries("customer", valid_text(sender)))
    assert "an answer" in await rasa.texts("more", sender)


async def test_live_words_on_rest_arrive_both_ways(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    taken = await handed_over(rasa, thandi)
    for text in EVERY_KIND:
        await rasa.say(text)
    received = await eventually(
        lambda: (
            len(found := [data["text"] for name, data in thandi.received if name == "message"]) >= len(EVERY_KIND)
            and found
        ),
        LONG,
    )
    assert received == [valid_text(text).strip() or "[a message without text]" for text in EVERY_KIND]

    said = [text for text in texts.some(texts.COUNT, seed=4) if valid_text(text).strip()]
    for text in said:
        assert (await thandi.say(taken["handoff_id"], text))["ok"]
    assert (await thandi.say(taken["handoff_id"], "the last"))["ok"]
    found: list[str] = []

    async def all_heard() -> bool:
        found.extend(await rasa.texts("and?"))
        return "the last" in found

    await eventually(all_heard)
    # Rasa parts a text at empty lines.
    assert texts.dense("".join(map(valid_text, said))) in texts.dense("".join(found))
    assert (await thandi.ask("resolve", handoff_id=taken["handoff_id"], outcome="resolved", note="n\0 \ud83d"))["ok"]
    await eventually(lambda: not rasa.channel.relay.silences_bot("thabo"))
    written = [event for event in await rasa.events() if event["event"] in ("user", "agent")]
    assert {valid_text(one) for one in said} <= {event["text"] for event in written}
    assert valid(written) == written


@pytest.mark.parametrize("acks", [True, False])
async def test_live_words_of_a_page_arrive_both_ways(rasa: RasaServer, thandi: ScriptedAgent, acks: bool) -> None:
    async with ScriptedCustomer(rasa.url, "tab \ud83d\0", acks=acks) as page:
        await page.say("hello \ud83d")
        await eventually(lambda: page.texts)
        await page.say("/execute_handoff")
        taken = await thandi.take_next()
        await eventually(lambda: rasa.channel.relay.conversation("tab \ufffd").agent)
        for text in WORDS:
            await page.say_with_id(text)
        await eventually(lambda: len([1 for name, _ in thandi.received if name == "message"]) >= len(WORDS))
        for text in filter(str.strip, map(valid_text, WORDS)):
            assert (await thandi.say(taken["handoff_id"], text))["ok"]
        assert (await thandi.say(taken["handoff_id"], "the last"))["ok"]
        await eventually(lambda: "the last" in page.texts)


async def test_the_bots_words_arrive_as_valid_text(
    rasa: RasaServer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An action may say anything; a mailbox's owner gets it by the outbox, everybody else as Rasa sends it."""
    nlg = rasa.app.ctx.agent.processor.nlg
    custom = {"a\ud83d": math.nan, "b": ["\0", {"c": "\udc80"}]}

    async def generate(*_: Any, **__: Any) -> dict[str, Any]:
        return {"text": "half \ud83d", "custom": dict(custom)}

    monkeypatch.setattr(nlg, "generate", generate)
    after = None
    said = await rasa.say("hello", metadata={"handoff_after": after, "handoff_message_id": "m\ud83d"})
    assert any(part.get("text") == "half \ufffd" for part in said), said
    assert any(part.get("custom") == valid(custom) for part in said), said
    assert "half \ufffd" in await rasa.texts("hello", "plain")
    async with ScriptedCustomer(rasa.url, "page") as page:
        await page.say("hello")
        await page.hears("half \ufffd")
    monkeypatch.undo()
    taken = await handed_over(rasa, thandi)
    assert "half \ufffd" in " ".join(line["text"] for line in taken["transcript"])


async def test_a_server_of_botlhales_kind_is_heard_after_any_text(small_model: Path, tmp_path: Path) -> None:
    """Neither half a character nor an event that can't be taken in keeps its later messages from the customer."""
    async with ForeignServer() as foreign:
        settings = credentials(foreign.url, tmp_path, desk={"type": "botlhale", "url": foreign.url})
        async with RasaServer(small_model, tmp_path, settings) as rasa, ScriptedCustomer(rasa.url, "thabo") as page:
            await page.say("/execute_handoff")
            await eventually(lambda: foreign.all("username"))
            for text in WORDS:
                await foreign.say("to_user", {"message": text})
            for poison in ({"message": {"\ud83d": 1}}, {"message": ["\0"], "id": {}, "number": []}, 5, None, "\ud83d"):
                await foreign.say("to_user", poison)
            await foreign.say("to_user", {"message": "still heard"})
            await eventually(lambda: "still heard" in page.texts)
            for text in WORDS:
                await page.say(text)
            await page.say("the last")
            await eventually(lambda: "the last" in [body["message"] for body in foreign.all("from_user")])
            await foreign.say("disconnect_socket")
            await eventually(lambda: not rasa.channel.relay.silences_bot("thabo"))
