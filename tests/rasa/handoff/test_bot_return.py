"""The way back: the bot takes the conversation again, knows what was settled, and an interrupted form goes on."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from rasa.shared.core.domain import SessionConfig
from sqlalchemy import select

from rasa_handoff.protocol import events as relay_events
from rasa_handoff.protocol.logs import short_id
from rasa_handoff.relay import repository
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials
from tests.rasa.handoff.seen_by_rasa import is_paused, tracker_has


async def hand_over(rasa: RasaServer, agent: ScriptedAgent, how: str = "/execute_handoff") -> str:
    """Have Thabo ask for a person and the agent take it, and return the handoff's id."""
    await rasa.texts(how)
    handoff_id = str((await agent.take_next())["handoff_id"])
    await eventually(lambda: rasa.channel.relay.conversation("thabo").agent)
    return handoff_id


async def resolve(rasa: RasaServer, agent: ScriptedAgent, handoff_id: str, **slots: Any) -> None:
    """Have the agent resolve, and wait until the bot is active again."""
    answer = await agent.ask("resolve", handoff_id=handoff_id, outcome="resolved", note="settled", slots=slots)
    assert answer["ok"], answer
    await eventually(lambda: not rasa.channel.relay.silences_bot("thabo"))


@pytest.mark.every_database
async def test_an_interrupted_form_asks_its_open_question_and_goes_on(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    assert await rasa.texts("I want to move") == ["Which street?"]
    assert await rasa.texts("Long Street 1") == ["Which town?"]
    (queued,) = await rasa.texts("/execute_handoff")  # and not the form's question once more
    assert "number 1" in queued
    conversation = await thandi.take_next()
    handoff_id = conversation["handoff_id"]
    assert [line["text"] for line in conversation["transcript"]][-1] == "Which town?"
    assert [line["text"] for line in conversation["transcript"]].count("Which town?") == 1
    await eventually(lambda: rasa.channel.relay.conversation("thabo").agent)
    assert "Thandi is here" in (await rasa.texts("help me with this"))[0]
    await resolve(rasa, thandi, handoff_id)
    assert (await rasa.tracker())["active_loop"]["name"] == "move_form"
    answers = await rasa.texts("Cape Town")
    assert answers[0] == "Thandi has ended the chat."
    assert "back with me" in answers[1]
    assert answers[2:] == ["Which town?", "Moved to Long Street 1 in Cape Town."]


async def test_what_is_collected_for_the_tracker_is_there_when_the_bot_goes_on(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    """A save loads the whole tracker, so the messages of a live chat are collected; the way back doesn't wait for that."""
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path, tracker_delay=3_600)) as rasa:
        handoff_id = await hand_over(rasa, thandi)
        for number in range(5):
            await rasa.texts(f"word {number}")
            await thandi.say(handoff_id, f"answer {number}")
            await thandi.hears("message", text=f"word {number}")
        live = [event for event in await rasa.events() if event["event"] in ("user", "agent")]
        assert not [event for event in live if (event.get("text") or "").startswith(("word", "answer"))]
        await resolve(rasa, thandi, handoff_id)
        said = [event["text"] for event in await rasa.events() if event["event"] in ("user", "agent") and event["text"]]
        assert sorted(text for text in said if text.startswith("word")) == [f"word {number}" for number in range(5)]
        assert [text for text in said if text.startswith("answer")] == [f"answer {number}" for number in range(5)]
        assert (await rasa.texts("hello"))[-1]


