"""Texts of every kind on Kommunicate, both ways and in its REST API's answers: they arrive, or are refused aloud."""

import json
import math
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp.web as web
import pytest

from rasa_handoff.platforms.kommunicate.api import Caller
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.text import valid, valid_text
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.waiting import eventually
from tests.rasa.platforms.kommunicate_caller import Account, Kommunicate, settings
from tests.rasa.platforms.rest_api import RestApi
from tests.support import texts

MANY = texts.COUNT
EVERY_KIND = [text for text in texts.some(MANY, seed=6) if len(text) < 1000 and not text.lstrip().startswith("/")]
"""Each is a turn of the bot's. Left out are very long ones, for which its NLU takes seconds, and what Rasa reads as a payload."""
SOME = EVERY_KIND[:60]
KEYS = {text: [text, {text: math.pi}] for text in SOME}

pytestmark = pytest.mark.timeout(90 + MANY / 2)


@pytest.fixture(params=["sqlite", "postgres"])
async def rasa(
    platform_model: Path, tmp_path: Path, api: RestApi, request: pytest.FixtureRequest
) -> AsyncIterator[RasaServer]:
    """The tracker store is all the database that a platform's channel has."""
    endpoints = None
    if request.param == "postgres":
        endpoints = {"tracker_store": request.getfixturevalue("postgres_server").fresh().tracker_store()}
    own = settings(account_token="abcdef", api_key="key", api_url=api.url)
    async with RasaServer(platform_model, tmp_path, own, endpoints) as server:
        yield server


async def said_to_the_bot(rasa: RasaServer, conversation_id: str) -> list[str]:
    tracker = await rasa.app.ctx.agent.tracker_store.retrieve_full_tracker(conversation_id)
    assert tracker is not None, conversation_id
    events = [event.as_dict() for event in tracker.events]
    assert valid(events) == events
    said: list[str] = []
    taken_back = False
    for event in events:
        taken_back = taken_back or event["event"] == "rewind"
        if event["event"] == "user" and not event["text"].startswith("EXTERNAL: "):
            if not (taken_back and said[-1] == event["text"]):  # a fallback that has asked twice repeats the words
                said.append(event["text"])
            taken_back = False
    return said


async def test_customers_words_ids_and_keys(rasa: RasaServer) -> None:
    """A conversation for each twenty texts; its id has a text too."""
    for start in range(0, len(EVERY_KIND), 20):
        some, group = EVERY_KIND[start : start + 20], f"g{start} {SOME[start % len(SOME)]}"[:200]
        customer = Kommunicate(rasa, group)
        for text in some:
            more = {"metadata": KEYS} if text is some[0] else {}
            await customer.say(text, **{"from": text, **more, text: text} if text != "botId" else {})
        received = await said_to_the_bot(rasa, valid_text(group).strip())
        assert received == [words for text in some if (words := valid_text(text).strip())]


