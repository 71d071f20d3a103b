"""What a front end sends in odd shapes arrives in words, or is refused aloud; and a turn that fails is told on every channel."""

import json
import logging
import time
from typing import Any

import pytest
from rasa.core.processor import MessageProcessor
from sqlalchemy import update

from rasa_handoff.channel.hosted.request_bodies import NO_OBJECT
from rasa_handoff.guard.refusals import Refusals
from rasa_handoff.relay import inbox
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import (
    FETCHED,
    PUSHED,
    Customer,
    OnBotFramework,
    OnRestStream,
    OnSlack,
    OnTwilio,
    OnTwilioVoice,
)
from tests.rasa.channels.talking import give_back, heard_from_customer, live, resolve, take
from tests.rasa.channels.vendors import Vendors
from tests.rasa.handoff.test_database import NOT_TAKEN

pytestmark = pytest.mark.asyncio(loop_scope="package")

ODD: list[tuple[Any, str]] = [
    (0, "0"),
    (42, "42"),
    (1.5, "1.5"),
    (True, "true"),
    (["red", 2], '["red", 2]'),
    ({"text": "hello", "größe": None}, '{"text": "hello", "größe": null}'),
]
"""What a front end may send as a message, and how an agent reads it."""
WORDS = [words for _, words in ODD]


async def end(rasa: RasaServer, agent: ScriptedAgent, page: ScriptedCustomer, handoff_id: str) -> None:
    """Have the agent resolve, and wait until the bot is active again."""
    await resolve(agent, handoff_id)
    await eventually(lambda: not rasa.channel.relay.silences_bot(str(page.session)))


async def test_a_page_may_say_anything(rasa: RasaServer, thandi: ScriptedAgent, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session) as page:
        handoff_id = await live(page, thandi)
        for odd, _ in ODD:
            await page.sio.emit("user_uttered", {"message": odd, "session_id": session})
        for metadata in ("no JSON", '{"a": 1}', ["a"], 7):
            body = {"message": f"with {metadata}", "session_id": session, "metadata": metadata}
            await page.sio.emit("user_uttered", body)
        await page.sio.emit("user_uttered", {"message": "last", "session_id": session})
        await eventually(lambda: "last" in heard_from_customer(thandi, handoff_id))
        assert heard_from_customer(thandi, handoff_id)[: len(WORDS)] == WORDS
        assert len(heard_from_customer(thandi, handoff_id)) == len(WORDS) + 5
        await end(rasa, thandi, page, handoff_id)


async def test_what_names_no_session_is_refused_aloud(rasa: RasaServer, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session) as page:
        for reported, data in enumerate(("hello", 7, ["hello"], {}, {"message": "hello"}, {"session_id": None}), 1):
            await page.sio.emit("user_uttered", data)
            await eventually(lambda reported=reported: page.texts == [NOT_TAKEN] * reported)
        answer = await page.sio.call("user_uttered", {"message": "hello", "id": "1"}, timeout=10)
        assert (answer["ok"], answer["code"]) == (False, "invalid")


