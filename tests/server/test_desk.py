"""``/desk``: what an agent's browser may rely on."""

import asyncio
import hashlib
import json
import uuid
from typing import Any

import aiohttp
import pytest

from rasa_handoff.server import administration
from rasa_handoff.server.gateways.desk_gateway import OWN_PAGE
from rasa_handoff.server.service.agent_operations import AgentService
from rasa_handoff.testing.waiting import eventually
from tests.server.peers import agent_at, refusal_of

SETTABLE = [
    {"name": "street", "type": "text"},
    {"name": "express", "type": "bool"},
    {"name": "copies", "type": "float"},
    {"name": "size", "type": "categorical", "values": ["small", "large"]},
    {"name": "topics", "type": "list"},
]


async def test_ready_has_all_an_agent_needs(relay, desk):
    first, karoo = await desk("sipho"), await relay()
    waiting, taken = await karoo.initiate(department="billing", contact={"name": "Naledi"}), await karoo.initiate()
    await first.take(taken)
    thandi = await desk("thandi")
    ready = thandi.all("ready")[0]
    assert ready["me"] == {
        **ready["me"],
        "name": "Thandi",
        "email": "thandi@example.org",
        "online": True,
        "departments": [],
    }
    assert ready["outcomes"] == ["resolved", "unresolved", "follow_up"]
    assert [d["name"] for d in ready["departments"]] == ["billing", "orders"]
    assert [(s["handoff_id"], s["title"]) for s in ready["queue"]] == [(waiting, "Naledi")]
    assert ready["mine"] == []
    urgent = await karoo.initiate(priority="urgent")
    queue = (await desk("thandi")).all("ready")[0]["queue"]
    assert [s["handoff_id"] for s in queue] == [urgent, waiting]
    assert [(s["handoff_id"], s["agent"]["name"]) for s in ready["others"]] == [(taken, "Sipho")]


async def test_what_is_to_be_followed_up_is_listed_until_somebody_has_done_it(relay, desk):
    thandi, sipho, karoo = await desk(), await desk("sipho"), await relay()
    handoffs = [await karoo.initiate(department="billing"), await karoo.initiate(department="orders")]
    for handoff in handoffs:
        await thandi.take(handoff)
        await thandi.resolve(handoff, "follow_up", note="call back on Monday")
    shown = await eventually(lambda: [one for one in sipho.shown(handoffs[0]) if one["ended"]])
    assert (shown[-1]["ended"]["note"], shown[-1]["ended"]["followed_up"]) == ("call back on Monday", False)
    assert [one["handoff_id"] for one in (await desk()).all("ready")[0]["follow_ups"]] == handoffs[::-1]
    assert [one["handoff_id"] for one in (await desk("sipho")).all("ready")[0]["follow_ups"]] == handoffs[:1]
    assert (await sipho.ask("followed_up", handoff_id=handoffs[1]))["code"] == "unknown_handoff"
    for _ in range(2):  # the second is one sent again after a lost answer
        assert await sipho.ask("followed_up", handoff_id=handoffs[0]) == {"ok": True}
    await eventually(lambda: thandi.shown(handoffs[0])[-1]["ended"]["followed_up"])
    assert [one["handoff_id"] for one in (await desk()).all("ready")[0]["follow_ups"]] == handoffs[1:]


