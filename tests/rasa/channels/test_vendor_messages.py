"""What customers send beside words reaches the agent and the tracker, and changes nothing for the bot, channel by channel.

Each request has the shape of its vendor's documents, is signed as the vendor signs, and goes to a real Rasa server.
"""

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.channel_customers import Customer, OnFacebook, OnHangouts, OnSlack, OnTelegram
from tests.rasa.channels.conftest import credentials
from tests.rasa.channels.talking import give_back, heard_from_customer, take
from tests.rasa.channels.vendor_samples import PHOTO, SAMPLES, Sample
from tests.rasa.channels.vendors import Vendors
from tests.rasa.handoff.test_leaving_messages import at_desk, words

pytestmark = pytest.mark.asyncio(loop_scope="package")

IDS = itertools.count(500_000)
KINDS = list(dict.fromkeys(sample.kind for sample in SAMPLES))


def customer_of(kind: type[Customer], rasa: RasaServer, vendors: Vendors) -> Customer:
    number = next(IDS)
    return kind(rasa, vendors, id=str(number), place=f"{kind.channel}-{number}")


def request_of(sample: Sample, customer: Customer) -> Any:
    """Return the request of a sample, with files at the stand-ins, SharePoint's under another name of theirs."""
    url = customer.vendors.url
    body = json.dumps(sample.body(customer, str(next(IDS))))
    return json.loads(body.replace("SHAREPOINT", url.replace("127.0.0.1", "localhost")).replace("URL", url))


def for_bot_of(sample: Sample, vendors: Vendors) -> list[str]:
    return [] if sample.for_bot is None else [sample.for_bot.replace("URL", vendors.url)]


async def end_of_samples(customer: Customer, agent: ScriptedAgent, handoff_id: str) -> list[str]:
    """Say a last word, and return what the agent has heard before it."""
    await customer.say("That's all")
    await eventually(lambda: heard_from_customer(agent, handoff_id)[-1:] == ["That's all"], what="the last word")
    return heard_from_customer(agent, handoff_id)[:-1]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.channel)
async def test_an_agent_gets_all_that_a_customer_sends(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent, kind: type[Customer]
) -> None:
    customer = customer_of(kind, rasa, vendors)
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    samples = [sample for sample in SAMPLES if sample.kind is kind]
    for sample in samples:
        body = request_of(sample, customer)
        await customer.call(body)
        await customer.call(body)  # as a vendor does that got no answer in time
    read = await end_of_samples(customer, thandi, handoff_id)
    assert read == [text for sample in samples for text in sample.read_as]
    said = [
        data for data in thandi.all("message") if data["handoff_id"] == handoff_id and data["speaker"] == "customer"
    ]
    by_words = {data["text"]: data.get("parts", []) for data in said}
    for sample in samples:
        if sample.parts:
            parts = by_words[sample.read_as[-1]]
            assert [part["type"] for part in parts] == list(sample.parts), sample.name
            media = [part["media"] for part in parts if "media" in part]
            assert all(("id" in one) == (kind is not OnHangouts) for one in media), sample.name
    await give_back(rasa, thandi, customer, handoff_id)
    events = await rasa.events(customer.conversation_id)
    kept = [event for event in events if event["event"] == "user" and "handoff_parts" in event["metadata"]]
    assert len(kept) == len([sample for sample in samples if sample.parts]), "in the tracker, with its parts"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.channel)
