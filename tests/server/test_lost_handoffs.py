"""Messages left, words after the end, and handoffs that one side has lost."""

import pytest

from rasa_handoff.testing.waiting import eventually
from tests.server.peers import Relay


async def leave(karoo, handoff, text="please call me"):
    """Leave a message at the desk, and return the answer."""
    await karoo.say(handoff, text, f"left-{handoff}")
    body = {
        "handoff_id": handoff,
        "id": f"m-{handoff}",
        "number": 3,
        "status": "message_left",
        "reason": "message_left",
    }
    return await karoo.call("handoff.status", body)


async def test_a_message_left_is_listed_answered_and_resolved_without_a_word_to_the_customer(server, relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    assert await leave(karoo, handoff) == {"ok": True}
    await eventually(lambda: thandi.shown(handoff)[-1]["state"] == "message")
    assert thandi.shown(handoff)[-1]["last"]["text"] == "please call me"
    sipho = await desk("sipho")
    assert [one["handoff_id"] for one in sipho.all("ready")[0]["messages"]] == [handoff]
    assert sipho.all("ready")[0]["queue"] == []
    assert (await sipho.say(handoff, "we will", "a-1"))["ok"]
    await eventually(lambda: [said.get("text") for said in karoo.deliveries(handoff)] == ["we will"])
    status = {"handoff_id": handoff, "id": "s", "number": 4, "message_id": "a-1", "status": "waiting", "reason": None}
    assert await karoo.call("message.status", status) == {"ok": True}
    await eventually(lambda: sipho.all("message.status"))
    count = len(karoo.deliveries(handoff))
    assert (await thandi.say(handoff, "and so will I"))["ok"]
    await eventually(lambda: len(karoo.deliveries(handoff)) == count + 1)
    assert await thandi.resolve(handoff) == {"ok": True}
    await eventually(lambda: thandi.shown(handoff)[-1]["state"] == "ended")
    assert (await sipho.say(handoff, "too late"))["code"] == "ended"
    assert "completed" not in karoo.statuses(handoff)


async def test_a_message_is_left_while_nobody_is_there(server, relay, desk):
    karoo = await relay()
    offer = karoo.offer(left=True, department="billing", contact={"name": "Naledi"})
    assert (await karoo.call("handoff.initiate", {**offer, "left": False}))["code"] == "nobody_available"
    first = await karoo.call("handoff.initiate", offer)
    assert first["ok"], first
    assert await karoo.call("handoff.initiate", offer) == first
    handoff = offer["handoff_id"]
    assert await leave(karoo, handoff) == {"ok": True}
    thandi = await desk()
    (ready,) = thandi.all("ready")
    assert [(one["handoff_id"], one["last"]["text"]) for one in ready["messages"]] == [(handoff, "please call me")]
    assert ready["queue"] == []
    assert (await thandi.say(handoff, "we will", "a-1"))["ok"]
    await eventually(lambda: [said.get("text") for said in karoo.deliveries(handoff)] == ["we will"])


async def test_nobody_is_called_to_a_message_that_is_left(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate(left=True, department="gardening")
    await eventually(lambda: thandi.shown(handoff))
    assert [one["state"] for one in thandi.shown(handoff)] == ["message"]
    assert thandi.all("arrival") == []


async def test_a_contact_follows_a_message_that_was_left(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate(left=True, contact={"name": "Naledi"})
    assert await leave(karoo, handoff) == {"ok": True}
    status = {"handoff_id": handoff, "id": "c", "number": 4, "status": "message_left"}
    for _ in range(2):
        given = {**status, "contact": {"email": "naledi@example.org"}}
        assert await karoo.call("handoff.status", given) == {"ok": True}
    assert await karoo.call("handoff.status", {**status, "id": "d", "number": 5}) == {"ok": True}
    opened = await thandi.ask("open", handoff_id=handoff, after=0)
    assert opened["conversation"]["contact"] == {"name": "Naledi", "email": "naledi@example.org", "phone": None}
    assert len([one for one in thandi.shown(handoff) if "contact" in one]) == 1, "a desk that has it open is told once"


async def test_a_message_left_while_an_agent_takes_it_is_still_a_message(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    assert await leave(karoo, handoff) == {"ok": True}
    assert (await thandi.take(handoff))["conversation"]["state"] == "message"
    assert (await thandi.call("transfer", {"handoff_id": handoff, "department": None}))["code"] == "invalid"
    assert await leave(karoo, handoff) == {"ok": True}
    unheard = {"handoff_id": "unheard-of", "id": "m", "number": 3, "status": "message_left"}
    assert await karoo.call("handoff.status", unheard) == {"ok": True}


async def test_a_message_left_is_kept_a_month(server, relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await leave(karoo, handoff)
    server.ahead += 29 * 86400
    await thandi.say(handoff, "we tried to call")
    server.ahead += 29 * 86400
    assert (await thandi.call("open", {"handoff_id": handoff}))["conversation"]["state"] == "message"
    server.ahead += 2 * 86400
    await eventually(lambda: thandi.shown(handoff)[-1]["state"] == "ended")
    assert karoo.statuses(handoff) == []


async def test_words_that_crossed_with_the_end_are_kept_and_shown_to_who_had_it(relay, desk):
    thandi, sipho, karoo = await desk(), await desk("sipho"), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await thandi.resolve(handoff)
    assert await karoo.say(handoff, "one more thing", "m-9") == {"ok": True}
    assert await karoo.say(handoff, "one more thing", "m-9") == {"ok": True}
    await eventually(lambda: thandi.all("message"))
    await eventually(lambda: (thandi.shown(handoff)[-1]["last"] or {}).get("text") == "one more thing")
    assert thandi.shown(handoff)[-1]["state"] == "ended"
    conversation = (await thandi.call("open", {"handoff_id": handoff, "after": 0}))["conversation"]
    assert [one["text"] for one in conversation["messages"]] == ["one more thing"]
    assert sipho.all("message") == []


@pytest.mark.parametrize("event", ["message", "handoff.status"])
async def test_what_the_relay_has_lost_ends_here_too(relay, desk, event):
    thandi, karoo = await desk(), await relay()
    handoff, received = await karoo.initiate(), []

    async def refuse(body):
        received.append(body)
        return {"ok": False, "code": "unknown_handoff", "error": "It isn't known here."}

    if event == "message":
        await thandi.take(handoff)
        await eventually(lambda: karoo.statuses(handoff) == ["accepted"])
    karoo.sio.on(event, refuse, namespace="/relay")
    await (thandi.say(handoff, "hello", "a-1") if event == "message" else thandi.take(handoff))
    await eventually(lambda: thandi.shown(handoff)[-1]["state"] == "ended")
    assert thandi.shown(handoff)[-1]["ended"]["outcome"] == "relay_lost_it"
    assert len(received) == 1


class Forgetful(Relay):
    """A relay that has lost its database, and knows no handoff."""

    def on_event(self, event, body):
        if event == "message":
            return {"ok": False, "code": "unknown_handoff", "error": "It isn't known here."}
        return super().on_event(event, body)


async def test_all_the_words_a_relay_has_no_conversation_for_have_failed(server, relay, desk, opened):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await eventually(lambda: karoo.statuses(handoff) == ["accepted"])
    await karoo.close()
    await thandi.say(handoff, "one", "w-1")
    await thandi.say(handoff, "two", "w-2")
    opened.append(back := Forgetful("karoo"))
    await back.connect(server.address)
    await eventually(lambda: thandi.shown(handoff)[-1]["state"] == "ended")
    messages = (await thandi.call("open", {"handoff_id": handoff, "after": 0}))["conversation"]["messages"]
    assert [(said["id"], said["status"]) for said in messages] == [("w-1", "failed"), ("w-2", "failed")]


async def test_a_relay_that_can_not_write_is_told_again(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff, received = await karoo.initiate(), []

    async def full(body):
        received.append(body)
        return {"ok": len(received) > 2, "code": "unavailable", "error": "The disk is full."}

    karoo.sio.on("handoff.status", full, namespace="/relay")
    await thandi.take(handoff)
    await eventually(lambda: len(received) == 3)
    assert {body["status"] for body in received} == {"accepted"}


async def test_a_relay_finds_what_it_has_lost_while_it_is_open(relay, desk):
    thandi, karoo, other = await desk(), await relay(), await relay("other")
    offer = karoo.offer(reason="a refund")
    assert (await karoo.call("handoff.initiate", offer))["ok"]
    seek = {"conversation_id": offer["conversation_id"]}
    found = await karoo.call("handoff.find", seek)
    assert found["ok"]
    assert (found["handoff"]["handoff_id"], found["handoff"]["reason"]) == (offer["handoff_id"], "a refund")
    assert found["agent"] is None
    nothing = {"ok": True, "handoff": None, "agent": None}
    assert await other.call("handoff.find", seek) == nothing
    assert await karoo.call("handoff.find", {"conversation_id": "unheard-of"}) == nothing
    await thandi.take(offer["handoff_id"])
    assert (await karoo.call("handoff.find", seek))["agent"]["name"] == "Thandi"
    await thandi.resolve(offer["handoff_id"])
    assert (await karoo.call("handoff.find", seek))["handoff"] is None


async def test_a_resumed_offer_is_taken_in_whoever_is_there_and_goes_ahead(relay, desk):
    karoo = await relay()
    resumed = karoo.offer(resumed=True, department="lost-department")
    assert (await karoo.call("handoff.initiate", {**karoo.offer(), "resumed": False}))["code"] == "nobody_available"
    thandi = await desk()
    first = await karoo.initiate()
    urgent = await karoo.initiate(priority="urgent")
    answer = await karoo.call("handoff.initiate", resumed)
    assert (answer["ok"], answer["position"]) == (True, 2)
    assert await karoo.call("handoff.initiate", resumed) == answer
    queue = (await desk()).all("ready")[0]["queue"]
    assert [one["handoff_id"] for one in queue] == [urgent, resumed["handoff_id"], first]
    await thandi.close()


async def test_a_resumed_offer_comes_in_with_nobody_there(relay):
    karoo = await relay()
    assert (await karoo.call("handoff.initiate", karoo.offer(resumed=True, department="billing")))["ok"]


async def test_hello_says_what_needs_no_telling_again(relay, desk, opened):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await karoo.close()
    await thandi.take(handoff)
    await thandi.say(handoff, "had", "w-1")
    await thandi.say(handoff, "new")
    back = await relay(open=[{"handoff_id": handoff, "last": 2, "words": "w-1"}, "another"])
    await eventually(lambda: back.deliveries(handoff))
    assert [said["text"] for said in back.deliveries(handoff)] == ["new"]
    stranger = await relay("other", open=[{"handoff_id": handoff, "last": 9}])
    assert stranger.deliveries(handoff) == []
    await thandi.say(handoff, "newer")
    await eventually(lambda: len(back.deliveries(handoff)) == 2)
