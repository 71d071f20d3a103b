"""A mailbox that is fetched at once: requests that wait for what is said to their customer, by the customer's token alone."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import pytest

from rasa_handoff.channel.inbound import mailbox_requests
from rasa_handoff.channel.outbound import mailboxes
from rasa_handoff.protocol.tokens import HEADER, Issuer, make_token
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually, within
from tests.rasa.channels.test_customer_media import PDF, uploaded
from tests.rasa.handoff.conftest import credentials

SECRET = "s" * 32
CHANNELS = {
    "socketio": {"session_persistence": True},
    "rest": None,
    "hangouts": None,
    "callback": {"url": "http://127.0.0.1:9/"},
    "tests.rasa.channels.own_channels.CounterInput": None,
}

CARD = {"type": "card", "title": "Karoo", "buttons": [{"title": "Order", "payload": "/order"}]}

Serve = Callable[..., RasaServer]


@pytest.fixture
def serve(small_model: Path, desk: DeskServer, tmp_path: Path) -> Serve:
    def serve(setting: str = "required", **more: Any) -> RasaServer:
        tokens = {"customer_tokens": setting, "customer_token_secrets": [SECRET], "channels": CHANNELS}
        return RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path, **tokens, **more))

    return serve


@pytest.fixture
async def rasa(serve: Serve) -> AsyncIterator[RasaServer]:
    async with serve() as server:
        await eventually(lambda: server.channel.desk.connected)
        yield server


class Answer(NamedTuple):
    """An answer to a request of a mailbox."""

    status: int
    body: Any
    headers: Any

    @property
    def texts(self) -> list[str]:
        return [message.get("text", "") for message in self.body]


class Client:
    """A customer's client on a channel that can't push. ``last``: the id of the last message that it has seen."""

    def __init__(self, rasa: RasaServer, channel: str = "rest", id: str | None = None, **token: Any) -> None:
        self.rasa, self.id, self.last = rasa, id or uuid.uuid4().hex, ""
        self.url = f"{rasa.url}/webhooks/{channel}"
        self.headers = {HEADER: make_token(SECRET, "small", self.id, **token)}

    async def say(self, text: str) -> list[dict[str, Any]]:
        """Say something, and return the answer; what it has isn't named as seen."""
        metadata = {"handoff_after": self.last or None, "handoff_message_id": uuid.uuid4().hex}
        body = {"sender": self.id, "message": text, "metadata": metadata}
        async with self.rasa.http.post(f"{self.url}/webhook", json=body, headers=self.headers) as answer:
            assert answer.status == 200, await answer.text()
            return list(await answer.json())

    async def fetch(self, wait: float | None = None, after: str | None = None, **more: Any) -> Answer:
        """Fetch what there is, or what comes next, and name it with the next request unless ``after`` is given."""
        query = {"sender": self.id, "after": self.last if after is None else after}
        if wait is not None:
            query["wait"] = str(wait)
        headers = more.pop("headers", self.headers)
        async with self.rasa.http.get(f"{self.url}/handoff/messages", params=query, headers=headers, **more) as answer:
            body = await answer.json() if "json" in answer.content_type else await answer.text()
            if isinstance(body, list) and body:
                self.last = body[-1]["id"]
            return Answer(answer.status, body, answer.headers)

    async def hears(self, words: str) -> None:
        """Fetch until a message has these words."""
        while not any(words in text for text in (await self.fetch()).texts):
            pass

    async def is_live(self, agent: ScriptedAgent) -> str:
        """Ask for a person whom the agent is, read all notices, and return the handoff's id."""
        await self.say("/execute_handoff")
        handoff_id = str((await agent.take_next())["handoff_id"])
        await within(self.hears("Thandi is here"), 10)
        await self.fetch(wait=0)
        return handoff_id


def waiting(rasa: RasaServer) -> int:
    """Return how many requests wait."""
    return int(rasa.channel.mailbox_requests.mailboxes.waiting)


def statuses(agent: ScriptedAgent, message_id: str) -> list[str]:
    """Return what became of a message, as the agent was shown it."""
    return [report["status"] for report in agent.all("message.status") if report["message_id"] == message_id]


async def test_an_agents_words_come_at_once_and_count_as_delivered_when_they_are_named(
    rasa: RasaServer, thandi: ScriptedAgent
) -> None:
    client = Client(rasa)
    handoff_id = await client.is_live(thandi)
    for number in range(3):
        asked = asyncio.ensure_future(client.fetch())
        await eventually(lambda: waiting(rasa) == 1)
        await thandi.say(handoff_id, f"Word {number}.", id=f"w-{number}")
        answer = await within(asked, 5)
        assert answer.texts == [f"Word {number}."]
        assert answer.body[0]["id"] == f"w-{number}"
        assert answer.body[0]["handoff_speaker"] == {"kind": "agent", "name": "Thandi"}
        assert answer.headers["Cache-Control"] == "no-store"
        assert statuses(thandi, f"w-{number}") == []
    assert (await client.fetch(wait=0)).texts == []
    await thandi.hears("message.status", message_id="w-2", status="delivered")
    assert [statuses(thandi, f"w-{number}") for number in range(3)] == [["delivered"]] * 3


