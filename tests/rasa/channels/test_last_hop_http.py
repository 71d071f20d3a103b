"""The last hop where nothing can be pushed: words count as delivered when the answer was written, or when a mailbox's owner
names them."""

import asyncio
import json
import uuid
from typing import Any
from urllib.parse import urlsplit

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import OnRest
from tests.rasa.channels.talking import give_back, heard_from_customer, in_order, take
from tests.rasa.channels.vendors import Vendors

pytestmark = pytest.mark.asyncio(loop_scope="package")


@pytest.fixture
def customer(rasa: RasaServer, vendors: Vendors) -> OnRest:
    return OnRest(rasa, vendors, id=uuid.uuid4().hex)


async def ask_and_go(rasa: RasaServer, path: str, body: dict[str, Any]) -> None:
    """Ask, and hang up without waiting for the answer."""
    address = urlsplit(rasa.url)
    _, writer = await asyncio.open_connection(address.hostname, address.port)
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    writer.write(head.encode() + content)
    await writer.drain()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("query", ["", "?stream=true"], ids=["answer", "stream"])
async def test_who_hangs_up_before_the_answer_gets_the_words_with_the_next(
    rasa: RasaServer, thandi: ScriptedAgent, customer: OnRest, query: str
) -> None:
    await customer.ask("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    await thandi.say(handoff_id, "Hello?", id=f"{customer.id}-1")
    await thandi.hears("message.status", message_id=f"{customer.id}-1", status="waiting")
    await ask_and_go(rasa, f"/webhooks/rest/webhook{query}", {"sender": customer.id, "message": "just a moment"})
    await thandi.hears("message", handoff_id=handoff_id, text="just a moment")
    assert in_order(["Thandi is here", "Hello?"], await customer.ask("here I am"))
    await thandi.hears("message.status", message_id=f"{customer.id}-1", status="delivered")
    assert await customer.ask("and on") == []
    await thandi.hears("message", handoff_id=handoff_id, text="and on")
    said = heard_from_customer(thandi, handoff_id)
    assert said == ["just a moment", "here I am", "and on"]
    await give_back(rasa, thandi, customer, handoff_id)


async def test_a_turn_once_begun_is_finished_though_the_client_hangs_up(
    rasa: RasaServer, thandi: ScriptedAgent, customer: OnRest
) -> None:
    await ask_and_go(rasa, "/webhooks/rest/webhook", {"sender": customer.id, "message": "I give up completely"})
    await eventually(lambda: rasa.channel.relay.silences_bot(customer.id))
    handoff_id = await take(rasa, thandi, customer)
    assert in_order(["number 1 in the queue", "Thandi is here"], await customer.ask("hello?"))
    await give_back(rasa, thandi, customer, handoff_id)


async def test_words_are_told_in_one_of_two_answers_asked_for_at_once(
    rasa: RasaServer, thandi: ScriptedAgent, customer: OnRest
) -> None:
    await customer.ask("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    for number in range(3):
        await thandi.say(handoff_id, f"Word {number}.", id=f"{customer.id}-{number}")
    await thandi.hears("message.status", message_id=f"{customer.id}-2", status="waiting")
    answers = await asyncio.gather(*(rasa.texts(f"here {number}", customer.id) for number in range(5)))
    reports = [text for answer in answers for text in answer]
    assert [text for text in reports if text.startswith("Word")] == ["Word 0.", "Word 1.", "Word 2."]
    await give_back(rasa, thandi, customer, handoff_id)


class Mailbox:
    """A client of rest that says what it has seen last, and names its own messages."""

    def __init__(self, rasa: RasaServer, sender: str) -> None:
        self.rasa, self.sender = rasa, sender
        self.seen: dict[str, str] = {}
        self.last: str | None = None

    async def ask(self, text: str, id: str | None = None, lost: bool = False) -> list[str]:
        """Ask; a ``lost`` answer was read by nobody."""
        metadata = {"handoff_after": self.last, "handoff_message_id": id or uuid.uuid4().hex}
        answers = await self.rasa.say(text, self.sender, metadata=metadata)
        if not lost:
            self.seen |= {answer["id"]: answer.get("text", "") for answer in answers}
            self.last = answers[-1]["id"] if answers else self.last
        return [answer.get("text", "") for answer in answers]


async def test_a_mailbox_gives_its_words_until_they_are_named(
    rasa: RasaServer, thandi: ScriptedAgent, customer: OnRest
) -> None:
    mailbox = Mailbox(rasa, customer.id)
    await mailbox.ask("I give up completely", lost=True)
    handoff_id = await take(rasa, thandi, customer)
    await thandi.say(handoff_id, "Hello?", id=f"{customer.id}-1")
    await thandi.hears("message.status", message_id=f"{customer.id}-1", status="waiting")
    for lost in (True, False):
        received = await mailbox.ask("are you there?", id="there", lost=lost)
        assert in_order(["Wait a moment.", "number 1 in the queue", "Thandi is here", "Hello?"], received)
    reported = [data for name, data in thandi.received if name == "message.status"]
    assert [data["status"] for data in reported if data["message_id"] == f"{customer.id}-1"] == ["waiting"]
    assert await mailbox.ask("good") == []
    await thandi.hears("message", handoff_id=handoff_id, text="good")
    await thandi.hears("message.status", message_id=f"{customer.id}-1", status="delivered")
    said = heard_from_customer(thandi, handoff_id)
    assert said == ["are you there?", "good"]
    await give_back(rasa, thandi, customer, handoff_id)


async def test_the_bots_own_words_stay_in_the_mailbox_too(rasa: RasaServer, customer: OnRest) -> None:
    mailbox = Mailbox(rasa, customer.id)
    for lost in (True, True, False):
        assert await mailbox.ask("hello", id="one", lost=lost) == ["Hello."]
    assert await mailbox.ask("I want to move") == ["Which street?"]
    said = [event["text"] for event in await rasa.events(customer.id) if event["event"] == "user"]
    assert said == ["hello", "I want to move"], "the same request, sent again, was one turn"


@pytest.mark.parametrize("id", ["an id with blanks", "line\nbreak", "x" * 300])
async def test_an_id_that_the_desk_would_not_take_is_known_all_the_same(
    rasa: RasaServer, thandi: ScriptedAgent, customer: OnRest, id: str
) -> None:
    mailbox = Mailbox(rasa, customer.id)
    await mailbox.ask("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    for _ in range(2):
        await mailbox.ask("are you there?", id=id)
    await mailbox.ask("good")
    await thandi.hears("message", handoff_id=handoff_id, text="good")
    assert heard_from_customer(thandi, handoff_id) == ["are you there?", "good"]
    await give_back(rasa, thandi, customer, handoff_id)


@pytest.mark.parametrize("body", [{}, {"message": None}])
async def test_a_request_without_a_message_is_answered_with_what_waits_and_no_turn(
    rasa: RasaServer, customer: OnRest, body: dict[str, Any]
) -> None:
    await rasa.say("hello", customer.id)
    async with rasa.http.post(f"{rasa.url}/webhooks/rest/webhook", json={"sender": customer.id, **body}) as answer:
        assert (answer.status, await answer.json()) == (200, [])
    said = [event["text"] for event in await rasa.events(customer.id) if event["event"] == "user"]
    assert said == ["hello"]


async def test_who_names_nothing_is_answered_as_ever(rasa: RasaServer, customer: OnRest) -> None:
    assert await rasa.say("hello", customer.id) == [{"recipient_id": customer.id, "text": "Hello."}]
