"""The pause holds: whatever happens during a live chat, the bot doesn't speak and learns nothing."""

import asyncio
import datetime
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from rasa.core.channels.channel import CollectingOutputChannel, UserMessage
from rasa.shared.core.domain import SessionConfig
from rasa.shared.core.events import Event, ReminderScheduled, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.relay.relay import TRACKER
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.conftest import credentials
from tests.rasa.handoff.seen_by_rasa import all_is_told, tracker_has
from tests.support.forked_rasa import forked_rasa


@pytest.fixture
async def live(rasa: RasaServer, thandi: ScriptedAgent) -> tuple[RasaServer, ScriptedAgent, str]:
    """A customer, in a live chat with Thandi after having greeted the bot."""
    await rasa.texts("hello")
    handoff_id = await go_live(rasa, thandi)
    return rasa, thandi, handoff_id


async def go_live(rasa: RasaServer, agent: ScriptedAgent) -> str:
    """Have Thabo ask for a person and the agent take it, and return the handoff's id once he has heard who is here."""
    await rasa.texts("/execute_handoff")
    handoff_id = str((await agent.take_next())["handoff_id"])
    await eventually(lambda: rasa.channel.relay.conversation("thabo").agent)
    received = await rasa.texts("are you there")
    await agent.hears("message", text="are you there", handoff_id=handoff_id)
    while not any("Thandi is here" in text for text in received):  # the notice was still on its way
        await eventually(
            lambda: rasa.channel.relay.waiting_entries("customer", "thabo"), what="the notice of who is here"
        )
        received += await rasa.texts("still there")
    return handoff_id


Live = tuple[RasaServer, ScriptedAgent, str]


async def reaches_the_agent_alone(live: Live, text: str, reads: str | None = None) -> None:
    """Check that the bot doesn't answer the text, and the agent reads it (or ``reads`` in its place)."""
    rasa, thandi, handoff_id = live
    assert await rasa.texts(text) == []
    await thandi.hears("message", text=reads or text, handoff_id=handoff_id)
    assert rasa.channel.relay.silences_bot("thabo")


def expire_sessions(rasa: RasaServer) -> None:
    """From now on a session expires after 60 ms of silence."""
    rasa.app.ctx.agent.processor.domain.session_config = SessionConfig(0.001, True)


@pytest.mark.parametrize("text", ["/restart", "/session_start", "/greet", '/greet{"colour": "blue"}', "hello"])
async def test_whatever_is_typed_goes_to_the_agent(live: Live, text: str) -> None:
    await reaches_the_agent_alone(live, text)
    await reaches_the_agent_alone(live, "and more")


async def test_an_expired_session_keeps_the_pause(live: Live) -> None:
    rasa, _, _ = live
    expire_sessions(rasa)
    since = time.time()
    await eventually(lambda: time.time() > since + 0.2)
    await reaches_the_agent_alone(live, "still here")
    await eventually(lambda: tracker_has(rasa, "still here"))
    assert (await rasa.tracker())["paused"]
    assert [event["event"] for event in await rasa.events()].count("session_started") == 1


async def test_a_reminder_stays_silent(live: Live) -> None:
    rasa, _, _ = live
    said = await _bot_words(rasa)
    processor = rasa.app.ctx.agent.processor
    in_a_moment = datetime.datetime.now() + datetime.timedelta(milliseconds=100)
    reminder = ReminderScheduled("greet", in_a_moment, name="soon", kill_on_user_message=False)
    output = rasa.channel.channels["rest"].get_output_channel()
    async with processor.lock_store.lock("thabo"):
        tracker = await processor.get_tracker("thabo")
        tracker.update(reminder, processor.domain)
        await processor.save_tracker(tracker)
        await processor.execute_side_effects([reminder], tracker, output)
    scheduler = await _scheduler()
    assert scheduler.get_jobs()
    await eventually(lambda: not scheduler.get_jobs(), what="the reminder falls due")
    await reaches_the_agent_alone(live, "and now")
    assert await _bot_words(rasa) == said


async def _scheduler() -> Any:
    from rasa.core import jobs

    return await jobs.scheduler()


async def test_an_external_intent_stays_silent(live: Live) -> None:
    rasa, _, _ = live
    said = await _bot_words(rasa)
    async with rasa.http.post(
        f"{rasa.url}/conversations/thabo/trigger_intent?output_channel=latest", json={"name": "greet"}
    ) as answer:
        assert (await answer.json())["messages"] == []
    assert await _bot_words(rasa) == said


async def test_execute_and_predict_stay_silent(live: Live) -> None:
    rasa, _, _ = live
    said = await _bot_words(rasa)
    async with rasa.http.post(f"{rasa.url}/conversations/thabo/execute", json={"name": "utter_greet"}) as answer:
        assert (await answer.json())["messages"] == []
    async with rasa.http.post(f"{rasa.url}/conversations/thabo/predict") as answer:
        assert answer.status == 200, await answer.text()
    assert await _bot_words(rasa) == said


