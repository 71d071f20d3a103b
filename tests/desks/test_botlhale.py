"""What a server of Botlhale's kind asks for beyond what every desk keeps: it acknowledges nothing, and knows no time."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import socketio
from sqlalchemy import create_engine, select

from rasa_handoff.core.control import Control
from rasa_handoff.desks import botlhale_socket
from rasa_handoff.desks.botlhale import BotlhaleDesk
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import Settings, read_settings
from rasa_handoff.protocol.logs import short_id
from rasa_handoff.relay import customer_ids, repository
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER
from rasa_handoff.server.gateways.botlhale_clients import RESUME_SECRETS
from rasa_handoff.testing.ports import free_port
from rasa_handoff.testing.relay_side import RelaySide
from rasa_handoff.testing.waiting import eventually
from tests.desks.far_sides import OurBotlhaleFarSide
from tests.support.databases import current
from tests.support.foreign import ForeignServer
from tests.support.wire import Wire


def settings_for(url: str, folder: Path, **more: Any) -> Settings:
    desk = {"type": "botlhale", "url": url}
    return read_settings({"bot_id": "b", "desk": desk, **current().relay(folder), "channels": {"rest": None}, **more})


@pytest.fixture
async def server() -> AsyncIterator[ForeignServer]:
    async with ForeignServer() as one:
        yield one


@pytest.fixture
async def side(server: ForeignServer, tmp_path: Path) -> AsyncIterator[RelaySide]:
    async with RelaySide(BotlhaleDesk, settings_for(server.url, tmp_path)) as relay_side:
        yield relay_side


def texts_for(side: RelaySide, who: str) -> list[str]:
    """The words of agents that this customer was told."""
    return [entry.body["text"] for entry in side.customer.entries if entry.lane == who and entry.name == "agent"]


def notices(side: RelaySide, who: str = "thabo") -> list[str]:
    """What the relay itself told the customer."""
    return [entry.body["response"] for entry in side.customer.entries if entry.lane == who and entry.name == "system"]


async def is_back(side: RelaySide, who: str = "thabo") -> None:
    await eventually(lambda: side.relay.conversation(who).state is Control.BOT)


async def test_each_conversation_has_its_own_socket(side: RelaySide, server: ForeignServer) -> None:
    people = ["thabo", "lerato", "sipho"]
    for who in people:
        await side.start(who)
        await side.says(f"I am {who}", who)
    await eventually(lambda: len(server.all("from_user")) == 3)
    assert len(set(server.socket_of.values())) == len(server.sockets) == 3
    for who in people:
        await server.say("to_user", {"message": f"hello {who}"}, who=who)
    for who in people:
        assert server.texts(who) == [f"I am {who}"]
        await eventually(lambda who=who: texts_for(side, who) == [f"hello {who}"])
    await server.say("disconnect_socket", who="lerato")
    await is_back(side, "lerato")
    await eventually(lambda: server.gone == [server.socket_of["lerato"]])
    await side.says("still here", "sipho")
    await eventually(lambda: server.texts("sipho") == ["I am sipho", "still here"])
    assert side.relay.silences_bot("thabo")


async def test_the_leaving_word_ends_it_there(side: RelaySide, server: ForeignServer) -> None:
    await side.start()
    await side.relay.apply(events.CustomerLeaving(conversation_id="thabo", id="l", text="disconnect", at=4.0))
    await is_back(side)
    await eventually(lambda: server.gone == server.sockets)
    assert server.all("from_user") == [], "the word is the relay's, not the agent's"


async def test_what_means_nothing_leaves_a_line(
    side: RelaySide, server: ForeignServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger=botlhale_socket.__name__)
    await side.start()
    for name, payload in (("agent_typing" * 5, {"on": True}), ("to_user", {"message": " "}), ("to_user", "Hello.")):
        await server.say(name, payload)
    await eventually(lambda: texts_for(side, "thabo") == ["Hello."])
    assert [record.getMessage() for record in caplog.records if record.name == botlhale_socket.__name__] == [
        f"Ignoring the live-agent server's {('agent_typing' * 5)[:40]!r} for {short_id('thabo')}.",
        f"The live-agent server sent no message to {short_id('thabo')}: its to_user is empty.",
    ]


async def test_a_transcript_that_follows_is_the_first_answer(side: RelaySide, server: ForeignServer) -> None:
    """The server asks as soon as it is connected: some take the first answer alone."""
    offer = await side.start_without_transcript()
    await side.says("are you there")
    await eventually(lambda: server.texts("thabo") == ["are you there"])
    assert server.all("messages_to_client") == []
    await side.transcript_follows(offer)
    await eventually(lambda: server.all("messages_to_client"))
    await server.say("messages", {})
    await eventually(lambda: len(server.all("messages_to_client")) == 2)
    for told_so_far in server.all("messages_to_client"):
        assert [line["message"] for line in told_so_far["messages"]] == ["help", "how?"]


async def test_words_after_the_end_open_nothing(side: RelaySide, server: ForeignServer) -> None:
    await side.start()
    await server.say("disconnect_socket", {})
    await is_back(side)
    await eventually(lambda: server.gone == server.sockets)
    assert side.tracker.entries[-1].body["outcome"] == "resolved"
    assert len(server.sockets) == 1


async def test_nobody_there_is_told_in_time_and_nothing_is_opened_later(tmp_path: Path) -> None:
    port = free_port()
    settings = settings_for(f"http://127.0.0.1:{port}", tmp_path, start_timeout=0.3)
    async with RelaySide(BotlhaleDesk, settings) as side:
        with pytest.raises(AssertionError):
            await side.start()
        assert side.relay.conversation("thabo").state is Control.BOT
        await eventually(lambda: notices(side) == ["utter_handoff_unreachable"])
        async with ForeignServer(port=port) as server:
            await side.start()
            assert len(server.all("username")) == 1, "the conversation that was called off isn't opened"


async def test_a_server_that_asks_for_nothing_is_not_there(tmp_path: Path) -> None:
    """It has another namespace than we were told: the connection is refused, and the customer hears it in time."""
    async with ForeignServer("/live_server") as server:
        settings = settings_for(server.url, tmp_path, start_timeout=0.3)
        async with RelaySide(BotlhaleDesk, settings) as side:
            with pytest.raises(AssertionError):
                await side.start()
            await eventually(lambda: notices(side) == ["utter_handoff_unreachable"])
            assert server.received == []


async def test_a_server_that_stays_away_is_told_and_hears_all_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(botlhale_socket, "UNNOTICED_SECONDS", 0.2)
    port = free_port()
    settings = settings_for(f"http://127.0.0.1:{port}", tmp_path)
    async with RelaySide(BotlhaleDesk, settings) as side:
        async with ForeignServer(port=port):
            await side.start()
            await side.start("lerato")
            await server_leaves(side, "lerato")
        await side.says("are you there?")
        await eventually(lambda: notices(side)[-1] == "utter_handoff_desk_away")
        await side.says("hello?")
        async with ForeignServer(port=port) as server:
            await eventually(lambda: server.texts("thabo") == ["are you there?", "hello?"])
            await eventually(lambda: notices(side)[-1] == "utter_handoff_desk_back")
            assert list(server.socket_of) == ["thabo"]
    assert "utter_handoff_desk_away" not in notices(side, "lerato")


async def server_leaves(side: RelaySide, who: str) -> None:
    await side.relay.apply(events.CustomerLeaving(conversation_id=who, id=f"leave-{who}", text="disconnect", at=4.0))
    await is_back(side, who)


async def test_a_server_that_stays_away_too_long_gives_the_customer_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(botlhale_socket, "UNNOTICED_SECONDS", 0.1)
    port = free_port()
    settings = settings_for(f"http://127.0.0.1:{port}", tmp_path, timers={"desk_away": 0.2})
    async with RelaySide(BotlhaleDesk, settings) as side:
        async with ForeignServer(port=port):
            await side.start()
        await is_back(side)
        assert side.tracker.entries[-1].body["outcome"] == "desk_unreachable"
        async with ForeignServer(port=port) as server:
            await side.start()
            assert len(server.sockets) == 1, "the old socket isn't tried any more"


async def test_a_day_of_silence_ends_it(tmp_path: Path, server: ForeignServer) -> None:
    settings = settings_for(server.url, tmp_path, timers={"silence": 0.3})
    async with RelaySide(BotlhaleDesk, settings) as side:
        await side.start()
        await is_back(side)
        assert side.tracker.entries[-1].body["outcome"] == "silence"
        await eventually(lambda: server.gone == server.sockets)


async def test_who_is_spoken_to_is_not_told_that_nobody_came(tmp_path: Path, server: ForeignServer) -> None:
    """The server doesn't say who has taken a conversation: its words begin the wait for somebody anew."""
    settings = settings_for(server.url, tmp_path, timers={"nobody_takes": 1, "nobody_takes_then": "bot"})
    async with RelaySide(BotlhaleDesk, settings) as side:
        await side.start()
        for number in range(1, 9):
            known = (await running(side))["nobody_takes"]
            await server.say("to_user", {"message": f"word {number}"}, who="thabo")
            await eventually(lambda number=number: len(texts_for(side, "thabo")) == number)
            assert (await running(side))["nobody_takes"] > known
        await eventually(lambda: "utter_handoff_nobody_yet" in notices(side))
        await server.say("to_user", {"message": "I am here"}, who="thabo")
        await eventually(lambda: side.relay.conversation("thabo").asked == 0)
        await is_back(side)
        assert notices(side).count("utter_handoff_nobody_yet") == 2, "asked again before it is given up"
        await eventually(lambda: server.gone == server.sockets)