async def test_what_the_bot_says(rasa: RasaServer, api: RestApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """In an answer, and when nobody has called: by the API."""
    customer, spoken = Kommunicate(rasa), [text for text in SOME[: max(25, MANY // 4)] if valid_text(text).strip()]
    saying: dict[str, Any] = {}

    async def generate(*_: Any, **__: Any) -> dict[str, Any]:
        return dict(saying)

    nlg = rasa.app.ctx.agent.processor.nlg
    await customer.say("hello")
    monkeypatch.setattr(nlg, "generate", generate)
    for text in spoken:
        saying = {
            "text": text,
            "buttons": [{"title": text or "x", "payload": text}],
            "custom": {"metadata": {text: text}},
        }
        said = await customer.say("hello")
        assert valid(said) == said
        assert said[0]["message"] == valid_text(text)
        assert said[-1]["metadata"] == {valid_text(text): valid_text(text)}
    for text in spoken:
        saying = {"text": text, "custom": {"metadata": {text: text}}}
        url = f"{rasa.url}/conversations/4711/trigger_intent?output_channel=latest"
        async with rasa.http.post(url, json={"name": "welcome"}) as answer:
            assert answer.status == 200
    await eventually(lambda: len(api.messages) == len(spoken))
    assert api.said == [valid_text(text) for text in spoken]
    assert valid(api.messages) == api.messages


async def test_what_the_account_webhook_tells(rasa: RasaServer) -> None:
    customer, account = Kommunicate(rasa), Account(rasa)
    await customer.say("hello")
    await customer.say("/give_up")
    for text in SOME:
        await account.tell(account.body(text, sender=f"{text} thandi", metadata=KEYS, **{f"{text} field": text}))
    await account.tell(account.body("the last"))
    tracker = await rasa.app.ctx.agent.tracker_store.retrieve_full_tracker("4711")
    events = [event.as_dict() for event in tracker.events]
    assert valid(events) == events
    assert [event["text"] for event in events if event["event"] == "agent"] == [
        *(words for text in SOME if (words := valid_text(text).strip())),
        "the last",
    ]


class Answers:
    """``async with Answers() as api``: a REST API that answers with these bytes, one after the other, and notes what it read."""

    def __init__(self) -> None:
        self.answer, self.status = b"", 200
        self.received: list[tuple[str, Any, dict[str, str]]] = []

    async def __aenter__(self) -> "Answers":
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read() or b"null")
        self.received.append((request.headers["Of-User-Id"], body, dict(request.query)))
        return web.Response(body=self.answer, status=self.status, content_type="application/json")


CONTROLS = re.compile("[\x01-\x08\x0a-\x1f\x7f]")
"""What a header, in which the user's id goes, can't carry: not sent, or refused with 400."""
ODD = (b"", b"\xff\xfe{", b'"\\ud83d"', b"[" * 100_000, b'{"status":"error","errorResponse":7}', b"1" * 5000, b"null")


async def test_what_the_rest_api_answers() -> None:
    """Whatever it is, the call was taken or it wasn't, and nothing else comes of it."""
    async with Answers() as api:
        caller = Caller(api.url, "key")
        answers: list[Any] = [*EVERY_KIND, KEYS, 7, None, True, [], [None], {}]
        for one in answers:
            shapes = (one, {"status": one}, {"response": one}, {"status": "error", "errorResponse": one})
            shapes += ({"status": "error", "errorResponse": [{"errorCode": one, "description": one}]},)
            for shape in shapes:
                api.answer = json.dumps(shape).encode()
                refused = isinstance(shape, dict) and shape.get("status") == "error"
                await _called(caller, refused)
        for body in ODD:
            api.answer = body
            await _called(caller, refused=b"error" in body)
        api.answer, api.status = json.dumps({"message": SOME}).encode(), 404
        await _called(caller, refused=True)


async def _called(caller: Caller, refused: bool) -> None:
    if not refused:
        await caller.call("shop-bot", "POST", "/rest", json={})
        return
    with pytest.raises(Unreachable) as refusal:
        await caller.call("shop-bot", "POST", "/rest", json={})
    assert str(refusal.value).isprintable()


async def test_what_the_rest_api_is_sent() -> None:
    """Words, ids and names of every kind; what no header or address can carry is refused aloud."""
    async with Answers() as api:
        caller = Caller(api.url, "key")
        for text in SOME:
            made = valid_text(text)
            call = caller.call(f"u{made}", "POST", "/rest", json={made: [made]}, params={"assignee": made})
            if CONTROLS.search(made):
                with pytest.raises(Unreachable, match=r"can't be sent|answered"):
                    await call
                continue
            await call
            assert api.received[-1][1:] == ({made: [made]}, {"assignee": made})
        await caller.call("shop-bot", "POST", "/rest", json=valid(KEYS))
        assert api.received[-1][1] == valid(KEYS)
