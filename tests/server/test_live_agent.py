"""``/live_agent``, ``/live_server`` and ``/``: clients written for Botlhale's live agent (docs/adapters/botlhale.md)."""

import pytest

from rasa_handoff.protocol.logs import short_id
from rasa_handoff.server.accounts import add_token
from rasa_handoff.server.app import ServerSettings, create_app
from rasa_handoff.server.run import running
from rasa_handoff.testing.waiting import eventually
from tests.server.peers import OLD_BOT, OldClient, arrived_handoff, refusal_of


@pytest.mark.parametrize("namespace", ["/live_agent", "/live_server", "/"])
async def test_the_whole_conversation(desk, old_client, namespace):
    thandi, client = await desk(), await old_client("abc-77f0", namespace)
    handoff = await arrived_handoff(thandi)
    summary = thandi.all("arrival")[0]
    wanted = {"bot_id": OLD_BOT, "short_id": short_id("abc-77f0"), "title": "Customer 56db", "state": "queued"}
    channel = {**summary["channel"], "name": "live_agent", "push": True}
    assert summary == {**summary, **wanted, "channel": channel}
    assert channel["presentation"]["files"] == channel["presentation"]["buttons"] == "words"
    await eventually(lambda: client.all("messages") == [{}] and thandi.all("conversation"))
    conversation = (await thandi.take(handoff))["conversation"]
    lines = [(line["speaker"], line["text"]) for line in conversation["transcript"]]
    assert lines == [("customer", "I want a person"), ("bot", "One moment")]
    await eventually(lambda: len(client.all("messages")) == 2)
    await client.emit("from_user", {"message": "hello?", **client.ids})
    await eventually(lambda: thandi.all("message"))
    answer = (await thandi.say(handoff, "Good day"))["message"]
    await eventually(lambda: client.texts() == ["Good day"])
    assert client.all("to_user")[0]["id"] == answer["id"]
    assert isinstance(client.all("to_user")[0]["number"], int)
    await eventually(lambda: [said["status"] for said in thandi.all("message.status")] == ["delivered"])
    await thandi.resolve(handoff)
    await eventually(lambda: client.all("disconnect_socket") == [{}])


async def test_a_front_end_learns_who_is_active(desk, old_client):
    thandi, sipho, client = await desk(), await desk("sipho"), await old_client()
    waiting, bot = {"active": "waiting", "agent": None}, {"active": "bot", "agent": None}
    handoff = await arrived_handoff(thandi)
    await eventually(lambda: client.all("handoff_state") == [waiting])
    await thandi.take(handoff)
    await eventually(lambda: client.all("handoff_state")[1:] == [{"active": "person", "agent": "Thandi"}])
    await thandi.call("transfer", {"handoff_id": handoff, "department": "billing"})
    await eventually(lambda: client.all("handoff_state")[2:] == [waiting])
    await sipho.take(handoff)
    await eventually(lambda: client.all("handoff_state")[3:] == [{"active": "person", "agent": "Sipho"}])
    await client.close()
    back = await old_client()
    await eventually(lambda: back.all("handoff_state") == [{"active": "person", "agent": "Sipho"}])
    await sipho.resolve(handoff)
    await eventually(lambda: back.all("disconnect_socket"))
    assert back.received[-2:] == [("handoff_state", bot), ("disconnect_socket", {})]


async def test_what_happened_while_it_was_away_a_front_end_learns_in_its_turn(desk, old_client):
    thandi, client = await desk(), await old_client()
    handoff = await arrived_handoff(thandi)
    await eventually(lambda: client.all("handoff_state"))
    await client.close()
    await thandi.take(handoff)
    await thandi.say(handoff, "hello")
    await thandi.resolve(handoff)
    back = await old_client()
    await eventually(lambda: back.all("disconnect_socket"))
    assert [body["active"] for body in back.all("handoff_state")] == ["person", "bot"]
    order = [event for event, _ in back.received]
    assert order.index("handoff_state") < order.index("to_user") < len(order) - 2


