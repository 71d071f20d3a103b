"""Nobody is stuck: the relay's timed ways out, on real servers, with short times."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from rasa_handoff.channel.handoff_channel import HandoffChannel, HandoffSettingsError
from rasa_handoff.core.control import Control
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.events import NobodyCame
from rasa_handoff.protocol.logs import short_id
from rasa_handoff.protocol.payloads import Acknowledgement
from rasa_handoff.relay import repository
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import DeskServer, ScriptedAgent
from rasa_handoff.testing.waiting import eventually, within
from tests.rasa.handoff.conftest import credentials
from tests.rasa.handoff.seen_by_rasa import is_paused, tracker_has
from tests.support.postgres_server import Database

QUICK = 0.3


@pytest.fixture
def serve(small_model: Path, desk: DeskServer, tmp_path: Path) -> Any:
    """A Rasa server with these timers."""

    def server(**timers: Any) -> RasaServer:
        return RasaServer(small_model, tmp_path, credentials(desk.url, tmp_path, timers=timers))

    return server


async def ready(rasa: RasaServer) -> None:
    """Wait until the relay is connected, and has heard that an agent is there."""
    desk = rasa.channel.desk
    await eventually(lambda: desk.connected and desk.availability.staffed)


async def live(rasa: RasaServer, agent: ScriptedAgent) -> str:
    """Have Thabo ask for a person and the agent take it, and return the handoff's id."""
    await ready(rasa)
    await rasa.texts("/execute_handoff")
    handoff_id = str((await agent.take_next())["handoff_id"])
    await eventually(lambda: rasa.channel.relay.conversation("thabo").agent)
    await rasa.texts("are you there")
    return handoff_id


def titles(answers: list[dict[str, Any]]) -> list[str]:
    return [button["title"] for answer in answers for button in answer.get("buttons", [])]


async def asked(rasa: RasaServer) -> list[dict[str, Any]]:
    """Wait until the customer was asked, and fetch the question."""
    await eventually(lambda: rasa.channel.relay.conversation("thabo").asked)
    return await rasa.say("hm")


async def test_who_waits_long_is_asked_and_may_go_on_waiting(serve: Any, thandi: ScriptedAgent) -> None:
    async with serve(nobody_takes=QUICK) as rasa:
        await ready(rasa)
        await rasa.texts("/execute_handoff")
        assert titles(await asked(rasa)) == ["Go on waiting", "Leave a message", "Back to the bot"]
        assert "patience" in (await rasa.texts("/handoff_wait"))[-1]
        assert (await thandi.take_next())["short_id"] == short_id("thabo")


async def test_who_waits_long_may_go_back_to_the_bot(serve: Any, thandi: ScriptedAgent) -> None:
    async with serve(nobody_takes=QUICK) as rasa:
        await ready(rasa)
        await rasa.texts("/execute_handoff")
        await asked(rasa)
        assert "You are no longer in the queue." in await rasa.texts("/handoff_back")
        assert (await rasa.texts("hello"))[-1] == "Hello."
        await thandi.hears("conversation", state="ended")


@pytest.mark.parametrize("answer", ["2", " 2. ", "Leave a message", "leave  A MESSAGE", "/handoff_leave_message"])
async def test_a_choice_is_made_by_number_title_or_payload(serve: Any, thandi: ScriptedAgent, answer: str) -> None:
    async with serve(nobody_takes=QUICK) as rasa:
        await ready(rasa)
        await rasa.texts("/execute_handoff")
        await asked(rasa)
        assert "Please write your message now" in (await rasa.texts(answer))[-1]
        assert rasa.channel.relay.conversation("thabo").state is Control.MESSAGE


async def test_what_names_no_choice_are_words_and_the_question_stays(serve: Any, thandi: ScriptedAgent) -> None:
    async with serve(nobody_takes=QUICK) as rasa:
        await ready(rasa)
        await rasa.texts("2")  # to the bot: nothing was asked
        await rasa.texts("/execute_handoff")
        await rasa.texts("2")
        await asked(rasa)
        for words in ("4", "0", "I have 2 parcels", "leaving"):
            await rasa.texts(words)
        handoff_id = rasa.channel.relay.conversation("thabo").handoff_id
        assert "patience" in (await rasa.texts("GO ON WAITING"))[-1]
        await rasa.texts("1")
        await thandi.take(str(handoff_id))
        await eventually(lambda: rasa.channel.relay.conversation("thabo").agent)
        await rasa.texts("3")
        await thandi.hears("message", text="3")
        opened = await thandi.ask("open", handoff_id=handoff_id, after=0)
        said = [one["text"] for one in opened["conversation"]["messages"] if one["speaker"] == "customer"]
        assert said == ["2", "hm", "4", "0", "I have 2 parcels", "leaving", "1", "3"]