async def test_the_form_goes_on_after_a_chat_longer_than_the_session(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await rasa.texts("I want to move")
    await rasa.texts("Long Street 1")
    handoff_id = await hand_over(rasa, thandi)
    processor = rasa.app.ctx.agent.processor
    processor.domain.session_config = SessionConfig(0.01, True)
    since = time.time()
    await eventually(lambda: time.time() > since + 0.8)
    await resolve(rasa, thandi, handoff_id)
    processor.domain.session_config = SessionConfig(60, True)
    assert (await rasa.texts("Cape Town"))[-1] == "Moved to Long Street 1 in Cape Town."
    assert [event["event"] for event in await rasa.events()].count("session_started") == 1


async def test_in_a_form_with_nobody_there_the_question_is_asked_again(rasa: RasaServer) -> None:
    await rasa.texts("I want to move")
    nobody, question = await rasa.texts("/execute_handoff")
    assert "nobody is there" in nobody
    assert question == "Which street?"
    assert await rasa.texts("Long Street 1") == ["Which town?"]


async def test_a_slot_the_agent_sets_fills_the_form(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await rasa.texts("I want to move")
    await rasa.texts("Long Street 1")
    handoff_id = await hand_over(rasa, thandi)
    await resolve(rasa, thandi, handoff_id, town="Durban")
    await eventually(lambda: tracker_has(rasa, "Moved to Long Street 1 in Durban."))
    assert "Moved to Long Street 1 in Durban." in await rasa.texts("hello")


async def test_a_form_that_ignores_no_intents_is_mended(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    """It takes the request for its answer; the relay takes that back and the form asks again."""
    assert await rasa.texts("start the deaf form") == ["Which street, deaf one?"]
    handoff_id = await hand_over(rasa, thandi)
    await resolve(rasa, thandi, handoff_id)
    tracker = await rasa.tracker()
    assert tracker["slots"]["deaf_street"] is None
    assert tracker["active_loop"].get("name") == "deaf_form"
    assert (await rasa.texts("hello"))[-2] == "Which street, deaf one?"


async def test_a_slot_that_may_not_be_set_is_refused_at_the_desk(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    handoff_id = await hand_over(rasa, thandi)
    answer = await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved", note=None, slots={"secret": "out"})
    assert not answer["ok"]
    assert "secret" in answer["error"]
    assert rasa.channel.relay.silences_bot("thabo")


async def test_only_allowed_slots_are_shown(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await rasa.texts("I want to move")
    await rasa.texts("Long Street 1")
    await rasa.texts("/execute_handoff")
    bot = (await thandi.take_next())["bot"]
    assert bot["slots"] == {"street": "Long Street 1"}
    assert bot["form"] == "move_form"
    plan = next(slot for slot in bot["settable"] if slot["name"] == "plan")
    assert plan["type"] == "categorical"
    assert plan["values"]
    assert "__other__" not in plan["values"]


async def test_the_transcript_is_what_a_person_would_have_seen(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await rasa.texts("show me things")
    await rasa.texts('/greet{"colour": "blue"}')
    await rasa.texts("I give up completely")
    lines = [(line["speaker"], line["text"]) for line in (await thandi.take_next())["transcript"]]
    assert lines == [
        ("customer", "show me things"),
        ("bot", "Which one? [The red one] [The blue one] [Image: http://127.0.0.1/picture.png]"),
        ("customer", "The blue one"),
        ("bot", "Hello."),
        ("customer", "I give up completely"),
        ("bot", "Wait a moment."),
    ]


async def test_the_agent_sees_the_options_and_what_was_chosen(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await eventually(lambda: any(one.staffed for one in rasa.channel.desk.availability.departments))
    await rasa.texts("/provide_handoff_options")
    await rasa.texts('/execute_handoff{"department": "billing"}')
    lines = [(line["speaker"], line["text"]) for line in (await thandi.take_next())["transcript"]]
    assert lines == [
        ("bot", "Who would you like to talk to? [Billing] [Carry on with the bot]"),
        ("customer", "Billing"),
    ]


async def test_a_button_pressed_in_the_chat_reaches_the_agent_by_its_title(
    rasa: RasaServer, thandi: ScriptedAgent
) -> None:
    await rasa.texts("show me things")
    handoff_id = await hand_over(rasa, thandi)
    await rasa.texts('/greet{"colour": "blue"}')
    await thandi.hears("message", text="The blue one", handoff_id=handoff_id)


@pytest.mark.every_database
async def test_the_leaving_word_leaves_the_queue_at_once(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await rasa.texts("/execute_handoff")
    assert await rasa.texts("  DISCONNECT ") == ["You are no longer in the queue."]
    await eventually(lambda: not rasa.channel.relay.silences_bot("thabo"))
    assert await rasa.texts("hello") == ["Hello."]
    assert (await rasa.tracker())["slots"]["handoff_outcome"] == "customer_left"
    await thandi.hears("conversation", state="ended")


async def test_in_a_live_chat_leaving_is_confirmed_once(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    handoff_id = await hand_over(rasa, thandi)
    assert "again to leave" in (await rasa.texts("disconnect"))[-1]
    assert await rasa.texts("no, wait") == []
    await thandi.hears("message", text="no, wait", handoff_id=handoff_id)
    assert "again to leave" in (await rasa.texts("disconnect"))[-1]
    assert await rasa.texts("disconnect") == ["You have left the chat."]
    await eventually(lambda: not rasa.channel.relay.silences_bot("thabo"))
    await thandi.hears("conversation", state="ended")
    assert await rasa.texts("hello") == ["Hello."]


async def test_the_leaving_word_follows_the_language(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await rasa.texts("I give up completely")  # its marker says zu
    assert await rasa.texts("disconnect") == []
    assert await rasa.texts("phuma") == ["You are no longer in the queue."]


async def test_a_customer_who_leaves_in_a_form_hears_its_open_question(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    await rasa.texts("I want to move")
    await rasa.texts("/execute_handoff")
    assert await rasa.texts("disconnect") == ["You are no longer in the queue.", "Which street?"]
    assert await rasa.texts("Long Street 1") == ["Which town?"]


@pytest.mark.every_database
async def test_a_handoff_works_again_and_again(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    seen = set()
    for number in range(4):
        handoff_id = await hand_over(rasa, thandi)
        seen.add(handoff_id)
        await thandi.say(handoff_id, f"number {number}")
        await resolve(rasa, thandi, handoff_id)
        answers = await rasa.texts("hello")
        assert f"number {number}" in answers
        assert answers[-1] == "Hello."
    assert len(seen) == 4


@pytest.mark.every_database
async def test_the_end_is_told_before_the_bots_answer_to_what_was_typed_meanwhile(
    rasa: RasaServer, thandi: ScriptedAgent
) -> None:
    """The customer writes while the conversation is on its way back: their answer comes after the end, not before it."""
    handoff_id = await hand_over(rasa, thandi)
    await rasa.texts("hm")
    lock = rasa.app.ctx.agent.lock_store.lock("thabo")
    async with lock:  # the tracker can't be written yet
        await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved", note=None, slots={})
        await eventually(lambda: rasa.channel.relay.conversation("thabo").state.value == "returning")
        answer = asyncio.create_task(rasa.texts("hello"))
        await eventually(lambda: "thabo" in rasa.channel.interceptor._turns._locks)
    answers = await answer
    assert answers[0] == "Thandi has ended the chat."
    assert "back with me" in answers[1]
    assert answers[2:] == ["Hello."]


async def test_the_end_is_told_first_though_the_answer_was_begun_before_it(
    rasa: RasaServer, thandi: ScriptedAgent
) -> None:
    """The bot becomes active after the interceptor has looked for what waits, and before it looks at who is active."""
    handoff_id = await hand_over(rasa, thandi)
    await rasa.texts("hm")
    interceptor, begun = rasa.channel.interceptor, asyncio.Event()
    once = interceptor._once

    async def held(*message: Any) -> None:
        begun.set()
        await eventually(lambda: rasa.channel.relay.conversation("thabo").state.value == "bot")
        await once(*message)

    interceptor._once = held
    async with rasa.app.ctx.agent.lock_store.lock("thabo"):  # the tracker can't be written yet
        await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved", note=None, slots={})
        await eventually(lambda: rasa.channel.relay.conversation("thabo").state.value == "returning")
        answer = asyncio.create_task(rasa.texts("hello"))
        await begun.wait()
    answers = await answer
    assert [answers[0], answers[-1]] == ["Thandi has ended the chat.", "Hello."]
    assert "back with me" in answers[1]


async def test_an_event_of_an_older_handoff_changes_nothing(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    old = await hand_over(rasa, thandi)
    await resolve(rasa, thandi, old)
    await rasa.texts("hello")
    await hand_over(rasa, thandi)
    relay, before = rasa.channel.relay, rasa.channel.relay.conversation("thabo")
    here = {"conversation_id": "thabo", "handoff_id": old}
    for event in (
        relay_events.HandoffCompleted(**here),
        relay_events.HandoffFailed(**here, reason="x"),
        relay_events.HandoffAccepted(**here),
    ):
        assert await relay.apply(event) == before
    assert relay.conversation("thabo") == before


async def test_words_of_an_older_handoff_are_refused_however_often_they_come(
    rasa: RasaServer, thandi: ScriptedAgent
) -> None:
    """An answer may get lost; what was refused isn't among what the relay says it has, and what was accepted stays so."""
    handoff_id = await hand_over(rasa, thandi)
    say = rasa.channel.desk._on_message
    await thandi.say(handoff_id, "in time", id="told")
    await thandi.hears("message.status", message_id="told", status="waiting")
    assert "in time" in await rasa.texts("thanks")
    await resolve(rasa, thandi, handoff_id)
    await rasa.texts("hello")
    reported = {"handoff_id": handoff_id, "id": "told", "text": "in time", "at": 1.0, "number": await received(rasa)}
    assert await say(reported) == {"ok": True}, "it was heard"
    late = {**reported, "id": "late", "text": "late", "number": reported["number"] + 1}
    for _ in range(2):
        assert (await say(late))["code"] == "ended"
    assert await received(rasa) == reported["number"]


async def received(rasa: RasaServer) -> int:
    """Return the highest number of the desk's messages that the relay has taken in, for the only handoff."""
    query = select(repository.handoffs.c.received)
    return int(await rasa.channel.store.write(lambda connection: connection.execute(query).scalar_one()))


async def test_the_customer_is_told_of_a_transfer(desk: DeskServer, rasa: RasaServer, thandi: ScriptedAgent) -> None:
    handoff_id = await hand_over(rasa, thandi)
    async with ScriptedAgent(desk.url, "pieter@example.com") as pieter:
        answer = await thandi.ask("transfer", handoff_id=handoff_id, department="orders")
        assert answer["ok"], answer
        await pieter.take_next()
        await eventually(lambda: rasa.channel.relay.conversation("thabo").agent == "Pieter")
        answers = await rasa.texts("hello?")
        assert any("passed on to Orders." in answer for answer in answers), answers
        assert answers[-1].startswith("Pieter is here")
        await pieter.hears("message", text="hello?")


@pytest.mark.every_database
@pytest.mark.parametrize("quiet", [True, False])
async def test_the_position_in_the_queue_is_told_except_on_quiet_channels(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path, quiet: bool
) -> None:
    """By the next answer on ``rest`` a position is old, so it is quiet unless the project wants it."""
    more = {} if quiet else {"quiet_channels": ["twilio"]}
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path, **more)) as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        await rasa.texts("/execute_handoff", sender="first")
        assert "number 2" in (await rasa.texts("/execute_handoff"))[0]
        first = await thandi.take_next()
        assert first["short_id"] == short_id("first")
        await eventually(lambda: rasa.channel.relay.conversation("thabo").position == 1)
        assert await rasa.texts("and now?") == ([] if quiet else ["You are now number 1 in the queue."])


async def test_a_project_that_paused_by_itself_is_resumed_when_the_start_fails(rasa: RasaServer) -> None:
    await rasa.texts("hello")
    async with rasa.http.post(f"{rasa.url}/conversations/thabo/tracker/events", json={"event": "pause"}) as answer:
        assert answer.status == 200
    await rasa.texts("/execute_handoff")
    await eventually(lambda: _is_resumed(rasa))
    assert await rasa.texts("hello") == ["Hello."]


async def _is_resumed(rasa: RasaServer) -> bool:
    return not await is_paused(rasa)


async def test_the_way_back_is_made_once_though_the_process_ended_in_it(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the tracker's save and the outbox's commit: the next process repeats the words, not the turn."""
    own = credentials(desk.url, tmp_path)
    async with RasaServer(small_model, tmp_path, own) as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        handoff_id = await hand_over(rasa, thandi)
        relay = rasa.channel.relay
        finish = relay._dispatcher._finish

        async def dies(entries: Any, outcome: Any) -> None:
            if any(entry.name == "back" for entry in entries):
                raise OSError("the process ends here")
            await finish(entries, outcome)

        relay._dispatcher._finish = dies
        await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved", note=None, slots={})
        await eventually(
            lambda: tracker_has(rasa, "You're back with me, the bot. I'm happy to help with anything else.")
        )
    async with RasaServer(small_model, tmp_path, own) as rasa:
        await eventually(lambda: not rasa.channel.relay.silences_bot("thabo"))
        answers = await rasa.texts("hello")
        assert [text for text in answers if "back with me" in text] == answers[-2:-1]
        assert answers[-1] == "Hello."
        assert [event["event"] for event in await rasa.events()].count("resume") == 1


async def test_what_is_on_its_way_when_the_customer_asks_comes_before_the_answer(
    rasa: RasaServer, thandi: ScriptedAgent
) -> None:
    """The lane hasn't found yet that the customer must fetch it; nobody knows that it waits."""
    await rasa.texts("/execute_handoff")
    handoff_id = (await thandi.take_next())["handoff_id"]
    await eventually(lambda: rasa.channel.relay.conversation("thabo").agent)
    await rasa.texts("hello?")
    customers, found = rasa.channel.interceptor._customers, asyncio.Event()
    deliver = customers.deliver
    await eventually(lambda: not customers._waiting, what="all before is told")

    async def held(lane: str, entries: Any) -> Any:
        await found.wait()
        return await deliver(lane, entries)

    customers.deliver = held
    await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved")
    await eventually(lambda: not rasa.channel.relay.under_way)
    answer = await rasa.texts("/greet")
    found.set()
    assert answer[-1] == "Hello."
    assert "back with me" in answer[-2]


async def test_words_that_are_a_buttons_payload_stay_the_customers(rasa: RasaServer, thandi: ScriptedAgent) -> None:
    """Only what begins with ``/`` is a button's payload and nothing else; ``yes`` is a word that anybody may say."""
    title = "Yes, cancel my order"
    shown = {"text": "Sure?", "buttons": [{"title": title, "payload": "yes"}, {"title": "Hello", "payload": "/greet"}]}
    rasa.app.ctx.agent.processor.nlg.responses["utter_greet"] = [shown]
    await rasa.texts("hello")
    await rasa.texts("yes")
    await rasa.texts("/greet")
    handoff_id = await hand_over(rasa, thandi)
    opened = (await thandi.ask("open", handoff_id=handoff_id, after=0))["conversation"]
    reported = [line["text"] for line in opened["transcript"] if line["speaker"] == "customer"]
    assert reported[:3] == ["hello", "yes", "Hello"]
    for text in ("yes", "/greet"):
        await rasa.texts(text)
    await thandi.hears("message", text="yes", handoff_id=handoff_id)
    await thandi.hears("message", text="Hello", handoff_id=handoff_id)
    await eventually(lambda: _agent_was_told(rasa, ["yes", "Hello"]))


async def _agent_was_told(rasa: RasaServer, words: list[str]) -> bool:
    events = await rasa.events()
    return [event["text"] for event in events if (event.get("metadata") or {}).get("speaker") == "customer"] == words