async def test_what_is_said_while_the_client_is_away_waits_for_it(desk, old_client):
    thandi, client = await desk(), await old_client()
    handoff = await arrived_handoff(thandi)
    await thandi.take(handoff)
    await client.close()
    await thandi.say(handoff, "one")
    await thandi.say(handoff, "two")
    await eventually(lambda: [said["status"] for said in thandi.all("message.status")] == ["waiting"] * 2)
    back = await old_client()
    await eventually(lambda: back.texts() == ["one", "two"])
    assert len(thandi.all("arrival")) == 1
    await back.close()
    await thandi.resolve(handoff)
    last = await old_client()
    await eventually(lambda: last.all("disconnect_socket"))
    assert len(thandi.all("arrival")) == 1
    await last.close()

    async def begins_anew() -> bool:
        """Come again. The end is told again if its delivery wasn't noted yet: the protocol has no acknowledgement."""
        client = await old_client()
        await eventually(lambda: len(thandi.all("arrival")) == 2 or client.all("disconnect_socket"))
        return len(thandi.all("arrival")) == 2

    await eventually(begins_anew)


async def test_each_client_is_a_conversation_of_its_bot(desk, old_client):
    thandi = await desk()
    for conversation, bot in (("c-1", OLD_BOT), ("c-2", "another-bot")):
        client = await old_client(conversation, answers=())
        await client.emit("username", {"ConversationID": conversation, "BotID": bot})
    arrivals = await eventually(lambda: len(thandi.all("arrival")) == 2 and thandi.all("arrival"))
    named = {(arrival["short_id"], arrival["bot_id"]) for arrival in arrivals}
    assert named == {(short_id("c-1"), OLD_BOT), (short_id("c-2"), "another-bot")}


async def test_a_silent_client_is_asked_and_then_it_ends(server, desk, old_client):
    thandi, client = await desk(), await old_client()
    handoff = await arrived_handoff(thandi)
    await thandi.take(handoff)
    await thandi.say(handoff, "which order is it?")
    await eventually(lambda: [said["status"] for said in thandi.all("message.status")] == ["delivered"])
    server.ahead += 601
    await eventually(lambda: client.texts()[-1].startswith("Are you still there?"))
    server.ahead += 601
    await eventually(lambda: client.all("disconnect_socket"))
    await eventually(lambda: thandi.shown(handoff)[-1]["ended"]["outcome"] == "customer_silent")


async def test_a_message_sent_twice_with_id_and_number_is_heard_once_and_an_id_alone_means_nothing(desk, old_client):
    thandi, client = await desk(), await old_client()
    await thandi.take(await arrived_handoff(thandi))
    for more in ({"id": "a", "number": 1}, {"id": "a", "number": 1}, {"id": "b"}, {"id": "b"}):
        await client.emit("from_user", {"message": f"{more['id']}", **client.ids, **more})
    await client.emit("from_user", {"message": "last", **client.ids})
    await eventually(lambda: [said["text"] for said in thandi.all("message")][-1:] == ["last"])
    assert [said["text"] for said in thandi.all("message")] == ["a", "b", "b", "last"]


async def test_a_newer_socket_has_it_once_the_older_one_is_gone(desk, old_client):
    thandi, old = await desk(), await old_client(answers=["startConversation"])
    handoff = await arrived_handoff(thandi)
    new = await old_client()
    await eventually(lambda: new.all("handoff_state"))
    await thandi.take(handoff)
    await thandi.say(handoff, "hello")
    await eventually(lambda: old.texts() == ["hello"])
    assert new.texts() == []
    await old.close()
    await thandi.say(handoff, "still you")
    await eventually(lambda: new.texts() == ["hello", "still you"])