async def test_an_event_with_more_or_fewer_payloads_is_answered_like_any_other(
    rasa: RasaServer, session: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with ScriptedCustomer(rasa.url, session) as page:
        await page.sio.emit("user_uttered", ({"message": "hello", "session_id": session}, None, 5))
        await page.hears("Hello.")
        for event in ("session_request", "typing", "message_read", "user_uttered"):
            await page.sio.emit(event, ())
        await page.hears(NOT_TAKEN)
    assert not [record for record in caplog.records if record.exc_info]


@pytest.mark.parametrize("kind", [kind for kind in (*PUSHED, *FETCHED) if kind.channel in ("callback", "rasa", "rest")])
async def test_a_request_may_say_anything(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent, kind: type[Customer]
) -> None:
    customer = kind(rasa, vendors, id=f"odd-{kind.__name__}", place="odd")
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    for odd, _ in ODD:
        await customer.say(odd)
    await eventually(lambda: len(heard_from_customer(thandi, handoff_id)) == len(ODD))
    assert heard_from_customer(thandi, handoff_id) == WORDS
    await give_back(rasa, thandi, customer, handoff_id)


async def test_a_widgets_constant_id_tells_no_copies(rasa: RasaServer, thandi: ScriptedAgent, session: str) -> None:
    """The customer's id, perhaps: without ``acks`` nobody has agreed on what it means."""
    async with ScriptedCustomer(rasa.url, session) as page:
        handoff_id = await live(page, thandi)
        for text in ("One.", "Two.", "Two.", "One.", "Three."):
            assert await page.say_with_id(text, id="the-customer") == {"ok": True}
        await eventually(lambda: "Three." in heard_from_customer(thandi, handoff_id))
        assert heard_from_customer(thandi, handoff_id) == ["One.", "Two.", "Three."], "copies within a minute"
        received = inbox.received
        a_minute_ago = update(received).where(received.c.conversation_id == session).values(at=time.time() - 61)
        await rasa.channel.relay.store.write(lambda connection: connection.execute(a_minute_ago))
        assert await page.say_with_id("One.", id="the-customer") == {"ok": True}
        await eventually(lambda: heard_from_customer(thandi, handoff_id) == ["One.", "Two.", "Three.", "One."])
        await end(rasa, thandi, page, handoff_id)
        for text in ("hello", "hello"):
            await page.say_with_id(text, id="the-customer")
        await page.say_with_id("show me things", id="the-customer")
        await page.hears("Which one?")
        assert page.texts.count("Hello.") == 1


EVERYWHERE = [*PUSHED, *FETCHED]


@pytest.mark.parametrize("kind", EVERYWHERE, ids=lambda kind: kind.__name__)
async def test_a_turn_that_fails_is_told(
    rasa: RasaServer, vendors: Vendors, kind: type[Customer], monkeypatch: pytest.MonkeyPatch
) -> None:
    customer = kind(rasa, vendors, id=f"55{EVERYWHERE.index(kind)}", place=f"{kind.__name__}-55")

    async def broken(*_: Any) -> None:
        raise LookupError("in this test")

    with monkeypatch.context() as patch:
        patch.setattr(MessageProcessor, "handle_message", broken)
        await customer.say("hello")
        await customer.hears(json.dumps(NOT_TAKEN)[1:-1])
    await customer.say("hello")
    await customer.hears("Hello.")


JSON_CHANNELS = [kind.channel for kind in EVERYWHERE if kind not in (OnTwilio, OnTwilioVoice, OnRestStream)]


@pytest.mark.parametrize("channel", JSON_CHANNELS)
async def test_a_body_that_is_no_object_is_refused_in_one_sentence(
    rasa: RasaServer, channel: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = {"Content-Type": "application/json"}
    for body in ("[]", "7", '"hello"', "null", "", "{", '[{"sender": "odd", "message": "hello"}]'):
        caplog.clear()
        monkeypatch.setattr(
            rasa.channel.guard, "refusals", Refusals()
        )  # or its lines would be left out after the tenth
        async with rasa.http.post(f"{rasa.url}/webhooks/{channel}/webhook", data=body, headers=headers) as answer:
            assert answer.status == 400, body
            assert await answer.json() == {"code": "invalid", "error": NO_OBJECT}
        warned = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert [f"the channel {channel} whose body" in record.getMessage() for record in warned] == [True], body
        assert not warned[0].exc_info


async def test_a_request_without_a_message_only_fetches(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    """A front end that can't be pushed to asks now and then; the agent reads nothing of that."""
    await rasa.texts("I give up completely", sender="asks")
    handoff_id = str((await thandi.take_next())["handoff_id"])
    await rasa.texts("one", sender="asks")
    await thandi.hears("message", text="one")
    await thandi.say(handoff_id, "hello")
    await eventually(lambda: rasa.channel.relay.waiting_entries("customer", "asks"))
    async with rasa.http.post(f"{rasa.url}/webhooks/rest/webhook", json={"sender": "asks"}) as answer:
        assert "hello" in [message.get("text") for message in await answer.json()]
    await rasa.texts("two", sender="asks")
    await thandi.hears("message", text="two")
    texts = [said["text"] for said in thandi.all("message") if said["handoff_id"] == handoff_id]
    assert [text for text in texts if text != "hello"] == ["one", "two"]


async def test_a_channel_whose_requests_name_no_sender_is_logged_once(
    rasa: RasaServer, caplog: pytest.LogCaptureFixture
) -> None:
    for text in ("hello", "hello again"):
        async with rasa.http.post(f"{rasa.url}/webhooks/rest/webhook", json={"message": text}) as answer:
            assert answer.status == 200
    said = [record.getMessage() for record in caplog.records if "names no `sender`" in record.getMessage()]
    assert len(said) == 1
    assert "the channel rest" in said[0]


async def test_what_comes_with_a_message_is_described(
    rasa: RasaServer, thandi: ScriptedAgent, vendors: Vendors
) -> None:
    """Teams sends each text a second time as HTML: the agent reads it once."""
    customer = OnBotFramework(rasa, vendors, id="teams-98", place="botframework-98")
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    copy = {"contentType": "text/html", "content": "<div>My invoice is wrong</div>"}
    customer.attachments = [copy]
    await customer.say("My invoice is wrong")
    customer.attachments = [copy, {"contentType": "image/png", "name": "invoice.png", "contentUrl": "https://files/i"}]
    await customer.say("Look")
    shown = await thandi.hears("message", text="Look [Image: invoice.png https://files/i]")
    picture = {"url": "https://files/i", "name": "invoice.png", "type": "image/png"}
    assert shown["parts"] == [{"type": "text", "text": "Look"}, {"type": "image", "media": picture}]
    words = heard_from_customer(thandi, handoff_id)
    assert words[-2:] == ["My invoice is wrong", "Look [Image: invoice.png https://files/i]"], words
    customer.attachments = ()
    await give_back(rasa, thandi, customer, handoff_id)
    kept = next(event for event in await rasa.events(customer.id) if event.get("text") == shown["text"])
    assert kept["metadata"]["handoff_parts"] == shown["parts"]


async def test_slacks_markup_is_read_and_written_by_nobody(
    rasa: RasaServer, thandi: ScriptedAgent, vendors: Vendors
) -> None:
    customer = OnSlack(rasa, vendors, id="U97", place="C97")
    await customer.say("Is 1 < 2 & 3 > 2?")
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    opened = await thandi.ask("open", handoff_id=handoff_id, after=0)
    assert "Is 1 < 2 & 3 > 2?" in [line["text"] for line in opened["conversation"]["transcript"]]
    for text in ("<b>bold</b> &amp; more", "mail thabo@example.org or see https://example.org/a?b=1&c=2"):
        await customer.say(text)
        await thandi.hears("message", text=text)
    await customer.say_in_markup(
        "ask <@U02|lerato> in <#C1|help>, <https://example.org/x|our page>, <tel:+27115550100|011 555 0100>"
    )
    await thandi.hears(
        "message", text="ask @lerato in #help, our page (https://example.org/x), 011 555 0100 (+27115550100)"
    )
    await thandi.say(handoff_id, "Hello <!channel>, 1 < 2 & so on")
    await customer.hears("Hello &lt;!channel&gt;, 1 &lt; 2 &amp; so on")
    await give_back(rasa, thandi, customer, handoff_id)


async def test_a_deleted_or_edited_message_is_news_for_an_agent_and_not_for_the_bot(
    rasa: RasaServer, thandi: ScriptedAgent, vendors: Vendors
) -> None:
    customer = OnSlack(rasa, vendors, id="U98", place="C98")
    await customer.say("hello")
    await customer.hears("Hello.")
    await customer.edits("hello", now="I give up completely")
    await customer.deletes("hello")
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    await customer.say("My PIN is 1 < 2345")
    await customer.deletes("My PIN is 1 < 2345")
    await customer.deletes("What the bot said", bot_id="B1")
    await customer.say("I meen it")
    await customer.edits("I meen it", now="I mean it")
    await customer.edits("I mean it", now="I mean it", attachments=[{"title": "a preview"}])
    await customer.edits("I mean it", now="This message was deleted.", subtype="tombstone")
    await customer.say("That's all")
    said = await eventually(
        lambda: (words := heard_from_customer(thandi, handoff_id))[-1:] == ["That's all"] and words, what="all of it"
    )
    assert said == [
        "My PIN is 1 < 2345",
        "[Deleted: My PIN is 1 < 2345]",
        "I meen it",
        "[Edited: I mean it]",
        "[Deleted: I mean it]",
        "That's all",
    ]
    events = await rasa.tracker(customer.conversation_id)
    assert "[Edited: I give" not in str(events)
    assert "[Deleted: hello" not in str(events)
    await give_back(rasa, thandi, customer, handoff_id)