@pytest.mark.parametrize("event", [{"event": "resume"}, {"event": "restart"}, {"event": "session_started"}])
async def test_a_tracker_changed_from_outside_changes_nothing_for_the_desk(live: Live, event: dict[str, str]) -> None:
    """The relay's store is the truth of the pause; what anybody writes into the tracker isn't."""
    rasa, _, _ = live
    said = await _bot_words(rasa)
    async with rasa.http.post(f"{rasa.url}/conversations/thabo/tracker/events", json=event) as answer:
        assert answer.status == 200
    await reaches_the_agent_alone(live, "hello")
    async with rasa.http.post(f"{rasa.url}/conversations/thabo/trigger_intent", json={"name": "greet"}) as answer:
        assert (await answer.json())["messages"] == []
    assert await _bot_words(rasa) in (said, [])


async def test_words_appended_from_outside_are_the_bots_alone_to_say(
    rasa: RasaServer, thandi: ScriptedAgent, caplog: pytest.LogCaptureFixture
) -> None:
    async with ScriptedCustomer(rasa.url, "thabo") as page:
        await page.say("hello")
        await page.hears("Hello.")
        await append(rasa, {"event": "bot", "text": "From outside."})
        await page.hears("From outside.")
        await page.say("/execute_handoff")
        handoff_id = str((await thandi.take_next())["handoff_id"])
        await page.hears("Thandi is here")
        await append(rasa, {"event": "resume"}, {"event": "bot", "text": "Behind the agent's back."})
        await thandi.say(handoff_id, "I'm reading.")
        await page.hears("I'm reading.")
        assert "Behind the agent's back." not in page.texts
        assert "Messages of the bot for decaf8a6 were not sent: an agent has the conversation." in caplog.text


async def test_a_pause_of_ours_holds_while_the_relay_has_lost_its_record(rasa: RasaServer) -> None:
    async with ScriptedCustomer(rasa.url, "thabo") as page:
        pause = {"event": "pause", "metadata": {"handoff_id": "lost", "handoff_entry": "pause"}}
        await append(rasa, pause, {"event": "bot", "text": "Behind the agent's back."}, output="socketio")
        await page.say("hello")
        await page.hears("Hello.")
        assert page.texts == ["Hello."]


async def append(rasa: RasaServer, *events: dict[str, Any], output: str = "latest") -> None:
    """Append events by Rasa's HTTP API and have them said."""
    query = f"execute_side_effects=true&output_channel={output}"
    async with rasa.http.post(f"{rasa.url}/conversations/thabo/tracker/events?{query}", json=events) as answer:
        assert answer.status == 200, await answer.text()