@pytest.mark.parametrize(
    "payload",
    [
        {"message": "hi", "ConversationID": "c-9", "BotID": "b"},
        {"message": "hi", "ConversationID": "c-9", "bot_id": "b", "extra": {"x": 1}},
        {"message": "hi", "conversation_id": "c-9", "botId": "b"},
        {"message": "hi", "ConversationID": "c-9", "BotId": "b", "username": None},
    ],
)
async def test_from_user_before_username_registers(desk, old_client, payload):
    thandi, client = await desk(), await old_client(answers=())
    await client.emit("from_user", payload)
    (said,) = await eventually(lambda: thandi.all("message"))
    assert (said["text"], said["speaker"]) == ("hi", "customer")
    handoff = await arrived_handoff(thandi)
    await thandi.take(handoff)
    await thandi.say(handoff, "hello")
    await eventually(lambda: client.texts() == ["hello"])


async def test_a_message_of_any_shape_arrives_in_words(desk, old_client):
    thandi, client = await desk(), await old_client(answers=())
    await client.emit("username", client.ids)
    await arrived_handoff(thandi)
    for odd in (0, True, ["red", 2], {"colour": "red"}):
        await client.emit("from_user", {"message": odd, **client.ids})
    await client.emit("messages_to_client", {"messages": [{"sender": "user", "message": {"a": 1}}], **client.ids})
    await eventually(lambda: len(thandi.all("message")) == 4)
    assert [said["text"] for said in thandi.all("message")] == ["0", "true", '["red", 2]', '{"colour": "red"}']


async def test_strange_payloads_change_nothing_and_break_nothing(desk, old_client):
    thandi, client = await desk(), await old_client(answers=())
    for strange in (None, "text", 5, [], {}, {"ConversationID": "c" * 300, "BotID": "b"}, {"ConversationID": "only"}):
        for event in ("username", "from_user", "messages_to_client"):
            await client.emit(event, strange)
    await client.emit("username", {"ConversationID": 12, "BotID": 7})
    handoff = await arrived_handoff(thandi)
    await client.emit("from_user", "a bare string")
    strange = [{"sender": "robot", "message": 5}, "x", {"message": "no sender"}, {"sender": "user", "message": "mine"}]
    strange += [{}, {"sender": "user"}, {"sender": "user", "message": " "}]
    await client.emit("messages_to_client", {"messages": strange, "bot_id": 7})
    await eventually(lambda: thandi.all("message"))
    assert [said["text"] for said in thandi.all("message")] == ["a bare string"]
    await eventually(lambda: thandi.all("conversation"))
    transcript = (await thandi.take(handoff))["conversation"]["transcript"]
    assert [(line["speaker"], line["text"]) for line in transcript] == [
        ("bot", "5"), ("bot", "no sender"), ("customer", "mine"),
    ]  # fmt: skip
    assert len(thandi.all("arrival")) == 1


@pytest.mark.parametrize(
    "empty", [None, {}, [], "", " \n", {"message": None}, {"message": {}}, {"message": " "}], ids=str
)
async def test_a_message_without_text_is_refused_aloud_and_no_line_at_the_desk(desk, old_client, empty):
    thandi, client = await desk(), await old_client(answers=())
    await client.call("username", client.ids)
    await arrived_handoff(thandi)
    refused = await client.call("from_user", empty)
    assert (refused["ok"], refused["code"]) == (False, "empty")
    await eventually(
        lambda: client.texts() == ["Your message was empty, so there was nothing to read. Please write it again."]
    )
    await client.emit("from_user", "hello")
    await eventually(lambda: [said["text"] for said in thandi.all("message")] == ["hello"])