async def running(side: RelaySide) -> dict[str, float]:
    """Return when each timer of Thabo's conversation is due, by its name."""
    return await side.relay.store.write(lambda connection: repository.timers.running(connection, "thabo"))


async def leave_message(side: RelaySide) -> None:
    await side.start()
    await side.relay.apply(events.CustomerWantsToWrite(conversation_id="thabo"))
    await side.says("call me tomorrow")
    await side.says("082 555 0100")
    await is_back(side)


async def test_a_message_that_was_left_can_be_answered(side: RelaySide, server: ForeignServer) -> None:
    await leave_message(side)
    await eventually(lambda: server.texts("thabo") == ["call me tomorrow", "082 555 0100"])
    await server.say("to_user", {"message": "I will"})
    await eventually(lambda: notices_of_reply(side))
    assert server.gone == [], "a socket that closes ends the conversation there"
    await side.start()
    await eventually(lambda: server.gone == server.sockets[:1])
    await side.says("me again")
    await eventually(lambda: server.texts("thabo")[-1] == "me again")


def notices_of_reply(side: RelaySide) -> list[str]:
    replies = [entry.body for entry in side.customer.entries if entry.body.get("response") == "utter_handoff_reply"]
    return [body["values"]["text"] for body in replies]


async def test_nothing_waits_for_an_answer_to_a_left_message_after_the_end(tmp_path: Path) -> None:
    """The desk hears of a message that was left twice, the second time with the contact."""
    port = free_port()
    settings = settings_for(f"http://127.0.0.1:{port}", tmp_path)
    async with RelaySide(BotlhaleDesk, settings) as side, ForeignServer(port=port) as server:
        await leave_message(side)
        await eventually(lambda: server.texts("thabo") == ["call me tomorrow", "082 555 0100"])
        await eventually(left_messages_that_wait)
    assert left_messages_that_wait() == []