async def test_only_what_ended_so_can_be_followed_up(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    for _ in ("while it goes on", "after another outcome"):
        assert (await thandi.ask("followed_up", handoff_id=handoff))["code"] == "invalid"
        await thandi.resolve(handoff, "resolved")
    assert (await desk()).all("ready")[0]["follow_ups"] == []


async def test_a_desk_that_connects_misses_nothing_of_what_happens_meanwhile(relay, desk, monkeypatch):
    """Something else is committed and told after the desk's lists were read, and before the desk is given them."""
    karoo, thandi = await relay(), await desk()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    do, said = AgentService.do, []

    async def do_and_be_overtaken(self: AgentService, work: Any) -> Any:
        answer = await do(self, work)
        if len(said) < 20 and not karoo.busy:  # not by what karoo's own words bring about
            karoo.busy = True
            said.append(f"word {len(said)}")
            assert (await karoo.say(handoff, said[-1]))["ok"]
            karoo.busy = False
        return answer

    karoo.busy = False
    monkeypatch.setattr(AgentService, "do", do_and_be_overtaken)
    again = await desk()
    monkeypatch.undo()
    assert said
    (mine,) = again.all("ready")[-1]["mine"]
    await eventually(lambda: [said[-1]] == [one["text"] for one in [mine["last"], *again.all("message")]][-1:])


async def test_an_arrival_is_told_with_its_summary(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate(
        conversation_id="abc-3f2a", department="orders", reason="a refund", priority="high", language="zu"
    )
    (arrival,) = await eventually(lambda: thandi.all("arrival"))
    wanted = {"handoff_id": handoff, "state": "queued", "title": "Customer 2807", "department": "orders", "agent": None}
    assert arrival == {**arrival, **wanted, "reason": "a refund", "priority": "high", "language": "zu"}


async def test_no_browser_is_told_the_id_by_which_a_conversation_is_used(server, relay, desk):
    karoo, id = await relay(), "27821234567-secret"
    sipho, thandi = await desk("sipho"), await desk("thandi")
    handoff = await karoo.initiate(conversation_id=id, department="billing")
    answers = [await thandi.take(handoff), await thandi.call("open", {"handoff_id": handoff, "after": 0})]
    await karoo.say(handoff, "hello")
    answers += [await thandi.say(handoff, "hello"), await sipho.take(handoff)]
    answers += [await sipho.call("open", {"handoff_id": handoff, "after": 0})]
    late = await desk("thandi")
    answers += [await thandi.call("transfer", {"handoff_id": handoff, "department": "orders"})]
    answers += [await thandi.take(handoff), await thandi.resolve(handoff)]
    await eventually(lambda: thandi.shown(handoff)[-1]["state"] == "ended")
    reported = json.dumps([answers, thandi.received, sipho.received, late.received])
    assert handoff in reported
    assert id not in reported
    assert thandi.shown(handoff)[-1]["short_id"] == hashlib.sha256(id.encode()).hexdigest()[:8]
    async with aiohttp.ClientSession() as http, http.get(f"{server.address}/health") as health:
        assert id not in await health.text()


async def test_of_two_agents_who_take_the_same_one_exactly_one_gets_it(relay, desk):
    thandi, sipho, karoo = await desk("thandi"), await desk("sipho"), await relay()
    for _ in range(5):
        handoff = await karoo.initiate()
        answers = await asyncio.gather(thandi.take(handoff), sipho.take(handoff))
        assert sorted(answer["ok"] for answer in answers) == [False, True]
        loser = next(answer for answer in answers if not answer["ok"])
        winner = "Sipho" if loser is answers[0] else "Thandi"
        assert (loser["code"], loser["error"]) == ("taken", f"{winner} took this conversation a moment ago.")
        await eventually(lambda handoff=handoff: karoo.deliveries(handoff))
        assert [said["agent"]["name"] for said in karoo.deliveries(handoff)] == [winner]


async def test_taking_again_after_a_lost_answer_is_fine(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    first, second = await thandi.take(handoff), await thandi.take(handoff)
    assert first == second
    said = {"speaker": "customer", "text": "a person, please", "at": 1.0, "parts": []}
    assert first["conversation"]["transcript"] == [said]


async def test_all_tabs_of_an_agent_and_the_others_see_the_same(relay, desk):
    tab, other_tab, sipho, karoo = await desk(), await desk(), await desk("sipho"), await relay()
    handoff = await karoo.initiate()
    await tab.take(handoff)
    await sipho.call("open", {"handoff_id": handoff, "after": 0})
    said = (await tab.say(handoff, "hello"))["message"]
    for one in (tab, other_tab, sipho):
        await eventually(lambda one=one: one.all("message"))
        assert one.shown(handoff)[-1]["agent"]["name"] == "Thandi"
        assert one.all("message") == [{**said, "handoff_id": handoff}]
    await tab.call("presence", {"online": False})
    await eventually(lambda: other_tab.all("presence") == [{"online": False}])


async def test_a_colleagues_list_shows_the_last_message_a_little_later(relay, desk):
    """Who doesn't have the conversation open gets no message of it, however many agents there are."""
    thandi, sipho, karoo = await desk("thandi"), await desk("sipho"), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await karoo.say(handoff, "are you there?")
    await thandi.say(handoff, "hello")
    await eventually(lambda: [(one["last"] or {}).get("text") for one in sipho.shown(handoff)][-1] == "hello")
    assert sipho.all("message") == []
    assert [one["text"] for one in thandi.all("message")] == ["are you there?", "hello"]
    count = len(sipho.shown(handoff))
    opened = await sipho.call("open", {"handoff_id": handoff, "after": 0})
    assert [one["text"] for one in opened["conversation"]["messages"]] == ["are you there?", "hello"]
    await karoo.say(handoff, "thank you")
    await sipho.hears("message", text="thank you")
    await eventually(lambda: len(sipho.shown(handoff)) > count)


async def test_a_desk_that_may_no_longer_see_an_open_conversation_gets_nothing_more_of_it(database, relay, desk):
    thandi, sipho, karoo = await desk("thandi"), await desk("sipho"), await relay()
    handoff = await karoo.initiate(department="billing")
    await thandi.take(handoff)
    await sipho.call("open", {"handoff_id": handoff, "after": 0})

    async def sipho_hears() -> bool:
        text = uuid.uuid4().hex
        await karoo.say(handoff, text)
        await thandi.hears("message", text=text)
        await sipho.call("open", {"handoff_id": "unknown", "after": 0})  # what was sent before is here
        return any(one["text"] == text for one in sipho.all("message"))

    assert await sipho_hears()
    administration.set_departments(database, "sipho@example.org", ["orders"])

    async def sipho_hears_nothing() -> bool:
        return not await sipho_hears()

    await eventually(sipho_hears_nothing)
    assert (await sipho.call("open", {"handoff_id": handoff, "after": 0}))["code"] == "unknown_handoff"
    assert not await sipho_hears()


async def test_only_who_has_it_may_talk_resolve_or_pass_it_on(relay, desk):
    thandi, sipho, karoo = await desk("thandi"), await desk("sipho"), await relay()
    handoff = await karoo.initiate()
    assert (await thandi.say(handoff, "hello"))["code"] == "not_yours"
    await thandi.take(handoff)
    assert (await sipho.say(handoff, "hello"))["code"] == "not_yours"
    assert (await sipho.resolve(handoff))["code"] == "not_yours"
    assert (await sipho.call("transfer", {"handoff_id": handoff, "department": None}))["code"] == "not_yours"
    await sipho.emit("typing", {"handoff_id": handoff, "on": True})
    assert (await sipho.call("open", {"handoff_id": handoff, "after": 0}))["conversation"]["messages"] == []
    assert karoo.all("typing") == []


async def test_an_agent_sees_only_the_departments_they_serve(relay, desk):
    thandi, sipho, karoo = await desk("thandi"), await desk("sipho"), await relay()
    hidden = await karoo.initiate(department="orders")
    shown = await karoo.initiate(department="billing")
    await eventually(lambda: sipho.shown(shown) and thandi.shown(hidden))
    assert sipho.shown(hidden) == []
    for event in ("take", "open"):
        assert (await sipho.call(event, {"handoff_id": hidden}))["code"] == "unknown_handoff"
    assert (await sipho.take("unheard-of"))["code"] == "unknown_handoff"


async def test_a_transfer_queues_again_and_leaves_the_lists_of_who_no_longer_sees_it(relay, desk):
    thandi, sipho, karoo = await desk("thandi"), await desk("sipho"), await relay()
    handoff = await karoo.initiate(department="billing")
    await sipho.take(handoff)
    assert (await sipho.call("transfer", {"handoff_id": handoff, "department": "gardening"}))[
        "code"
    ] == "unknown_department"
    assert await sipho.call("transfer", {"handoff_id": handoff, "department": "orders"}) == {"ok": True}
    await eventually(lambda: len(karoo.deliveries(handoff)) == 3 and sipho.shown(handoff)[-1]["state"] == "ended")
    assert karoo.statuses(handoff) == ["accepted", "transferred", "queued"]
    assert [said.get("department") for said in karoo.deliveries(handoff)] == [None, "orders", None]
    await eventually(lambda: len(thandi.all("arrival")) == 2)
    assert (await thandi.take(handoff))["ok"]
    await eventually(lambda: karoo.statuses(handoff)[-1] == "accepted")


async def test_resolving_tells_the_bot_outcome_note_and_slots(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate(bot={"settable": SETTABLE})
    await thandi.take(handoff)
    slots = {"street": "Long Street", "express": True, "copies": 2, "size": "large", "topics": ["a"]}
    for _ in range(2):  # the second is one sent again after a lost answer
        assert await thandi.resolve(handoff, "follow_up", note="call back", slots=slots) == {"ok": True}
    await eventually(lambda: karoo.statuses(handoff) == ["accepted", "completed"])
    ended = karoo.deliveries(handoff)[-1]
    assert ended == {**ended, "outcome": "follow_up", "note": "call back", "slots": slots}
    await eventually(lambda: thandi.shown(handoff)[-1]["state"] == "ended")
    assert (await thandi.say(handoff, "too late"))["code"] == "ended"
    assert (await thandi.resolve(handoff, "resolved"))["code"] == "ended"


@pytest.mark.parametrize(
    ("slots", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"street": 5}, "street"),
        ({"express": "yes"}, "express"),
        ({"copies": True}, "copies"),
        ({"size": "medium"}, "size"),
        ({"size": ["small"]}, "size"),
        ({"topics": "a"}, "topics"),
    ],
)
async def test_a_slot_that_does_not_fit_is_named(relay, desk, slots, named):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate(bot={"settable": SETTABLE})
    await thandi.take(handoff)
    answer = await thandi.resolve(handoff, slots=slots)
    assert answer["code"] == "invalid"
    assert f"'{named}'" in answer["error"]
    assert (await thandi.resolve(handoff, slots={"street": None}))["ok"]


async def test_an_agent_sends_buttons_and_a_list_shows_their_words(relay, desk):
    thandi, sipho, karoo = await desk(), await desk("sipho"), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    buttons = {"type": "buttons", "buttons": [{"title": "Yes"}, {"title": "No"}]}
    body = {"handoff_id": handoff, "id": "a-1", "parts": [{"type": "text", "text": "All well?"}, buttons]}
    first, again = [await thandi.call("message", body) for _ in (1, 2)]
    assert first["ok"]
    assert again == first
    assert (first["message"]["text"], first["message"]["parts"]) == ("All well? [Yes] [No]", body["parts"])
    received = (await eventually(lambda: karoo.all("message")))[0]
    assert (received["text"], received["parts"]) == ("All well? [Yes] [No]", body["parts"])
    listed = (await eventually(lambda: [one for one in sipho.shown(handoff) if one["last"]]))[-1]["last"]
    assert (listed["text"], listed["parts"]) == ("All well? [Yes] [No]", [])
    custom = {**body, "id": "a-2", "parts": [{"type": "custom", "json": {"handoff": {}}}]}
    assert (await thandi.call("message", custom))["code"] == "invalid"


async def test_wrong_payloads_are_answered_with_a_sentence(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    assert (await thandi.resolve(handoff, "fixed"))["code"] == "invalid"
    for event, body in (("take", {}), ("message", {"handoff_id": handoff, "id": "a", "text": ""}), ("open", None)):
        answer = await thandi.call(event, body)
        assert (answer["ok"], answer["code"]) == (False, "invalid")
    blank = await thandi.say(handoff, " \n\t ", "a-1")
    assert (blank["code"], "nothing to read" in blank["error"]) == ("invalid", True)
    await karoo.say(handoff, "mine", "m-1")
    assert (await thandi.say(handoff, "theirs", "m-1"))["code"] == "invalid"


async def test_open_gives_only_what_is_new(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    for number in range(4):
        await karoo.say(handoff, str(number))
    opened = await thandi.call("open", {"handoff_id": handoff, "after": 2})
    assert [m["text"] for m in opened["conversation"]["messages"]] == ["2", "3"]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1"])
async def test_a_desk_of_another_origin_is_refused(server, desk, opened, origin):
    signed_in = await desk()
    stranger = agent_at(server.address)
    opened.append(stranger)
    stranger.cookie = signed_in.cookie
    assert await refusal_of(stranger.connect(origin=origin), stranger) == OWN_PAGE
    await stranger.connect(origin=server.address)


@pytest.mark.parametrize("cookie", ["other=1", "handoff_session=guess", "handoff_session="])
async def test_a_desk_without_a_session_is_refused(server, opened, cookie):
    stranger = agent_at(server.address)
    opened.append(stranger)
    stranger.cookie = cookie
    assert await refusal_of(stranger.connect(), stranger) == "Please sign in again."


async def test_several_bots_meet_at_one_desk(relay, desk):
    thandi, karoo, other = await desk(), await relay("karoo"), await relay("other")
    handoffs = {await karoo.initiate(): karoo, await other.initiate(): other}
    for handoff, bot in handoffs.items():
        conversation = (await thandi.take(handoff))["conversation"]
        assert conversation["bot_id"] == bot.bot_id
        await thandi.say(handoff, f"hello {bot.bot_id}", uuid.uuid4().hex)
    for handoff, bot in handoffs.items():
        await eventually(
            lambda handoff=handoff, bot=bot: bot.deliveries(handoff)[-1:] and "text" in bot.deliveries(handoff)[-1]
        )
        assert bot.deliveries(handoff)[-1]["text"] == f"hello {bot.bot_id}"
        assert [said["handoff_id"] for said in bot.all("message")] == [handoff]