async def test_what_isnt_named_comes_again_and_with_the_next_answer_too(
    rasa: RasaServer, thandi: ScriptedAgent
) -> None:
    client = Client(rasa)
    handoff_id = await client.is_live(thandi)
    seen = client.last
    await thandi.say(handoff_id, "one", id="w-1")
    assert (await within(client.fetch(after=seen), 5)).texts == ["one"]
    await thandi.say(handoff_id, "two", id="w-2")

    async def both() -> bool:
        return (await client.fetch(after=seen)).texts == ["one", "two"]

    await eventually(both)
    client.last = "w-1"
    assert [answer["text"] for answer in await client.say("thank you")] == ["two"]
    client.last = "w-2"
    assert (await client.fetch(wait=0)).texts == []


async def test_the_bots_words_come_too_and_a_press_is_answered(rasa: RasaServer) -> None:
    client = Client(rasa)
    asked = asyncio.ensure_future(client.fetch())
    await eventually(lambda: waiting(rasa) == 1)
    await client.say("/greet")
    assert (await within(asked, 5)).texts == ["Hello."]
    await client.say("show me things")
    answer = await within(client.fetch(), 5)
    assert any("buttons" in message for message in answer.body), answer.body
    ids = [message["id"] for message in answer.body]
    assert len(set(ids)) == len(ids)