async def test_a_choice_is_made_after_a_restart_too(serve: Any, thandi: ScriptedAgent) -> None:
    async with serve(nobody_takes=QUICK) as rasa:
        await ready(rasa)
        await rasa.texts("/execute_handoff")
        await asked(rasa)
        await eventually(lambda: rasa.channel.relay.conversation("thabo").choices)
    async with serve() as rasa:
        assert "You are no longer in the queue." in await rasa.texts("back to the bot")


async def test_a_setting_takes_them_back_who_dont_choose(serve: Any, thandi: ScriptedAgent) -> None:
    async with serve(nobody_takes=QUICK, nobody_takes_then="bot") as rasa:
        await ready(rasa)
        await rasa.texts("/execute_handoff")
        await eventually(lambda: not rasa.channel.relay.under_way)
        assert (await rasa.texts("hello"))[-1] == "Hello."
        assert (await rasa.tracker())["slots"]["handoff_outcome"] == "nobody_available"


async def test_the_setting_counts_for_the_desks_clock_too(serve: Any, thandi: ScriptedAgent) -> None:
    """Our server asks every five minutes; the relay's own, longer clock would never be heard beside it."""
    async with serve(nobody_takes_then="bot") as rasa:
        await ready(rasa)
        await rasa.texts("/execute_handoff")
        relay = rasa.channel.relay
        here = {"conversation_id": "thabo", "handoff_id": relay.conversation("thabo").handoff_id}
        await relay.apply(NobodyCame(**here))
        assert titles(await asked(rasa)) == ["Go on waiting", "Leave a message", "Back to the bot"]
        await relay.apply(NobodyCame(**here))
        await eventually(lambda: not relay.under_way)
        assert (await rasa.texts("hello"))[-1] == "Hello."


async def test_a_button_of_a_chat_that_is_over_does_no_harm(serve: Any, thandi: ScriptedAgent) -> None:
    async with serve() as rasa:
        assert await rasa.texts("/handoff_wait") == ["Gladly. What can I do for you?"]


async def test_an_agent_who_never_answers_doesnt_hold_the_customer(serve: Any, thandi: ScriptedAgent) -> None:
    async with serve(agent_silent=QUICK) as rasa:
        await live(rasa, thandi)
        await eventually(lambda: not rasa.channel.relay.under_way)
        answers = await rasa.texts("hello")
        assert any("didn't work out" in answer for answer in answers)
        assert answers[-1] == "Hello."
        await thandi.hears("conversation", state="ended")


async def test_a_customer_who_falls_silent_is_asked_once_and_then_closed(serve: Any, thandi: ScriptedAgent) -> None:
    async with serve(customer_silent=QUICK) as rasa, ScriptedCustomer(rasa.url) as page:
        await ready(rasa)
        await page.say("/execute_handoff")
        handoff_id = str((await thandi.take_next())["handoff_id"])
        await thandi.say(handoff_id, "what is your number?")
        closed = [
            "what is your number?",
            "Are you still there? Write anything to stay in the chat.",
            "I've closed the chat because it was quiet for so long. You can ask for a person again at any time.",
        ]
        await eventually(lambda: page.texts[-3:] == closed)
        await eventually(lambda: not rasa.channel.relay.under_way)
        await thandi.hears("conversation", state="ended")
        await page.say("hello")
        await eventually(lambda: page.texts[-1] == "Hello.")


async def test_what_waits_for_the_customer_to_come_back_starts_customer_silent(
    serve: Any, thandi: ScriptedAgent
) -> None:
    async with serve(customer_silent=600) as rasa:
        handoff_id = await live(rasa, thandi)
        assert "customer_silent" not in await running(rasa)
        await thandi.say(handoff_id, "not fetched yet")
        await thandi.hears("message.status", status="waiting")
        assert "customer_silent" in await running(rasa)


async def running(rasa: RasaServer) -> dict[str, float]:
    """Return Thabo's timers, and when each is due."""
    return await rasa.channel.relay.store.write(lambda connection: repository.timers.running(connection, "thabo"))