def left_messages_that_wait() -> list[str]:
    """Return the names of the coroutines in which a desk waits for the answer to a message that was left."""
    names = [getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()]
    return [name for name in names if "_linger" in name]


async def test_a_message_that_was_left_while_nobody_was_there_survives_a_restart(tmp_path: Path) -> None:
    port = free_port()
    settings = settings_for(f"http://127.0.0.1:{port}", tmp_path)
    async with RelaySide(BotlhaleDesk, settings) as side:
        async with ForeignServer(port=port):
            await side.start()
        await side.relay.apply(events.CustomerWantsToWrite(conversation_id="thabo"))
        await side.says("call me tomorrow")
        await side.says("082 555 0100")
        await is_back(side)
    async with RelaySide(BotlhaleDesk, settings) as side, ForeignServer(port=port) as server:
        await eventually(lambda: server.texts("thabo") == ["call me tomorrow", "082 555 0100"])
        await server.say("to_user", {"message": "I will"})
        await eventually(lambda: notices_of_reply(side) == ["I will"])


async def test_words_that_waited_are_told_however_early_the_dispatcher_is(tmp_path: Path) -> None:
    """After a start the outbox is opened before the desk connects again."""
    port = free_port()
    settings = settings_for(f"http://127.0.0.1:{port}", tmp_path)
    async with RelaySide(BotlhaleDesk, settings) as side:
        async with ForeignServer(port=port):
            await side.start()
        await side.says("are you there?")
    late = RelaySide(BotlhaleDesk, settings)
    async with ForeignServer(port=port) as server:
        await late.relay.open({DESK: late.desk, CUSTOMER: late.customer, TRACKER: late.tracker})
        await eventually(lambda: server.texts("thabo") == ["are you there?"])
        await late.__aexit__(None, None, None)


