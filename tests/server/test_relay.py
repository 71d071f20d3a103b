"""``/relay``: what HandoffChannel may rely on."""

import pytest

from rasa_handoff.server.accounts import add_token
from rasa_handoff.server.storage import handoffs
from rasa_handoff.server.storage.tables import open_store
from rasa_handoff.testing.waiting import eventually
from tests.server.peers import Relay, refusal_of

pytestmark = pytest.mark.every_database("sqlite", "postgres-notify")


async def test_welcome_says_who_is_there(relay, desk):
    await desk("sipho")
    karoo = await relay()
    (welcome,) = karoo.all("welcome")
    assert {"handoff.initiate", "handoff.transcript", "handoff.status", "message"} <= set(welcome["events"])
    assert (welcome["format"], welcome["protocol"]) == ("rasa-handoff", 2)
    assert welcome["server"] == "0.1.0"
    assert len(welcome["epoch"]) == 32
    assert {d["name"]: d["staffed"] for d in welcome["departments"]} == {"billing": True, "orders": False}
    assert welcome["staffed"] is True


async def test_availability_is_pushed_when_an_agent_comes_goes_and_steps_away(relay, desk):
    karoo = await relay()
    assert karoo.all("welcome")[0]["staffed"] is False
    thandi = await desk()
    await eventually(lambda: karoo.all("availability")[-1:] and karoo.all("availability")[-1]["staffed"])
    assert await thandi.call("presence", {"online": False}) == {"ok": True}
    await eventually(lambda: not karoo.all("availability")[-1]["staffed"])
    await thandi.call("presence", {"online": True})
    await eventually(lambda: karoo.all("availability")[-1]["staffed"])
    await thandi.close()
    await eventually(lambda: not karoo.all("availability")[-1]["staffed"])


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({}, "nobody_available"),
        ({"department": "billing"}, "nobody_available"),
        ({"department": "gardening"}, "unknown_department"),
        ({"agent": "nobody@example.org"}, "unknown_agent"),
        ({"agent": "thandi@example.org"}, "nobody_available"),
        ({"bot_id": "another"}, "refused"),
        ({"priority": "soon"}, "invalid"),
        ({"conversation_id": ""}, "invalid"),
        ({"conversation_id": "c" * 256}, "invalid"),
        ({"handoff_id": "h\n"}, "invalid"),
    ],
)
async def test_an_offer_nobody_can_take_is_refused_with_a_reason(relay, more, code):
    karoo = await relay()
    answer = await karoo.call("handoff.initiate", karoo.offer(**more))
    assert answer["ok"] is False
    assert answer["code"] == code
    assert answer["error"].endswith((".", "`"))


async def test_an_agent_without_departments_serves_all_and_one_with_only_theirs(relay, desk):
    karoo, sipho = await relay(), await desk("sipho")
    assert (await karoo.call("handoff.initiate", karoo.offer(department="orders")))["code"] == "nobody_available"
    assert (await karoo.call("handoff.initiate", karoo.offer(department="billing")))["ok"]
    assert sipho.all("ready")[0]["me"]["departments"] == ["billing"]
    await desk("thandi")
    assert (await karoo.call("handoff.initiate", karoo.offer(department="orders")))["ok"]


async def test_an_offer_sent_again_is_answered_the_same_and_changes_nothing(relay, desk):
    thandi, karoo = await desk(), await relay()
    offer = karoo.offer()
    first = await karoo.call("handoff.initiate", offer)
    assert first == {"ok": True, "status": "queued", "position": 1, "wait": None}
    assert await karoo.call("handoff.initiate", offer) == first
    assert len(thandi.all("arrival")) == 1
    other = await relay("other")
    assert (await other.call("handoff.initiate", other.offer(handoff_id=offer["handoff_id"])))["code"] == "refused"


async def test_a_named_agent_hears_of_the_arrival_and_the_others_see_it(relay, desk):
    thandi, sipho, karoo = await desk(), await desk("sipho"), await relay()
    handoff = await karoo.initiate(agent="thandi@example.org")
    await eventually(lambda: [one["handoff_id"] for one in thandi.all("arrival")] == [handoff])
    await eventually(lambda: sipho.shown(handoff))
    assert sipho.all("arrival") == []


