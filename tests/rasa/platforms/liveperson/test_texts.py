"""Texts of every kind on LivePerson, both ways and by both surfaces: they arrive, or are refused aloud."""

import math
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from rasa_handoff.protocol.text import valid, valid_text
from rasa_handoff.testing.rasa_server import RasaServer
from tests.rasa.platforms.liveperson.liveperson_caller import LivePerson, settings, text_event
from tests.rasa.platforms.test_texts import said_to_the_bot
from tests.support import texts

MANY = texts.COUNT
EVERY_KIND = [text for text in texts.some(MANY, seed=7) if len(text) < 1000 and not text.lstrip().startswith("/")]
"""Each is a turn of the bot's. Left out are very long ones, for which its NLU takes seconds, and what Rasa reads as a payload."""
SOME = EVERY_KIND[:60]
KEYS = {text: [text, {text: math.pi}] for text in SOME}

pytestmark = pytest.mark.timeout(90 + MANY / 2)


@pytest.fixture(params=["sqlite", "postgres"])
async def rasa(platform_model: Path, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[RasaServer]:
    """The tracker store is all the database that a platform's channel has."""
    endpoints = None
    if request.param == "postgres":
        endpoints = {"tracker_store": request.getfixturevalue("postgres_server").fresh().tracker_store()}
    async with RasaServer(platform_model, tmp_path, settings(), endpoints) as server:
        yield server


def words(some: list[str]) -> list[str]:
    return [made for text in some if (made := valid_text(text).strip())]


async def test_customers_words_ids_and_keys_by_a_function(rasa: RasaServer) -> None:
    for start in range(0, len(EVERY_KIND), 20):
        some, id = EVERY_KIND[start : start + 20], f"c{start} {SOME[start % len(SOME)]}"[:200]
        customer = LivePerson(rasa, id)
        for text in some:
            event = text_event(
                text, conversationId=id, metadata=[KEYS] if text is some[0] else [], participantRole=text
            )
            await customer.call({**customer.payload(text, event), f"{text} field": {text: text}})
        assert await said_to_the_bot(rasa, valid_text(id).strip()) == words(some)


async def test_customers_words_ids_and_keys_by_custom_endpoint(rasa: RasaServer) -> None:
    """The conversation's id stands in the address, where bytes may be anything."""
    for number, text in enumerate(SOME[: max(30, MANY // 5)]):
        id = f"e{number} {text}"[:200]
        customer = LivePerson(rasa, quote(id.encode("utf-8", "surrogatepass"), safe=""))
        assert await customer.create({"sdes": KEYS if number < 3 else {}, "context": {text: text}}) == 201
        event = {"type": "TEXT", "source": "CONSUMER", "data": {"message": text, text: text}, text: text}
        event["context"] = {"lpEvent": text_event(text), text: text}
        status, answer = await customer.event(event)
        assert status == 200, answer
        known = valid_text(id.encode("utf-8", "surrogatepass").decode("utf-8", "replace")).strip()
        if words([text]):
            assert await said_to_the_bot(rasa, known) == words([text])


async def test_what_the_bot_says(rasa: RasaServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """To a Function, to Custom Endpoint, and with the next answer what was said when nobody had called."""
    customer, spoken = LivePerson(rasa), [text for text in SOME[: max(25, MANY // 4)] if valid_text(text).strip()]
    saying: dict[str, Any] = {}

    async def generate(*_: Any, **__: Any) -> dict[str, Any]:
        return dict(saying)

    await customer.say("hello")
    assert await customer.create() == 201
    monkeypatch.setattr(rasa.app.ctx.agent.processor.nlg, "generate", generate)
    for text in spoken:
        buttons = [{"title": text.strip()[:100] or "x", "payload": text}]
        saying = {"text": text, "buttons": buttons, "custom": {"metadata": [{text: text}]}}
        said = await customer.say("hello")
        assert valid(said) == said
        assert valid_text(text) in str(said["messages"]) or valid_text(text) in _texts(said["messages"])
        replies = await customer.tell("hello")
        assert valid(replies) == replies
    for text in spoken:
        saying = {"text": text}
        url = f"{rasa.url}/conversations/c-1/trigger_intent?output_channel=latest"
        async with rasa.http.post(url, json={"name": "welcome"}) as answer:
            assert answer.status == 200
    saying = {"text": "the last"}
    said = await customer.messages("hello")
    assert said == [*map(valid_text, spoken), "the last"]


def _texts(messages: Any) -> list[str]:
    if isinstance(messages, list):
        return [text for one in messages for text in _texts(one)]
    if isinstance(messages, dict):
        return [text for one in messages.values() for text in _texts(one)]
    return [messages] if isinstance(messages, str) else []