async def test_a_channel_left_outside_is_silent_and_said_in_the_log(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outside = {**credentials(desk.url, tmp_path), "rasa": {"url": "http://127.0.0.1:9"}}
    async with RasaServer(small_model, tmp_path, outside) as rasa:
        assert "Not hosted by rasa_handoff.HandoffChannel: rasa." in caplog.text
        await eventually(lambda: rasa.channel.desk.connected)
        await go_live(rasa, thandi)
        around = CollectingOutputChannel()
        await rasa.app.ctx.agent.handle_message(UserMessage("/restart", around, "thabo", input_channel="rasa"))
        await rasa.app.ctx.agent.handle_message(UserMessage("hello", around, "thabo", input_channel="rasa"))
        assert around.messages == []
        assert rasa.channel.relay.silences_bot("thabo")


async def test_what_a_widget_sends_when_it_is_opened_is_no_message(live: Live) -> None:
    rasa, thandi, handoff_id = live
    await rasa.texts("/get_started")
    assert "already talking to Thandi" in "\n".join(await rasa.texts('/execute_handoff{"department": "billing"}'))
    for text in ("/execute_handoffs are what I hate", "/execute_handoff please", "/get_started?", "/greet"):
        await rasa.texts(text)
        await thandi.hears("message", text=text, handoff_id=handoff_id)
    assert "/get_started" not in [body["text"] for name, body in thandi.received if name == "message"]


async def test_a_model_reload_keeps_the_pause(live: Live) -> None:
    rasa, _, _ = live
    async with rasa.http.put(f"{rasa.url}/model", json={"model_file": str(rasa.model)}) as answer:
        assert answer.status == 204, await answer.text()
    await reaches_the_agent_alone(live, "after the reload")
    await reaches_the_agent_alone(live, "/restart")


async def test_a_restart_of_rasa_keeps_the_pause(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    own = credentials(desk.url, tmp_path)
    async with RasaServer(small_model, tmp_path, own) as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        handoff_id = await go_live(rasa, thandi)
        await eventually(
            lambda: all_is_told(rasa), what="all is told"
        )  # or it is told again: rest acknowledges nothing
    await thandi.say(handoff_id, "said while you were away")
    async with RasaServer(small_model, tmp_path, own) as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        await thandi.hears("message.status", status="waiting")
        assert await rasa.texts("hello") == ["said while you were away"]
        await thandi.hears("message", text="hello", handoff_id=handoff_id)
        await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved", note=None, slots={})
        await eventually(lambda: not rasa.channel.relay.silences_bot("thabo"))
        assert (await rasa.texts("hello"))[-1] == "Hello."


async def test_a_restart_of_the_desk_loses_nothing(live: Live, desk: DeskServer) -> None:
    rasa, _, handoff_id = live
    await desk.__aexit__(None, None, None)
    assert await rasa.texts("said into the dark") == []
    assert await rasa.texts("and once more") == []
    await desk.__aenter__()
    async with ScriptedAgent(desk.url, "thandi@example.com") as again:
        ready = await again.hears("ready")
        assert [summary["handoff_id"] for summary in ready["mine"]] == [handoff_id]
        await eventually(lambda: rasa.channel.desk.connected)
        texts = await eventually(lambda: _has(again, handoff_id, "and once more"))
        assert texts[-2:] == ["said into the dark", "and once more"]


async def _has(agent: ScriptedAgent, handoff_id: str, text: str) -> list[str] | None:
    conversation = (await agent.ask("open", handoff_id=handoff_id, after=0))["conversation"]
    texts = [message["text"] for message in conversation["messages"]]
    return texts if text in texts else None


async def test_the_tracker_has_three_speakers_and_the_slots_see_nothing(live: Live) -> None:
    rasa, thandi, handoff_id = live
    await rasa.texts("my card is 4111")
    await thandi.say(handoff_id, "please don't send that")
    await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved", note="told off", slots={})
    await eventually(lambda: not rasa.channel.relay.silences_bot("thabo"))
    await rasa.texts("hello")
    tracker = await rasa.tracker()
    said = [
        (event["event"], event.get("text")) for event in tracker["events"] if event["event"] in ("user", "agent", "bot")
    ]
    live_part = said[said.index(("user", "are you there")) :]
    assert [line for line in live_part if line[0] != "bot"][:3] == [
        ("user", "are you there"),
        ("user", "my card is 4111"),
        ("agent", "please don't send that"),
    ]
    assert ("bot", "Thandi is here and can read what we wrote so far.") in said
    assert tracker["slots"]["last_words"] == "hello"  # the from_text slot saw the bot's turns only
    assert not any(event.get("value") == "my card is 4111" for event in tracker["events"])


async def test_the_policies_see_nothing_of_the_chat(live: Live) -> None:
    """The same probabilities with the chat and without it, for the next turn after it."""
    rasa, thandi, handoff_id = live
    await thandi.say(handoff_id, "an agent's words")
    await thandi.ask("resolve", handoff_id=handoff_id, outcome="resolved", note=None, slots={})
    await eventually(lambda: not rasa.channel.relay.silences_bot("thabo"))
    processor = rasa.app.ctx.agent.processor
    tracker = await processor.get_tracker("thabo")
    without = [event for event in tracker.events if not _of_the_chat(event)]
    assert len(without) < len(tracker.events) - 4
    assert without[-1].as_dict() == tracker.events[-1].as_dict()
    trimmed = DialogueStateTracker.from_events("thabo", without, processor.domain.slots, domain=processor.domain)
    for one in (tracker, trimmed):
        one.update(UserUttered("hello", {"name": "greet", "confidence": 1.0}), processor.domain)
    probabilities = [list(processor._predict_next_with_tracker(one).probabilities) for one in (tracker, trimmed)]
    assert probabilities[0] == probabilities[1]
    assert max(probabilities[0]) == 1.0


def _of_the_chat(event: Event) -> bool:
    metadata = event.metadata or {}
    return metadata.get("speaker") is not None or metadata.get("handoff_entry") in ("pause", "back")


async def test_the_live_chat_reaches_an_event_broker_and_rasa_export(
    small_model: Path, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    broker = {"event_broker": {"type": "SQL", "dialect": "sqlite", "db": str(tmp_path / "events.db")}}
    async with RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path), broker) as rasa:
        await eventually(lambda: rasa.channel.desk.connected)
        await go_live(rasa, thandi)
        await eventually(lambda: _streamed(tmp_path / "events.db", "are you there"))
        await rasa.channel.relay.flush(TRACKER, "thabo")  # what is streamed is saved a moment later
        rasa.app.ctx.agent.tracker_store.event_broker.engine.dispose()
    exported = tmp_path / "endpoints.yml"
    exported.write_text(exported.read_text().replace("events.db", "exported.db"))
    command = [*forked_rasa(), "export", "--endpoints", str(exported)]
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, cwd=tmp_path, stdout=nowhere, stderr=nowhere)
    assert await process.wait() == 0
    assert _streamed(tmp_path / "exported.db", "are you there")


def _streamed(database: Path, text: str) -> bool:
    with closing(sqlite3.connect(database)) as connection:
        return any(text in row[0] for row in connection.execute("select data from events"))


async def test_other_customers_have_their_bot(live: Live) -> None:
    rasa, _, _ = live
    answers = await asyncio.gather(*(rasa.texts("hello", sender=f"other{number}") for number in range(5)))
    assert answers == [["Hello."]] * 5


async def _bot_words(rasa: RasaServer) -> list[str]:
    """What the bot itself has said, without the relay's notices."""
    bot = [event for event in await rasa.events() if event["event"] == "bot"]
    return [event["text"] for event in bot if (event.get("metadata") or {}).get("speaker") != "system"]