def positions(karoo, handoff):
    """Return the places in the queue that a relay was told, one after the other."""
    return [said["position"] for said in karoo.deliveries(handoff) if said["status"] == "queued"]


async def test_queue_is_ordered_by_priority_then_time_and_who_is_next_hears_it_at_once(relay, desk):
    thandi, karoo = await desk(), await relay()
    first, second = karoo.offer(), karoo.offer()
    answers = [await karoo.call("handoff.initiate", one) for one in (first, second)]
    assert [answer["position"] for answer in answers] == [1, 2]
    urgent = await karoo.call("handoff.initiate", offer := karoo.offer(priority="urgent"))
    assert urgent["position"] == 1
    await thandi.take(offer["handoff_id"])
    await eventually(lambda: karoo.statuses(offer["handoff_id"]) == ["accepted"])
    agent = {"id": thandi.all("ready")[0]["me"]["id"], "name": "Thandi"}
    assert karoo.deliveries(offer["handoff_id"])[0]["agent"] == agent
    await thandi.take(first["handoff_id"])
    await eventually(lambda: positions(karoo, second["handoff_id"]) == [1])


async def test_who_waits_hears_of_a_new_place_once_a_minute_and_at_once_when_next(server, relay, desk, monkeypatch):
    monkeypatch.setattr("rasa_handoff.server.service.scheduler.EVERY", 0.1)
    thandi, karoo = await desk(), await relay()
    waiting = [await karoo.initiate() for _ in range(5)]
    for taken in waiting[:2]:
        assert (await thandi.take(taken))["ok"]
    await eventually(lambda: positions(karoo, waiting[2]) == [1])
    assert [positions(karoo, handoff) for handoff in waiting] == [[], [1], [1], [], []]
    server.ahead += 61
    await eventually(lambda: positions(karoo, waiting[4]) == [3])
    assert positions(karoo, waiting[3]) == [2]
    assert (await thandi.take(waiting[2]))["ok"]
    await eventually(lambda: positions(karoo, waiting[3]) == [2, 1])
    server.ahead += 61
    await eventually(lambda: positions(karoo, waiting[4]) == [3, 2])


async def test_a_place_that_was_not_told_is_replaced(server, relay, desk, database, monkeypatch):
    monkeypatch.setattr("rasa_handoff.server.service.scheduler.EVERY", 0.1)
    thandi, karoo = await desk(), await relay()
    waiting = [await karoo.initiate() for _ in range(5)]
    await karoo.close()
    for taken in waiting[:3]:
        assert (await thandi.take(taken))["ok"]
        server.ahead += 61
    store = open_store(database)
    await eventually(lambda: store.run(lambda connection: handoffs.must_find(connection, waiting[4])).position == 2)
    store.dispose()
    again = await relay()
    await eventually(lambda: positions(again, waiting[4]) == [2])
    await eventually(lambda: positions(again, waiting[3]) == [1])


async def test_a_take_costs_the_same_however_many_wait(relay, desk):
    """Nothing is written, sent or shown for those who are neither taken nor next."""
    thandi, karoo = await desk(), await relay()
    waiting = [await karoo.initiate() for _ in range(30)]
    await eventually(lambda: len(thandi.all("arrival")) == 30)
    shown = len(thandi.all("conversation"))
    assert (await thandi.take(waiting[0]))["ok"]
    await eventually(lambda: positions(karoo, waiting[1]) == [1])
    await eventually(lambda: thandi.shown(waiting[0]))
    assert len(thandi.all("conversation")) - shown <= 2
    assert [positions(karoo, handoff) for handoff in waiting[2:]] == [[]] * 28