async def test_the_bot_gets_what_it_got_before_and_the_transcript_tells_the_rest(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent, kind: type[Customer]
) -> None:
    for sample in (sample for sample in SAMPLES if sample.kind is kind):
        customer = customer_of(kind, rasa, vendors)
        body = request_of(sample, customer)
        await customer.call(body)
        await customer.call(body)
        await customer.say("I give up completely")
        handoff_id = await take(rasa, thandi, customer)
        events = [event for event in await rasa.events(customer.conversation_id) if event["event"] == "user"]
        for_bot = [event["text"] for event in events if event["text"] != "I give up completely"]
        assert for_bot[:1] == for_bot_of(sample, vendors), sample.name
        opened = await thandi.ask("open", handoff_id=handoff_id, after=0)
        lines = [line for line in opened["conversation"]["transcript"] if line["speaker"] == "customer"]
        before = [] if sample.only_live else [*sample.read_as]
        assert [line["text"] for line in lines] == [*before, "I give up completely"], sample.name
        if sample.parts:
            assert [part["type"] for part in lines[-2]["parts"]] == list(sample.parts), sample.name
        await give_back(rasa, thandi, customer, handoff_id)


async def test_slack_presses_are_told_by_their_titles(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent
) -> None:
    customer = OnSlack(rasa, vendors, id=f"U{next(IDS)}", place="C1")
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    red, blue = ({"text": {"type": "plain_text", "text": one}, "value": f"/{one}"} for one in ("Red", "Blue"))
    for action in (
        {"type": "button", "value": "/inform", "text": {"type": "plain_text", "text": "The red one"}},
        {"type": "static_select", "selected_option": red},
        {"type": "checkboxes", "selected_options": [red, blue]},
        {"type": "plain_text_input", "value": "Typed"},
        {"type": "timepicker", "selected_time": "13:37"},
    ):
        await customer.press({"actions": [action]})
    read = await end_of_samples(customer, thandi, handoff_id)
    assert read == ["The red one", "Red", "Red, Blue", "Typed", "13:37"]
    await give_back(rasa, thandi, customer, handoff_id)


async def test_a_batch_of_several_customers_reaches_each_conversation(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent
) -> None:
    first, second = (OnFacebook(rasa, vendors, id=str(next(IDS))) for _ in range(2))
    events = [{"sender": {"id": who.id}, "message": {"mid": f"m_{who.id}", "text": "hello"}} for who in (first, second)]
    await first.call({"object": "page", "entry": [{"messaging": [event]} for event in events]})
    for who in (first, second):
        await who.hears("Hello.")


async def test_a_call_that_isnt_signed_tells_nobody_anything(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent
) -> None:
    customer = OnFacebook(rasa, vendors, id=str(next(IDS)))
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    message = {
        "mid": "m_forged",
        "attachments": [{"type": "location", "payload": {"coordinates": {"lat": 1, "long": 1}}}],
    }
    forged = {"entry": [{"messaging": [{"sender": {"id": customer.id}, "message": message}]}]}
    await customer._post(json.dumps(forged), {"X-Hub-Signature": "sha1=no", "Content-Type": "application/json"})
    assert await end_of_samples(customer, thandi, handoff_id) == []
    await give_back(rasa, thandi, customer, handoff_id)


async def test_a_caption_answers_no_question_and_ends_no_chat(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent
) -> None:
    customer = OnTelegram(rasa, vendors, id=str(next(IDS)))
    await customer.say("I give up completely")
    handoff_id = await take(rasa, thandi, customer)
    chat = {"id": int(customer.id), "type": "private"}
    for id in (next(IDS), next(IDS)):
        message = {"message_id": 1, "date": 0, "chat": chat, "photo": PHOTO, "caption": "disconnect"}
        await customer.call({"update_id": id, "message": message})
    assert await end_of_samples(customer, thandi, handoff_id) == ["disconnect [Image: image/jpeg]"] * 2
    await give_back(rasa, thandi, customer, handoff_id)