async def refused(far: OurBotlhaleFarSide, who: str = "thabo") -> bool:
    """Return whether somebody else who knows the conversation's ids is kept from it, whatever they try."""
    async with socketio.AsyncSimpleClient() as thief:
        received: list[str] = []
        await thief.connect(far.server.url, namespace="/live_agent", transports=["websocket"])
        thief.client.on("to_user", lambda data: received.append(data["message"]), namespace="/live_agent")
        ids = {"ConversationID": who, "BotID": "b"}
        tried = [await thief.call("username", ids), await thief.call("from_user", {**ids, "message": "lies"})]
    return [answer.get("code") for answer in tried] == ["resume_needed"] * 2


async def test_nobody_else_takes_a_conversation_at_our_own_server(tmp_path: Path) -> None:
    """The resume secret that the server gives is kept, and shown after a cut, after a restart and with the next handoff."""
    far = OurBotlhaleFarSide()
    settings = settings_for((await far.start(tmp_path))["url"], tmp_path)
    shown = select(RESUME_SECRETS.c.shown)
    engine = create_engine(far.server.database)

    def is_shown() -> bool:
        with engine.connect() as connection:
            return connection.execute(shown).scalars().all() == [True]

    async with RelaySide(BotlhaleDesk, settings) as side:
        await side.start()
        await eventually(is_shown)
        assert await refused(far)
        await side.says("one")
        await eventually(lambda: is_heard(far, ["one"]))
        await far.say("hello")
        await eventually(lambda: texts_for(side, "thabo") == ["hello"])
        await far.cut()
        await side.says("two")
        await eventually(lambda: is_heard(far, ["one", "two"]))
        assert await refused(far)
    assert await refused(far)
    async with RelaySide(BotlhaleDesk, settings) as side:
        await side.says("three")
        await eventually(lambda: is_heard(far, ["one", "two", "three"]))
        assert await refused(far)
        await side.relay.apply(events.CustomerLeaving(conversation_id="thabo", id="l", text="disconnect", at=4.0))
        await is_back(side)
        await side.start()
        await side.says("four")
        await eventually(lambda: is_heard(far, ["one", "two", "three", "four"]))
        assert await refused(far)
    engine.dispose()
    await far.stop()


async def test_a_secret_that_is_of_something_else_is_let_go(tmp_path: Path) -> None:
    """The acknowledgement with the new one was lost: what is open there is joined as any client joins it."""
    far = OurBotlhaleFarSide()
    settings = settings_for((await far.start(tmp_path))["url"], tmp_path)
    async with RelaySide(BotlhaleDesk, settings) as side, socketio.AsyncSimpleClient() as before:
        await side.relay.store.write(lambda connection: customer_ids.keep_secret(connection, "thabo", "old"))
        await before.connect(far.server.url, namespace="/live_agent", transports=["websocket"])
        assert (await before.call("username", {"ConversationID": "thabo", "BotID": "b"}))["ok"]
        await before.disconnect()
        await side.start()
        await eventually(
            lambda: side.relay.store.write(lambda connection: customer_ids.find_secret(connection, "thabo") is None)
        )
        await side.says("one")
        await eventually(lambda: is_heard(far, ["one"]))
    await far.stop()


@pytest.mark.parametrize("way", ["swallow_up", "swallow_down"])
async def test_a_message_that_a_dying_connection_took_is_sent_again_to_a_server_that_acknowledges(
    tmp_path: Path, way: str
) -> None:
    """The message, or its acknowledgement, is lost on the way; it arrives once."""
    far = OurBotlhaleFarSide()
    url = (await far.start(tmp_path))["url"]
    async with Wire(url) as wire, RelaySide(BotlhaleDesk, settings_for(wire.url, tmp_path)) as side:
        await side.start()
        await eventually(lambda: side.relay.store.write(lambda open: customer_ids.find_secret(open, "thabo")))
        await eventually(far.transcript)
        await side.says("before")
        await eventually(lambda: is_heard(far, ["before"]))
        setattr(wire, way, True)
        await side.says("meanwhile")
        await eventually(lambda: wire.swallowed)
        wire.cut()
        wire.mend()
        await side.says("after")
        await eventually(lambda: is_heard(far, ["before", "meanwhile", "after"]))
    await far.stop()


async def is_heard(far: OurBotlhaleFarSide, texts: list[str]) -> bool:
    return await far.customer_messages() == texts