async def test_who_asks_for_an_acknowledgement_hears_what_became_of_it(desk, old_client):
    thandi, client = await desk(), await old_client(answers=())
    for event in ("username", "from_user", "messages_to_client"):
        refused = await client.call(event, {"message": "hi", "BotID": OLD_BOT})
        assert (refused["ok"], refused["code"]) == (False, "invalid")
        assert refused["error"].startswith("ConversationID and BotID are needed")
    assert client.texts() == ["Your message couldn't be taken, so nobody has read it."]
    begun = await client.call("username", client.ids)
    assert (begun["ok"], set(begun)) == (True, {"ok", "resume"})
    assert await client.call("username", client.ids) == {"ok": True}
    assert await client.call("from_user", {"message": "hello"}) == {"ok": True}
    assert await client.call("messages_to_client", {"messages": []}) == {"ok": True}
    await eventually(lambda: [said["text"] for said in thandi.all("message")] == ["hello"])
    handoff = await arrived_handoff(thandi)
    await thandi.take(handoff)
    await thandi.resolve(handoff)
    await eventually(lambda: client.all("disconnect_socket"))
    late = await client.call("from_user", {"message": "one more thing"})
    assert (late["code"], late["error"]) == ("ended", client.texts()[-1])


async def test_an_event_of_no_protocol_is_refused_noted_and_changes_nothing(desk, old_client, caplog):
    thandi, client = await desk(), await old_client()
    await arrived_handoff(thandi)
    with caplog.at_level("INFO"):
        answer = await client.call("typing_indicator" * 5, {**client.ids, "on": True})
    assert answer == {"ok": False, "code": "invalid", "error": "This protocol has no such event."}
    assert f"A client's event {('typing_indicator' * 5)[:40]!r} is none of the protocol's: ignored." in caplog.text
    await client.emit("typing_indicator", client.ids)  # the same, without asking for an answer
    assert await client.call("from_user", {"message": "still here"}) == {"ok": True}
    await eventually(lambda: [said["text"] for said in thandi.all("message")] == ["still here"])
    assert len(thandi.all("arrival")) == 1


async def test_with_nobody_there_it_waits_and_the_client_is_told_once(old_client, desk):
    client = await old_client(answers=["startConversation"])
    await eventually(lambda: client.texts())
    await client.close()
    back = await old_client()
    await eventually(lambda: back.all("messages"))
    thandi = await desk()
    (waiting,) = thandi.all("ready")[0]["queue"]
    assert waiting["short_id"] == short_id("c-1")
    assert client.texts() == [
        "Nobody is here at the moment. Your message is kept, and the next agent who comes will answer you."
    ]
    assert back.texts() == []


async def test_words_that_cross_with_the_end_are_answered_and_open_nothing(desk, old_client):
    thandi, client = await desk(), await old_client()
    handoff = await arrived_handoff(thandi)
    await thandi.take(handoff)
    await thandi.resolve(handoff)
    await eventually(lambda: client.all("disconnect_socket"))
    await client.emit("from_user", {"message": "one more thing", **client.ids})
    await eventually(lambda: client.texts() == ["This conversation has ended, so your message wasn't read."])
    await eventually(lambda: len(client.all("disconnect_socket")) == 2)
    assert len(thandi.all("arrival")) == 1


async def test_clients_on_other_machines_need_a_token_or_the_option(database, opened):
    """They are on other machines because a reverse proxy on this one says so, in X-Forwarded-For."""
    token, other = add_token(database, OLD_BOT), add_token(database, "other")
    async with running(create_app(database)) as address:
        for wrong in (None, {"token": "guess"}, "text"):
            stranger = OldClient("c-1", "/live_agent", forwarded_for="203.0.113.5")
            opened.append(stranger)
            assert "auth.token" in await refusal_of(stranger.connect(address, wrong), stranger)
        known = OldClient("c-1", "/live_agent", forwarded_for="203.0.113.5")
        of_other_bot = OldClient("c-2", "/live_agent", forwarded_for="203.0.113.5")
        opened.extend([known, of_other_bot])
        await of_other_bot.connect(address, {"token": other})
        await known.connect(address, {"token": token})
        await eventually(lambda: known.texts())
        assert of_other_bot.texts() == []
    async with running(create_app(database, ServerSettings(open_live_agent=True))) as address:
        anyone = OldClient("c-3", "/live_agent", forwarded_for="203.0.113.5")
        opened.append(anyone)
        await anyone.connect(address)
        await eventually(lambda: anyone.texts())