async def test_a_long_poll_ends_with_nothing_and_a_client_says_how_long_it_waits(
    rasa: RasaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(rasa)
    assert (await client.fetch(wait=0)).body == []
    assert (await client.fetch(wait=0.05)).body == []
    monkeypatch.setattr(mailbox_requests, "LONGEST_WAIT", 0.05)
    for wait in (None, 1e9, "nan", "-1", "soon"):
        assert (await within(client.fetch(wait=wait), 5)).body == []  # type: ignore[arg-type]


async def _events(answer: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    """Read a stream: the fields of each event and its data, or a comment."""
    while line := (await answer.content.readline()).decode().rstrip("\n"):
        if line.startswith(":"):
            yield "comment", None
        elif line.startswith("id: "):
            data = (await answer.content.readline()).decode()
            yield line[4:], json.loads(data.removeprefix("data: "))
        assert await answer.content.readline() == b"\n"


async def test_a_stream_brings_each_message_once_and_goes_on_after_the_last_id(
    rasa: RasaServer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mailbox_requests, "COMMENT_SECONDS", 0.1)
    client = Client(rasa)
    handoff_id = await client.is_live(thandi)
    address, query = f"{client.url}/handoff/messages", {"sender": client.id}
    headers = {**client.headers, "Accept": "text/event-stream", "Last-Event-ID": client.last}
    async with rasa.http.get(address, params=query, headers=headers) as stream:
        assert stream.content_type == "text/event-stream"
        assert stream.headers["X-Accel-Buffering"] == "no"
        came = _events(stream)
        for number in range(3):
            await thandi.say(handoff_id, f"Word {number}.", id=f"w-{number}")
            while (event := await within(anext(came), 5))[0] == "comment":
                pass
            assert (event[0], event[1]["text"]) == (f"w-{number}", f"Word {number}.")
        assert await within(anext(came), 5) == ("comment", None)
    await eventually(lambda: waiting(rasa) == 0)
    async with rasa.http.get(address, params=query, headers={**headers, "Last-Event-ID": "w-1"}) as stream:
        assert (await within(anext(_events(stream)), 5))[0] == "w-2"
    await thandi.hears("message.status", message_id="w-1", status="delivered")
    assert "delivered" not in statuses(thandi, "w-2")


@pytest.mark.parametrize("setting", ["required", "optional"])
async def test_who_has_no_token_is_given_neither_messages_nor_a_token(
    serve: Serve, thandi: ScriptedAgent, setting: str
) -> None:
    async with serve(setting) as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        client = Client(rasa)
        handoff_id = await client.is_live(thandi)
        await thandi.say(handoff_id, "a secret", id="w-1")
        wrong: list[dict[str, str]] = [
            {},
            {HEADER: ""},
            {HEADER: "1.0." + "A" * 43},
            Client(rasa).headers,
            Client(rasa, id=client.id, expires=int(time.time()) - 1).headers,
            {HEADER: make_token("x" * 32, "small", client.id)},
            {HEADER: make_token(SECRET, "small", client.id, issuer=Issuer.CHANNEL)},
            {"Authorization": f"Bearer {client.headers[HEADER]}"},
        ]
        for headers in wrong:
            for accept in ("*/*", "text/event-stream"):
                answer = await client.fetch(wait=0, after="", headers={**headers, "Accept": accept})
                assert (answer.status, answer.body["code"]) == (403, "customer_token"), headers
        new = Client(rasa)
        query = {"sender": new.id, "handoff_token": "", "token": new.headers[HEADER]}
        async with rasa.http.get(f"{new.url}/handoff/messages", params=query) as refused:
            assert refused.status == 403
            assert "1." not in await refused.text()
        assert (await client.fetch(wait=0, after="")).texts[-1] == "a secret"


async def test_a_token_that_is_no_longer_enough_when_something_comes_gets_nothing(
    rasa: RasaServer, thandi: ScriptedAgent
) -> None:
    """It has expired meanwhile, or the backend's token was shown, after which one of the channel's isn't enough."""
    client = Client(rasa)
    first = Client(rasa, id=client.id, issuer=Issuer.CHANNEL)
    handoff_id = await first.is_live(thandi)
    asked = asyncio.ensure_future(first.fetch())
    await eventually(lambda: waiting(rasa) == 1)
    assert (await client.fetch(wait=0)).status == 200
    await thandi.say(handoff_id, "for the owner alone", id="w-1")
    assert (await within(asked, 5)).status == 403
    soon = Client(rasa, id=client.id, expires=int(time.time()) + 2)
    client.last = "w-1"
    await client.fetch(wait=0)
    stream = {**soon.headers, "Accept": "text/event-stream"}
    asked = asyncio.ensure_future(soon.fetch(after="w-1", headers=stream))
    await eventually(lambda: waiting(rasa) == 1)
    await eventually(lambda: time.time() > int(soon.headers[HEADER].split(".")[1]))
    await thandi.say(handoff_id, "too late", id="w-2")
    assert "too late" not in str((await within(asked, 5)).body)
    assert (await within(client.fetch(), 5)).texts == ["too late"]


async def test_channels_that_push_and_vendors_have_no_such_address_and_ones_own_has(rasa: RasaServer) -> None:
    for channel, status in {"rest": 200, "counter": 200, "hangouts": 404, "callback": 404, "socketio": 404}.items():
        assert (await Client(rasa, channel).fetch(wait=0)).status == status, channel
    for sender in ("", "x" * 256):
        async with rasa.http.get(f"{rasa.url}/webhooks/rest/handoff/messages", params={"sender": sender}) as answer:
            assert answer.status == 400


async def test_with_tokens_off_there_is_no_such_address(serve: Serve) -> None:
    async with serve("off") as rasa:
        assert (await Client(rasa).fetch(wait=0)).status == 404


async def test_requests_that_wait_are_bounded_and_one_that_hangs_up_makes_room(serve: Serve) -> None:
    async with serve(limits={"waiting_requests": 3, "waiting_requests_per_conversation": 2}) as rasa:
        client, other, third = Client(rasa), Client(rasa), Client(rasa)
        asked = [asyncio.ensure_future(client.fetch()) for _ in range(2)]
        await eventually(lambda: waiting(rasa) == 2)
        refused = await client.fetch()
        assert (refused.status, refused.body["code"], refused.headers["Retry-After"]) == (429, "too_many", "2")
        asked.append(asyncio.ensure_future(other.fetch()))
        await eventually(lambda: waiting(rasa) == 3)
        assert (await third.fetch()).status == 429
        asked[0].cancel()
        await eventually(lambda: waiting(rasa) == 2)
        assert (await third.fetch(wait=0)).status == 200
        assert rasa.channel.guard.refusals.counted["http 429"] == 2
        for task in asked:
            task.cancel()
        await eventually(lambda: waiting(rasa) == 0)


async def test_who_asks_too_often_is_told_so(serve: Serve) -> None:
    async with serve(limits={"events_per_second": 0.1}) as rasa:
        client = Client(rasa)
        answers = [(await client.fetch(wait=0)).status for _ in range(4)]
        assert answers == [200, 200, 429, 429]


async def test_a_request_that_waits_asks_the_database_for_nothing(
    rasa: RasaServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What else the server does meanwhile is other tasks' work, so those of the request are told apart by their task."""
    askers: list[asyncio.Task[Any] | None] = []
    write = rasa.channel.store.write

    async def noted(work: Any) -> Any:
        askers.append(asyncio.current_task())
        return await write(work)

    monkeypatch.setattr(rasa.channel.store, "write", noted)
    mailbox = rasa.channel.mailbox_requests.mailboxes
    own: list[asyncio.Task[Any] | None] = []
    reading, costs = mailbox.next, []

    async def next_noted(reader: Any, seconds: float) -> Any:
        own.append(asyncio.current_task())
        before = askers.count(own[-1])
        found = await reading(reader, seconds)
        costs.append((before, askers.count(own[-1])))
        return found

    monkeypatch.setattr(mailbox, "next", next_noted)
    assert (await Client(rasa).fetch(wait=0.5)).body == []
    ((before, after),) = costs
    assert 0 < before == after == askers.count(own[-1])


async def test_a_stop_ends_what_waits(serve: Serve) -> None:
    async with serve() as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        client = Client(rasa)
        stream = {**client.headers, "Accept": "text/event-stream"}
        asked = [asyncio.ensure_future(client.fetch()), asyncio.ensure_future(client.fetch(headers=stream))]
        await eventually(lambda: waiting(rasa) == 2)
        await rasa.channel._leave()
        answers = await within(asyncio.gather(*asked), 2)
        assert [answer.status for answer in answers] == [200, 200]
        assert answers[0].body == []
        assert (await client.fetch()).status == 503


async def test_the_agent_learns_after_a_moment_that_a_client_names_nothing_or_has_gone(
    rasa: RasaServer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(rasa)
    handoff_id = await client.is_live(thandi)
    monkeypatch.setattr(mailboxes, "NAMED_WITHIN", 0.2)
    await thandi.say(handoff_id, "are you there?", id="w-1")
    await thandi.hears("message.status", message_id="w-1", status="waiting")
    assert (await client.fetch()).texts == ["are you there?"]
    await client.fetch(wait=0)
    await thandi.hears("message.status", message_id="w-1", status="delivered")
    assert statuses(thandi, "w-1") == ["waiting", "delivered"]


async def test_an_agents_file_comes_at_once_with_its_address(
    rasa: RasaServer, thandi: ScriptedAgent, desk: DeskServer
) -> None:
    client = Client(rasa)
    handoff_id = await client.is_live(thandi)
    media = await uploaded(desk, thandi, handoff_id, PDF, "invoice.pdf")
    asked = asyncio.ensure_future(client.fetch())
    await eventually(lambda: waiting(rasa) == 1)
    answer = await thandi.ask(
        "message", handoff_id=handoff_id, id="w-1", text="", parts=[{"type": "file", "media": media}]
    )
    assert answer["ok"], answer
    (message,) = (await within(asked, 10)).body
    payload = message["attachment"]["payload"]
    assert (payload["name"], message["id"]) == ("invoice.pdf", "w-1")
    assert payload["src"].startswith("/webhooks/rest/handoff/media/")
    async with rasa.http.get(rasa.url + payload["src"]) as given:
        assert await given.read() == PDF


async def test_what_is_for_another_channel_of_the_customers_isnt_given(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    client = Client(rasa)
    async with ScriptedCustomer(rasa.url, client.id, token=client.headers[HEADER]) as page:
        await page.say("/execute_handoff")
        handoff_id = (await thandi.take_next())["handoff_id"]
        await page.hears("Thandi is here")
    await thandi.say(handoff_id, "on the page", id="w-1")
    await thandi.hears("message.status", message_id="w-1", status="waiting")
    assert (await client.fetch(wait=0)).texts == []
    await client.say("now by rest")
    assert "on the page" in (await client.fetch(wait=0)).texts


async def test_an_answer_says_who_speaks_as_the_mailbox_does(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    client = Client(rasa)
    handoff_id = await client.is_live(thandi)
    await thandi.ask(
        "message", handoff_id=handoff_id, id="w-1", text="", parts=[{"type": "text", "text": "Look."}, CARD]
    )
    await thandi.hears("message.status", message_id="w-1", status="waiting")
    answered = await client.say("yes?")
    assert {message["handoff_speaker"]["name"] for message in answered} == {"Thandi"}
    assert (await client.fetch(wait=0, after="")).body == answered
    bare = {"sender": client.id, "message": "and?"}
    async with rasa.http.post(f"{client.url}/webhook", json=bare, headers=client.headers) as answer:
        unnamed = await answer.json()
    assert [{**message, "handoff_speaker": None} for message in unnamed] == [
        {**message, "handoff_speaker": None} for message in answered
    ]
    assert not any("handoff_speaker" in message for message in unnamed)


async def test_a_page_of_another_origin_may_fetch(rasa: RasaServer) -> None:
    asks = {
        "Origin": "https://shop.example",
        "Access-Control-Request-Method": "GET",
        "Access-Control-Request-Headers": HEADER,
    }
    async with rasa.http.options(f"{rasa.url}/webhooks/rest/handoff/messages?sender=x", headers=asks) as answer:
        assert answer.status == 200
        assert HEADER.lower() in answer.headers["Access-Control-Allow-Headers"].lower()
    fetched = await (client := Client(rasa)).fetch(wait=0, headers={**client.headers, "Origin": "https://shop.example"})
    assert fetched.headers["Access-Control-Allow-Origin"] == "https://shop.example"
