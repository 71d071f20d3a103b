"""The last hop of the web chat: with acknowledgements each message arrives once, both ways, over reconnects."""

import asyncio
from unittest.mock import AsyncMock

import numpy as np
import pytest
from rasa.core.channels.channel import UserMessage
from sqlalchemy import update

from rasa_handoff.channel.hosted import socketio
from rasa_handoff.relay import inbox
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.channels.talking import heard_from_customer, in_order, live, resolve

pytestmark = pytest.mark.asyncio(loop_scope="package")

OK = {"ok": True}


async def test_words_are_delivered_when_the_page_has_acknowledged(
    rasa: RasaServer, thandi: ScriptedAgent, session: str
) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        handoff_id = await live(page, thandi)
        page.attentive.clear()
        await thandi.say(handoff_id, "Do you read me?", id=f"{session}-1")
        await page.hears("Do you read me?")
        reported = await thandi.hears("message.status", message_id=f"{session}-1", status="waiting")
        assert "acknowledged" in reported["reason"]
        await eventually(lambda: page.texts.count("Do you read me?") > 1, what="told again")
        page.attentive.set()
        await thandi.hears("message.status", message_id=f"{session}-1", status="delivered")
        assert page.shown.count("Do you read me?") == 1, page.received
        await resolve(thandi, handoff_id)
        await page.hears("back with me")