async def test_words_both_ways_are_numbered_and_deduplicated(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    assert await karoo.say(handoff, "still there?", "m-1") == {"ok": True}
    assert await karoo.say(handoff, "still there?", "m-1") == {"ok": True}
    conversation = (await thandi.take(handoff))["conversation"]
    assert [m["text"] for m in conversation["messages"]] == ["still there?"]
    answers = [await thandi.say(handoff, f"line {n}", f"a-{n}") for n in range(5)]
    assert (await thandi.say(handoff, "line 0", "a-0"))["message"]["seq"] == answers[0]["message"]["seq"] == 2
    await eventually(lambda: len(karoo.deliveries(handoff)) == 6)
    delivered = karoo.deliveries(handoff)
    assert [said["number"] for said in delivered] == [1, 2, 3, 4, 5, 6]
    assert [said["text"] for said in delivered[1:]] == [f"line {n}" for n in range(5)]
    assert delivered[1]["speaker"] == "agent"
    assert delivered[1]["agent"] == "Thandi"
    assert delivered[1]["id"] == "a-0"


async def test_many_at_once_keep_their_order(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    for number in range(100):
        body = {
            "handoff_id": handoff,
            "id": f"m-{number}",
            "number": number + 2,
            "speaker": "customer",
            "text": str(number),
            "at": 1.0,
        }
        await karoo.emit("message", body)
    await eventually(lambda: len(thandi.all("message")) == 100)
    assert [said["text"] for said in thandi.all("message")] == [str(number) for number in range(100)]
    assert [said["seq"] for said in thandi.all("message")] == list(range(1, 101))


async def test_what_is_said_while_the_relay_is_away_waits_for_its_hello(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await eventually(lambda: karoo.statuses(handoff) == ["accepted"])
    await karoo.close()
    assert (await thandi.say(handoff, "are you there?"))["message"]["status"] == "stored"
    back = await relay()
    await eventually(lambda: any("text" in one for one in back.deliveries(handoff)))
    # The acceptance may come again, if its acknowledgement wasn't written down before the relay went.
    assert [one["text"] for one in back.deliveries(handoff) if "text" in one] == ["are you there?"]


async def test_each_side_says_the_last_it_has(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff, untouched = await karoo.initiate(), await karoo.initiate()
    await thandi.take(handoff)
    await karoo.say(handoff, "hello", "c-1")
    await eventually(lambda: karoo.statuses(handoff) == ["accepted"])
    await karoo.close()
    await thandi.say(handoff, "one", "w-1")
    await thandi.say(handoff, "two")
    under_way = ((handoff, 2, "w-1"), (untouched, 0, None), ("unheard-of", 1, None))
    back = await relay(open=[{"handoff_id": id, "last": last, "words": words} for id, last, words in under_way])
    assert back.all("welcome")[0]["open"] == [
        {"handoff_id": handoff, "last": "c-1"},
        {"handoff_id": untouched, "last": f"{untouched}-offer"},
    ]
    await eventually(lambda: back.deliveries(handoff))
    assert [said["text"] for said in back.deliveries(handoff)] == ["two"], "'one' was number 2"
    assert back.all("welcome")[0]["unknown"] == ["unheard-of"]


async def test_words_with_a_number_of_a_lost_timeline_are_told_all_the_same(relay, desk):
    """The server was set back, and an agent spoke before the relay was back: it has other words under that number."""
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await eventually(lambda: karoo.statuses(handoff) == ["accepted"])
    await karoo.close()
    await thandi.say(handoff, "one", "w-1")
    await thandi.say(handoff, "two", "w-2")
    back = await relay(open=[{"handoff_id": handoff, "last": 3, "words": "lost-2"}])
    await eventually(lambda: len(back.deliveries(handoff)) == 2)
    assert [(said["text"], said["number"]) for said in back.deliveries(handoff)] == [("one", 4), ("two", 5)]
    await thandi.say(handoff, "three", "w-3")
    await eventually(lambda: back.deliveries(handoff)[-1]["number"] == 6)


async def test_what_became_of_a_message_only_rises_and_reaches_the_desk(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await thandi.say(handoff, "hello", "a-1")

    async def became(status, message_id="a-1"):
        body = {
            "handoff_id": handoff,
            "id": "s",
            "number": 9,
            "message_id": message_id,
            "status": status,
            "reason": None,
        }
        return await karoo.call("message.status", body)

    for status in ("waiting", "delivered", "waiting"):
        assert await became(status) == {"ok": True}
    assert (await became("eaten"))["code"] == "invalid"
    await eventually(lambda: len(thandi.all("message.status")) == 2)
    assert [said["status"] for said in thandi.all("message.status")] == ["waiting", "delivered"]
    conversation = (await thandi.call("open", {"handoff_id": handoff, "after": 0}))["conversation"]
    assert conversation["messages"][0]["status"] == "delivered"


async def test_a_refused_message_is_shown_as_failed(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)

    async def refuse(_):
        return {"ok": False, "code": "unknown_handoff", "error": "It isn't known here."}

    karoo.sio.on("message", refuse, namespace="/relay")
    await thandi.say(handoff, "hello", "a-1")
    await eventually(lambda: thandi.all("message.status"))
    assert thandi.all("message.status")[0]["status"] == "failed"
    assert thandi.all("message.status")[0]["reason"] == "It isn't known here."


async def test_the_customer_ends_it_and_unknown_ends_are_fine(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    end = {"handoff_id": handoff, "id": "e", "number": 2, "status": "ended", "reason": "customer_left"}
    assert await karoo.call("handoff.status", end) == {"ok": True}
    assert await karoo.call("handoff.status", end) == {"ok": True}
    assert await karoo.call("handoff.status", {**end, "handoff_id": "unheard-of"}) == {"ok": True}
    await eventually(lambda: thandi.shown(handoff)[-1]["state"] == "ended")
    assert thandi.shown(handoff)[-1]["ended"]["outcome"] == "customer_left"
    assert (await thandi.take(handoff))["code"] == "ended"
    assert (await karoo.say("unheard-of", "hello"))["code"] == "unknown_handoff"


async def test_a_relay_touches_only_its_bots_conversations(relay, desk):
    thandi, karoo, other = await desk(), await relay(), await relay("other")
    handoff = await karoo.initiate()
    assert (await other.say(handoff, "let me in"))["code"] == "unknown_handoff"
    end = {"handoff_id": handoff, "id": "e", "number": 2, "status": "ended", "reason": "cancelled"}
    assert await other.call("handoff.status", end) == {"ok": True}
    assert (await thandi.take(handoff))["ok"]
    await thandi.say(handoff, "hello")
    await eventually(lambda: len(karoo.deliveries(handoff)) == 2)
    assert other.deliveries(handoff) == []


async def test_typing_both_ways_is_told_and_not_kept(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await karoo.emit("typing", {"handoff_id": handoff, "on": True})
    await eventually(lambda: thandi.all("typing") == [{"handoff_id": handoff, "on": True}])
    await thandi.emit("typing", {"handoff_id": handoff, "on": False})
    await eventually(lambda: karoo.all("typing") == [{"handoff_id": handoff, "on": False}])


async def test_with_a_token_configured_a_relay_needs_it(server, relay, opened):
    token = add_token(server.database, "karoo")
    await relay("karoo", token)
    for bot_id, wrong in (("karoo", None), ("karoo", "guess"), ("other", token)):
        stranger = Relay(bot_id)
        opened.append(stranger)
        assert "rasa-handoff token add" in await refusal_of(stranger.connect(server.address, wrong), stranger)


NEWER_SERVER = "update the live-agent server to a version with protocol 3 or 4."
NEWER_RELAY = "update rasa-handoff beside Rasa to a version with protocol 1 or 2."


@pytest.mark.parametrize(
    ("auth", "sentence"),
    [
        ({"protocol": 4}, "This server speaks protocol 2, the relay 4: " + NEWER_SERVER),
        ({"protocol": 0}, "This server speaks protocol 2, the relay 0: " + NEWER_RELAY),
        ({"protocol": "one"}, "'protocol' must be a whole number, not a text."),
        ({"bot_id": ""}, "'bot_id' mustn't be empty."),
    ],
)
async def test_a_relay_that_does_not_fit_is_told_why(server, opened, auth, sentence):
    stranger = Relay("karoo")
    opened.append(stranger)
    assert await refusal_of(stranger.connect(server.address, **auth), stranger) == sentence


@pytest.mark.parametrize("auth", [{"format": None}, {"format": "other"}, {"format": 1, "protocol": "x"}])
async def test_a_relay_of_another_format_is_refused_with_what_to_do_and_logged_once(server, opened, caplog, auth):
    """It is from before the first release, or somebody else's, and tries again and again."""
    for _ in range(3):
        stranger = Relay("karoo")
        opened.append(stranger)
        sentence = await refusal_of(stranger.connect(server.address, **auth), stranger)
        assert sentence.endswith(
            "it is from before the first release, or something else. Update rasa-handoff beside Rasa."
        )
    assert caplog.text.count("from before the first release") == 1


@pytest.mark.parametrize("newer", ["server", "relay"])
async def test_the_protocol_before_is_spoken_whichever_side_is_the_newer(server, desk, opened, monkeypatch, newer):
    ours, theirs = (2, 1) if newer == "server" else (1, 2)
    monkeypatch.setattr("rasa_handoff.server.gateways.relay_gateway.PROTOCOL", ours)
    thandi, karoo = await desk(), Relay("karoo")
    opened.append(karoo)
    await karoo.connect(server.address, protocol=theirs)
    assert karoo.all("welcome")[0]["protocol"] == ours
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await thandi.say(handoff, "good day")
    await eventually(lambda: [said.get("text") for said in karoo.deliveries(handoff)] == [None, "good day"])


RELAYS_UPDATE = "rasa-handoff beside Rasa to a version with protocol 2 or 3"


@pytest.mark.parametrize("theirs", [0, 1, 5])
async def test_a_protocol_further_away_is_refused(server, opened, monkeypatch, theirs):
    monkeypatch.setattr("rasa_handoff.server.gateways.relay_gateway.PROTOCOL", 3)
    stranger = Relay("karoo")
    opened.append(stranger)
    sentence = await refusal_of(stranger.connect(server.address, protocol=theirs), stranger)
    what = "the live-agent server to a version with protocol 4 or 5" if theirs == 5 else RELAYS_UPDATE
    assert sentence == f"This server speaks protocol 3, the relay {theirs}: update {what}."


async def test_numbers_from_the_wire_are_looked_at(desk, relay):
    """NaN, infinity and what has a hundred digits don't come this far: the guard takes no packet with them."""
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    for last in (1e40, 2**63, -1, "7", 1.5, True):
        answer = await karoo.call("hello", {"open": [{"handoff_id": handoff, "last": last, "words": None}]})
        assert answer["ok"], f"an odd item of a hello counts for nothing, and keeps nobody out: {last}"
    for at in (1e40, -1, "now"):
        said = {"handoff_id": handoff, "id": "m", "number": 2, "speaker": "customer", "text": "hi", "at": at}
        refused = await karoo.call("message", said)
        assert (refused["ok"], refused["code"]) == (False, "invalid"), at
        offer = karoo.offer(transcript=[{"speaker": "customer", "text": "hi", "at": at}])
        assert (await karoo.call("handoff.initiate", offer))["code"] == "invalid"
    for after in (1e40, 2**63, -1):
        assert (await thandi.call("open", {"handoff_id": handoff, "after": after}))["code"] == "invalid"
    assert (await karoo.say(handoff, "hello"))["ok"]


async def test_an_unknown_event_is_refused(relay, desk):
    """A relay would send it again for ever otherwise, and all behind it would wait."""
    for peer in (await relay(), await desk()):
        answer = await peer.call("nothing.known", {"mark": 1})
        assert (answer["ok"], answer["code"]) == (False, "unknown_event")


PHOTO = {"type": "image", "media": {"url": "https://photos.example.org/dent.jpg", "name": "dent.jpg"}}
PLACE = {"type": "location", "latitude": -33.92, "longitude": 18.42}


async def test_the_parts_of_a_message_are_kept_and_shown(relay, desk):
    thandi, karoo = await desk(), await relay()
    line = {
        "speaker": "bot",
        "text": "Where? [Here]",
        "at": 1.0,
        "parts": [{"type": "buttons", "buttons": [{"title": "Here"}]}],
    }
    handoff = await karoo.initiate(transcript=[line])
    conversation = (await thandi.take(handoff))["conversation"]
    assert conversation["transcript"] == [line]
    said = {
        "handoff_id": handoff,
        "id": "m1",
        "number": 2,
        "text": "[Image: dent.jpg]",
        "at": 2.0,
        "parts": [PHOTO, PLACE],
    }
    assert (await karoo.call("message", said))["ok"]
    assert (await thandi.hears("message", id="m1"))["parts"] == [PHOTO, PLACE]
    opened = await thandi.ask("open", handoff_id=handoff, after=0)
    assert [message["parts"] for message in opened["conversation"]["messages"]] == [[PHOTO, PLACE]]
    wrong = {**said, "id": "m2", "number": 3, "parts": [{"type": "image"}]}
    answer = await karoo.call("message", wrong)
    assert (answer["code"], "parts" in answer["error"]) == ("invalid", True)