async def test_a_desk_that_stays_away_gives_the_customer_back(
    serve: Any, desk: DeskServer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rasa_handoff.desks.ours.UNNOTICED_SECONDS", 0.1)
    async with serve(desk_away=QUICK) as rasa:
        await live(rasa, thandi)
        await desk.__aexit__(None, None, None)
        await eventually(lambda: not rasa.channel.relay.under_way)
        answers = await rasa.texts("hello")
        assert answers[-3:-1] == [
            "I'm sorry, I can't reach our people right now. Please try again in a few minutes.",
            "You're back with me, the bot. I'm happy to help with anything else.",
        ]
        assert not [text for text in answers if "What you write is kept and passed on" in text], "it is no longer true"
        await desk.__aenter__()
        async with ScriptedAgent(desk.url, "thandi@example.com") as again:
            await eventually(lambda: _gone(again))


async def _gone(agent: ScriptedAgent) -> bool:
    ended = [data for name, data in agent.received if name == "conversation" and data["state"] == "ended"]
    ready = [data for name, data in agent.received if name == "ready"][-1]
    return bool(ended) or not (ready["mine"] or ready["queue"])


async def test_a_short_absence_of_the_desk_is_told_and_made_good(
    serve: Any, desk: DeskServer, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rasa_handoff.desks.ours.UNNOTICED_SECONDS", 0.1)
    async with serve() as rasa:
        handoff_id = await live(rasa, thandi)
        await desk.__aexit__(None, None, None)
        await eventually(lambda: rasa.channel.relay.conversation("thabo").desk_away)
        await rasa.texts("said meanwhile")
        await desk.__aenter__()
        await eventually(lambda: not rasa.channel.relay.conversation("thabo").desk_away)
        async with ScriptedAgent(desk.url, "thandi@example.com") as again:
            await eventually(lambda: _agent_has(again, handoff_id, "said meanwhile"))
        assert "The connection is back, and your words have been passed on." in await rasa.texts("good")


async def _agent_has(agent: ScriptedAgent, handoff_id: str, text: str) -> bool:
    answer = await agent.ask("open", handoff_id=handoff_id, after=0)
    return answer["ok"] and text in [message["text"] for message in answer["conversation"]["messages"]]


async def test_silence_ends_a_handoff_though_all_other_timers_are_off(serve: Any, thandi: ScriptedAgent) -> None:
    off = dict.fromkeys(("nobody_takes", "agent_silent", "customer_silent", "desk_away", "message"))
    async with serve(**off, silence=QUICK) as rasa:
        await live(rasa, thandi)
        await eventually(lambda: not rasa.channel.relay.under_way)
        assert (await rasa.tracker())["slots"]["handoff_outcome"] == "silence"


async def test_timers_outlive_the_process(serve: Any, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rasa_handoff.relay.relay.RECOVERY", 0.0)
    async with serve(agent_silent=3.0) as rasa:
        await live(rasa, thandi)
        due = (await running(rasa))["agent_silent"]
    async with serve(agent_silent=3.0) as rasa:
        assert (await running(rasa)).get("agent_silent", due) == due
        await eventually(lambda: not rasa.channel.relay.under_way)


async def test_what_fell_due_while_we_were_away_waits_for_what_was_said_meanwhile(
    serve: Any, thandi: ScriptedAgent
) -> None:
    async with serve(agent_silent=3.0) as rasa:
        handoff_id = await live(rasa, thandi)
        due = (await running(rasa))["agent_silent"]
    await thandi.say(handoff_id, "I've looked it up")
    await eventually(lambda: time.time() > due + 1)
    async with serve(agent_silent=3.0) as rasa:
        received: list[str] = []

        async def answered() -> bool:
            received.extend(await rasa.texts("and?"))
            return "I've looked it up" in received

        await eventually(answered)
        assert rasa.channel.relay.conversation("thabo").state is Control.LIVE


@pytest.mark.sqlite
async def test_a_desk_that_lost_its_database_is_told_all_again(
    serve: Any, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    async with serve() as rasa:
        await rasa.texts("hello")
        handoff_id = await live(rasa, thandi)
        await thandi.say(handoff_id, "I am here")
        await eventually(lambda: tracker_has(rasa, "I am here"))
        await desk.__aexit__(None, None, None)
        lose(tmp_path, "desk.db")
        desk.add_agent("Lerato")
        await desk.__aenter__()
        async with ScriptedAgent(desk.url, "lerato@example.com") as lerato:
            again = await lerato.take_next()
            assert again["handoff_id"] == handoff_id
            assert [line["text"] for line in again["transcript"]] == ["hello", "Hello.", "are you there", "I am here"]
            await eventually(lambda: rasa.channel.relay.conversation("thabo").agent == "Lerato")
            assert any("passed on" in text for text in await rasa.texts("still me"))
            await lerato.hears("message", text="still me")


@pytest.mark.sqlite
async def test_words_of_a_handoff_that_nobody_knows_hold_up_no_other(
    serve: Any, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The customer was given back, and then the server came back empty: its old words mustn't wait before the next request."""
    monkeypatch.setattr("rasa_handoff.desks.ours.UNNOTICED_SECONDS", 0.1)
    async with serve(desk_away=QUICK) as rasa:
        await live(rasa, thandi)
        await thandi.sio.disconnect()
        await desk.__aexit__(None, None, None)
        await rasa.texts("is anybody there")
        await eventually(lambda: not rasa.channel.relay.under_way)
        lose(tmp_path, "desk.db")
        desk.add_agent("Lerato")
        await desk.__aenter__()
        async with ScriptedAgent(desk.url, "lerato@example.com") as lerato:
            await ready(rasa)
            await rasa.texts("/execute_handoff")
            again = await lerato.take_next()
            assert "is anybody there" in [line["text"] for line in again["transcript"]]


def lose(folder: Path, database: str) -> None:
    """Delete this SQLite file."""
    for path in folder.glob(f"{database}*"):
        path.unlink()


@pytest.mark.sqlite
async def test_a_relay_that_lost_its_database_asks_the_desk(serve: Any, thandi: ScriptedAgent, tmp_path: Path) -> None:
    async with serve() as rasa:
        handoff_id = await live(rasa, thandi)
        await eventually(lambda: is_paused(rasa))
    lose(tmp_path, "relay.db")
    async with serve() as rasa:
        await ready(rasa)
        assert await rasa.texts("do you remember me") == ["Thandi is here and can read what we wrote so far."]
        assert rasa.channel.relay.conversation("thabo").agent == "Thandi"
        await thandi.hears("message", text="do you remember me", handoff_id=handoff_id)


@pytest.mark.sqlite
async def test_a_relay_that_lost_its_database_waits_to_ask_a_desk_that_is_not_connected_yet(
    serve: Any, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    """Right after a start pages send again what they have: the bot mustn't answer beside an agent."""
    async with serve() as rasa:
        handoff_id = await live(rasa, thandi)
        await eventually(lambda: is_paused(rasa))
    lose(tmp_path, "relay.db")
    await thandi.sio.disconnect()
    await desk.__aexit__(None, None, None)
    async with serve() as rasa:
        asked, find = asyncio.Event(), rasa.channel.desk.find

        async def noted(conversation_id: str) -> Any:
            asked.set()
            return await find(conversation_id)

        rasa.channel.desk.find = noted
        asking = asyncio.create_task(rasa.texts("do you remember me"))
        await within(asked.wait(), 10)
        await desk.__aenter__()
        assert "Hello." not in await asking
        async with ScriptedAgent(desk.url, "thandi@example.com") as again:
            await eventually(lambda: _agent_has(again, handoff_id, "do you remember me"))


async def pause(rasa: RasaServer) -> None:
    """Pause the tracker for a handoff that this relay doesn't know."""
    event = {"event": "pause", "metadata": {"handoff_id": "forgotten"}}
    async with rasa.http.post(f"{rasa.url}/conversations/thabo/tracker/events", json=event) as answer:
        assert answer.status == 200


async def test_a_pause_nobody_knows_of_is_lifted(serve: Any, thandi: ScriptedAgent) -> None:
    async with serve() as rasa:
        await ready(rasa)
        await pause(rasa)
        assert await rasa.texts("hello") == ["Hello."]


@pytest.mark.sqlite
async def test_a_second_process_on_the_same_file_is_refused(serve: Any, thandi: ScriptedAgent) -> None:
    async with serve() as rasa:
        with pytest.raises(HandoffSettingsError, match=r"is in use by another process .* stop the other one, or give"):
            HandoffChannel.from_credentials(rasa.credentials["rasa_handoff.HandoffChannel"])


@pytest.mark.sqlite
async def test_several_workers_need_postgres(
    postgres: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SANIC_WORKERS", "2")
    own = credentials("http://127.0.0.1:9", tmp_path)["rasa_handoff.HandoffChannel"]
    with pytest.raises(HandoffSettingsError, match=r"SANIC_WORKERS is 2, but .* a Postgres database"):
        HandoffChannel.from_credentials(own)
    HandoffChannel.from_credentials({**own, "store": postgres.url})


@pytest.mark.sqlite
async def test_a_lock_store_for_several_servers_is_said_in_the_log(
    small_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = credentials("http://127.0.0.1:9", tmp_path)
    shared = {"lock_store": {"type": "redis", "url": "127.0.0.1", "port": 9}}
    async with RasaServer(small_model, tmp_path, own, shared):
        assert "a lock store for several Rasa servers (RedisLockStore)" in caplog.text
    caplog.clear()
    async with RasaServer(small_model, tmp_path, own):
        assert "lock store" not in caplog.text


@pytest.mark.sqlite
async def test_a_message_left_reaches_a_desk_that_lost_its_database(
    serve: Any, desk: DeskServer, thandi: ScriptedAgent, tmp_path: Path
) -> None:
    async with serve(nobody_takes=QUICK) as rasa:
        await ready(rasa)
        await rasa.texts("/execute_handoff")
        handoff_id = str(rasa.channel.relay.conversation("thabo").handoff_id)
        await asked(rasa)
        await rasa.texts("/handoff_leave_message")
        await thandi.sio.disconnect()
        await desk.__aexit__(None, None, None)
        await rasa.texts("please call me")
        lose(tmp_path, "desk.db")
        desk.add_agent("Lerato")
        await desk.__aenter__()
        async with ScriptedAgent(desk.url, "lerato@example.com") as lerato:
            await eventually(lambda: "please call me" in str(lerato.received), what="the message on the desk")

            async def taken() -> bool:
                return bool((await lerato.say(handoff_id, "I'll call you", id="m1"))["ok"])

            await eventually(taken)

            async def answered() -> bool:
                return "I'll call you" in str(await rasa.texts("hello"))

            await eventually(answered)


async def test_a_message_left_waits_for_a_desk_that_cannot_take_it_now(
    serve: Any, thandi: ScriptedAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve(nobody_takes=QUICK) as rasa:
        await ready(rasa)
        await rasa.texts("/execute_handoff")
        handoff_id = str(rasa.channel.relay.conversation("thabo").handoff_id)
        await asked(rasa)
        await rasa.texts("/handoff_leave_message")
        await rasa.texts("please call me")
        await rasa.texts("no")
        await eventually(lambda: not rasa.channel.relay.under_way)

        async def locked(*_: object) -> Acknowledgement:
            return Acknowledgement(ok=False, code="unavailable", error="its database is locked")

        monkeypatch.setattr(rasa.channel.desk, "_call", locked)
        with pytest.raises(Unreachable, match="its database is locked"):
            await rasa.channel.desk._offer_again("thabo", handoff_id)


async def test_a_message_left_is_answered_when_the_customer_is_back(serve: Any, thandi: ScriptedAgent) -> None:
    async with serve(nobody_takes=QUICK) as rasa:
        await ready(rasa)
        await rasa.texts("/execute_handoff")
        handoff_id = rasa.channel.relay.conversation("thabo").handoff_id
        await asked(rasa)
        assert "Please write your message now" in (await rasa.texts("/handoff_leave_message"))[-1]
        assert "Where can our people reach you?" in (await rasa.texts("my parcel is wet"))[0]
        assert "your message is with our people" in (await rasa.texts("no"))[0]
        await eventually(lambda: not rasa.channel.relay.under_way)
        await thandi.hears("conversation", handoff_id=handoff_id, state="message")
        assert (await rasa.texts("hello"))[-1] == "Hello."

        answer = await thandi.say(str(handoff_id), "We send you another one.")
        assert answer["ok"], answer
        await thandi.hears("message.status", status="waiting")
        answers = await rasa.texts("hello")
        assert answers == ["Thandi has answered your message: We send you another one.", "Hello."]
        await thandi.hears("message.status", status="delivered")
        assert (await rasa.tracker())["slots"]["handoff_outcome"] == "message_left"
        events = [(event["event"], event.get("text")) for event in await rasa.events()]
        assert ("user", "my parcel is wet") in events
        await eventually(lambda: tracker_has(rasa, "We send you another one."))