async def test_a_notice_that_is_told_again_says_the_same_although_its_response_has_variations(
    rasa: RasaServer, thandi: ScriptedAgent, session: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them has a picture, and so two parts: a page would take the text of the other for a new message."""
    responses = rasa.app.ctx.agent.processor.nlg.responses
    variations = [{"text": "A person is here."}, {"text": "A person is here.", "image": "https://x.example/a.png"}]
    monkeypatch.setitem(responses, "utter_handoff_joined", variations)
    chosen = iter([variations[0], *[variations[1]] * 20])
    monkeypatch.setattr(np.random, "choice", lambda several: next(chosen) if several == variations else several[0])
    monkeypatch.setattr(socketio, "ACK_SECONDS", 0.2)
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        await page.say("I give up completely")
        await page.hears("number 1 in the queue")
        page.attentive.clear()
        handoff_id = (await thandi.take_next())["handoff_id"]
        await eventually(lambda: page.texts.count("A person is here.") > 1, what="told again")
        page.attentive.set()
        await thandi.say(handoff_id, "Hello.")
        await page.hears("Hello.")
        assert len({one["id"] for one in page.messages if one.get("text") == "A person is here."}) == 1
        await resolve(thandi, handoff_id)


async def test_words_that_were_not_acknowledged_come_again_after_a_reconnect(
    rasa: RasaServer, thandi: ScriptedAgent, session: str
) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        handoff_id = await live(page, thandi)
        page.attentive.clear()
        await thandi.say(handoff_id, "One.", id=f"{session}-1")
        await thandi.say(handoff_id, "Two.", id=f"{session}-2")
        await page.hears("One.")
    async with ScriptedCustomer(rasa.url, session, acks=True) as back:
        await back.hears("Two.")
        assert back.texts == ["One.", "Two."]
        assert back.ids == [f"{session}-1", f"{session}-2"]
        assert page.ids[-1] == f"{session}-1", "the same id, so that a page can drop it"
        await resolve(thandi, handoff_id)
        await back.hears("back with me")
        assert all(back.ids), back.received


async def test_a_page_without_acks_is_told_as_by_rasa(rasa: RasaServer, thandi: ScriptedAgent, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session) as page:
        page.attentive.clear()
        await page.say("I give up completely")
        conversation = await thandi.take_next()
        await thandi.say(conversation["handoff_id"], "Hello.", id=f"{session}-1")
        await thandi.hears("message.status", message_id=f"{session}-1", status="delivered")
        await eventually(lambda: "Hello." in page.texts)
        assert not any(page.ids), page.received
        await resolve(thandi, conversation["handoff_id"])


async def test_a_tab_without_acks_hears_beside_one_with(rasa: RasaServer, thandi: ScriptedAgent, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page, ScriptedCustomer(rasa.url, session) as plain:
        handoff_id = await live(page, thandi)
        await thandi.say(handoff_id, "To both.", id=f"{session}-1")
        await plain.hears("To both.")
        await page.hears("To both.")
        assert plain.texts.count("To both.") == 1
        await resolve(thandi, handoff_id)


async def test_what_the_page_says_twice_is_heard_once_in_a_live_chat(
    rasa: RasaServer, thandi: ScriptedAgent, session: str
) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        handoff_id = await live(page, thandi)
        assert [await page.say_with_id("my order is late", id="late") for _ in range(3)] == [OK, OK, OK]
        assert await page.say_with_id("very late") == OK
        await thandi.hears("message", handoff_id=handoff_id, text="very late")
        said = heard_from_customer(thandi, handoff_id)
        assert said == ["my order is late", "very late"]
        await resolve(thandi, handoff_id)
        await page.hears("back with me")
        assert await page.say_with_id("my order is late", id="late") == OK
        assert await page.say_with_id("hello") == OK
        await page.hears("Hello.")
        assert in_order(["back with me", "Hello."], page.shown)
        assert page.shown[-1] == "Hello.", "the bot answered what had been said to the agent"


@pytest.mark.parametrize("killed", [False, True])
async def test_leaving_is_not_confirmed_by_a_second_copy(
    rasa: RasaServer, thandi: ScriptedAgent, session: str, monkeypatch: pytest.MonkeyPatch, killed: bool
) -> None:
    if killed:  # right after the commit: nothing that comes later is written down
        monkeypatch.setattr(inbox.Inbox, "finish", AsyncMock())
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        handoff_id = await live(page, thandi)
        for _ in range(2):
            assert await page.say_with_id("disconnect", id="leave") == OK
        assert rasa.channel.relay.silences_bot(session)
        assert await page.say_with_id("disconnect", id="really") == OK
        await eventually(lambda: not rasa.channel.relay.silences_bot(session))
        await thandi.hears("conversation", handoff_id=handoff_id, state="ended")


async def test_what_the_page_says_twice_is_one_turn_of_the_bot(rasa: RasaServer, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        answers = await asyncio.gather(*(page.say_with_id("hello", id="same") for _ in range(3)))
        assert answers == [OK, OK, OK]
        assert await page.say_with_id("I want to move") == OK
        await page.hears("Which street?")
        assert page.texts == ["Hello.", "Which street?"]
    said = [event["text"] for event in await rasa.events(session) if event["event"] == "user"]
    assert said == ["hello", "I want to move"]


async def test_a_copy_of_a_request_for_a_person_starts_nothing_after_the_chat(
    rasa: RasaServer, thandi: ScriptedAgent, session: str
) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        assert await page.say_with_id('/execute_handoff{"department": "orders"}', id="person") == OK
        conversation = await thandi.take_next()
        assert await page.say_with_id('/execute_handoff{"department": "orders"}', id="person") == OK
        await resolve(thandi, conversation["handoff_id"])
        await page.hears("back with me")
        assert await page.say_with_id('/execute_handoff{"department": "orders"}', id="person") == OK
        assert not rasa.channel.relay.silences_bot(session)


@pytest.mark.parametrize("acks", [True, False], ids=["acks", "plain"])
async def test_messages_sent_at_once_keep_their_order(
    rasa: RasaServer, thandi: ScriptedAgent, session: str, acks: bool
) -> None:
    words = [f"word {number}" for number in range(30)]
    async with ScriptedCustomer(rasa.url, session, acks=acks) as page:
        await page.say("I give up completely")
        conversation = await thandi.take_next()
        handoff_id = conversation["handoff_id"]
        await page.hears("Thandi is here")
        for word in words:
            await page.say(word)
        await thandi.hears("message", handoff_id=handoff_id, text=words[-1])
        said = heard_from_customer(thandi, handoff_id)
        assert said == words
        await resolve(thandi, handoff_id)
        await page.hears("back with me")
        for text in ("I want to move", "Long Street", "Cape Town"):
            await page.say(text)
        await eventually(lambda: "Cape Town" in page.texts[-1], what=f"{page.texts}")
        assert in_order(["Which street?", "Which town?", "Cape Town"], page.texts)


async def test_the_bots_words_reach_a_page_that_was_away_during_the_turn(rasa: RasaServer, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        page.attentive.clear()
        await page.say("show me things")
        await eventually(lambda: page.texts, what="the first of several words")
    async with ScriptedCustomer(rasa.url, session, acks=True) as back:
        await eventually(lambda: len({*page.ids, *back.ids}) == 2, what=f"{page.received} {back.received}")
        assert back.ids[0] == page.ids[0]
        assert any("attachment" in data for event, data in back.received if event == "bot_uttered")


async def test_a_message_that_names_no_session_is_refused_aloud(rasa: RasaServer, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        page.session = ""
        answer = await page.say_with_id("hello")
        assert (answer["ok"], answer["code"]) == (False, "invalid")


async def as_if_killed_before_done(rasa: RasaServer, session: str) -> None:
    """Make the inbox what a process leaves that is killed between a turn's end and noting it as done."""
    undone = update(inbox.received).where(inbox.received.c.conversation_id == session).values(done=False)
    await rasa.channel.relay.store.write(lambda connection: connection.execute(undone).rowcount)


async def test_a_finished_turn_is_not_run_again_but_told_again(rasa: RasaServer, session: str) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        assert await page.say_with_id("show me things", id="once") == OK
        await eventually(lambda: len(page.ids) == 2)
        await as_if_killed_before_done(rasa, session)
        assert await page.say_with_id("show me things", id="once") == OK
        await eventually(lambda: len(page.ids) == 4)
        assert page.ids[2:] == page.ids[:2], "the same ids, so that a page drops what it has"
    said = [event for event in await rasa.events(session) if event["event"] in ("user", "bot")]
    assert [event["event"] for event in said].count("user") == 1


async def test_a_turn_that_was_cut_off_is_run(rasa: RasaServer, session: str) -> None:
    await inbox.Inbox(rasa.channel.relay.store).begin(session, "cut")
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        assert await page.say_with_id("hello", id="cut") == OK
        await page.hears("Hello.")


async def test_a_handoff_that_a_finished_turn_asked_for_is_still_made(
    rasa: RasaServer, thandi: ScriptedAgent, session: str
) -> None:
    async with ScriptedCustomer(rasa.url, session, acks=True) as page:
        agent = rasa.app.ctx.agent
        await inbox.Inbox(rasa.channel.relay.store).begin(session, "asked")
        await agent.handle_message(UserMessage("I give up completely", None, session, message_id="asked"))
        assert await page.say_with_id("I give up completely", id="asked") == OK
        conversation = await thandi.take_next()
        await eventually(lambda: in_order(["Wait a moment.", "number 1 in the queue"], page.texts))
        await as_if_killed_before_done(rasa, session)
        assert await page.say_with_id("I give up completely", id="asked") == OK
        await resolve(thandi, conversation["handoff_id"])
        await page.hears("back with me")
        await as_if_killed_before_done(rasa, session)
        assert await page.say_with_id("I give up completely", id="asked") == OK
        assert not rasa.channel.relay.silences_bot(session)
        assert heard_from_customer(thandi, conversation["handoff_id"]) == []


async def test_both_tabs_are_told_though_one_acknowledgement_is_enough(
    rasa: RasaServer, thandi: ScriptedAgent, session: str
) -> None:
    async with (
        ScriptedCustomer(rasa.url, session, acks=True) as page,
        ScriptedCustomer(rasa.url, session, acks=True) as other,
    ):
        handoff_id = await live(page, thandi)
        other.attentive.clear()
        await thandi.say(handoff_id, "To both.", id=f"{session}-1")
        await thandi.hears("message.status", message_id=f"{session}-1", status="delivered")
        await other.hears("Thandi is here")
        await page.hears("To both.")
        await other.hears("To both.")
        assert page.texts.count("To both.") == other.texts.count("To both.") == 1
        await resolve(thandi, handoff_id)