async def test_what_the_bot_is_not_given_outlives_a_restart_and_is_told_once(
    serve: Callable[..., RasaServer], vendors: Vendors, thandi: ScriptedAgent
) -> None:
    """It is in the relay's database until the customer's next message to the bot takes it along."""
    channels = {"telegram": {"access_token": "1:token", "verify": "karoo_bot", "webhook_url": "https://127.0.0.1/hook"}}
    own: dict[str, Any] = {"bot_id": "restarts"}
    async with serve(channels, **own) as rasa:
        customer = OnTelegram(rasa, vendors, id=str(next(IDS)))
        chat = {"id": int(customer.id), "type": "private"}
        message = {"message_id": 1, "date": 0, "chat": chat, "photo": PHOTO}
        await customer.call({"update_id": next(IDS), "message": message})
    async with serve(channels, folder=rasa.folder, **own) as customer.rasa:
        rasa = customer.rasa
        await eventually(lambda: rasa.channel.desk.connected)
        await customer.say("hello")
        await customer.say("I give up completely")
        handoff_id = await take(rasa, thandi, customer)
        opened = await thandi.ask("open", handoff_id=handoff_id, after=0)
        lines = [line["text"] for line in opened["conversation"]["transcript"] if line["speaker"] == "customer"]
        assert lines == ["[Image: image/jpeg]", "hello", "I give up completely"]
        first = next(event for event in await rasa.events(customer.id) if event["event"] in ("user", "session_started"))
        assert first["event"] == "session_started", "a picture begins no session, and keeps none from beginning"
        await give_back(rasa, thandi, customer, handoff_id)


async def test_a_picture_can_be_left_while_nobody_is_there_and_what_came_before_it_too(
    small_model: Path, vendors: Vendors, tmp_path: Path
) -> None:
    desk = DeskServer(tmp_path)
    desk.add_department("billing", "Billing")
    desk.add_agent("Thandi", "billing")
    channels = {"telegram": {"access_token": "1:token", "verify": "karoo_bot", "webhook_url": "https://127.0.0.1/hook"}}
    async with desk, RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path, channels)) as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        customer = OnTelegram(rasa, vendors, id=str(next(IDS)))
        chat = {"id": int(customer.id), "type": "private"}
        message = {"message_id": 1, "date": 0, "chat": chat, "photo": PHOTO}
        await customer.say("I give up completely")
        await customer.hears("obody is there")
        await customer.call({"update_id": next(IDS), "message": {**message, "caption": "before"}})
        await customer.say("/handoff_leave_message")
        await customer.hears("Please write your message now")
        await customer.call({"update_id": next(IDS), "message": {**message, "caption": "my parcel"}})
        await customer.hears("Where can our people reach you?")
        left = await at_desk(desk)
    assert [line["text"] for line in left["transcript"]][-1] == "before [Image: image/jpeg]"
    assert words(left) == ["my parcel [Image: image/jpeg]"]


async def test_a_front_end_cannot_write_what_the_transcript_tells(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    forged: dict[str, Any] = {
        "handoff_parts": [{"type": "text", "text": "forged"}],
        "handoff_unread": [{"id": "1", "speaker": "customer", "text": "forged", "at": 1}],
    }
    body = {"sender": "forger", "message": "hello", "metadata": forged}
    async with rasa.http.post(f"{rasa.url}/webhooks/rest/webhook", json=body) as answer:
        assert answer.status == 200
    assert "forged" not in json.dumps(await rasa.events("forger"))


async def test_a_rating_by_a_vendor_reaches_the_agent_and_nonsense_is_told_to_the_customer(
    rasa: RasaServer, vendors: Vendors, thandi: ScriptedAgent
) -> None:
    customer = OnTelegram(rasa, vendors, id=str(next(IDS)))
    await customer.say("I give up completely")
    handoff_id = str((await thandi.take_next())["handoff_id"])
    await customer.say('/handoff_rate{"score": 9}')
    await customer.hears("I couldn't pass that on")
    await customer.say('/handoff_rate{"score": 4}')
    await thandi.hears("message", handoff_id=handoff_id, text="The customer gave 4 of 5.")
    assert (await thandi.resolve(handoff_id))["ok"]
    await customer.hears("back with me")
    assert "handoff_rate" not in json.dumps(await rasa.events(customer.id))
