"""Each timer's way out on a real server whose clock is moved."""

import pytest

from rasa_handoff.core.assignment_timers import DeskTimers
from rasa_handoff.store.timers import RECOVERY
from rasa_handoff.testing.waiting import eventually
from tests.server.peers import arrived_handoff, waiting_entries

pytestmark = pytest.mark.every_database("sqlite", "postgres-redis")

PERIODS = DeskTimers(nobody_takes=300, agent_silent=180, agent_gone=300, customer_silent=600)


def last(desk, handoff):
    """Return a handoff as a desk was shown it last."""
    return desk.shown(handoff)[-1]


def orders_unstaffed(karoo):
    """Return whether nobody is there for the department ``orders``, which only Thandi serves."""
    return [said["departments"][1]["staffed"] for said in karoo.all("availability")][-1:] == [False]


async def report_status(server, karoo, handoff, message_id, status, **more):
    """Report a message's status, and wait until nothing waits for the relay, or it would count as away, and timers would wait."""
    body = {"handoff_id": handoff, "id": f"s-{message_id}-{status}", "number": 9, "message_id": message_id}
    assert (await karoo.call("message.status", {**body, "status": status, "reason": None, **more}))["ok"]
    await eventually(lambda: waiting_entries(server, handoff) == 0)


async def test_nobody_takes_it_so_the_bots_side_is_told_again_and_again(server, relay, desk):
    assert server.timers == DeskTimers() == PERIODS, "the periods that these tests count with are the defaults"
    await desk()
    karoo = await relay()
    handoff = await karoo.initiate()
    for times in (1, 2):
        server.ahead += 301
        await eventually(lambda times=times: karoo.statuses(handoff) == ["unanswered"] * times)
    assert 600 < karoo.deliveries(handoff)[-1]["seconds"] < 660


async def test_a_silent_agent_is_reminded_then_the_others_then_it_is_queued_ahead(server, relay, desk):
    thandi, sipho, karoo = await desk(), await desk("sipho"), await relay()
    handoff = await karoo.initiate(department="billing")
    await thandi.take(handoff)
    await thandi.say(handoff, "hello")
    await karoo.say(handoff, "are you there?")
    waiting = await karoo.initiate(department="billing")
    server.ahead += 181
    await eventually(lambda: thandi.all("reminder") == [{"handoff_id": handoff, "seconds": 180.0}])
    assert sipho.all("reminder") == []
    assert (await sipho.take(handoff))["code"] == "taken"
    server.ahead += 180
    await eventually(lambda: last(sipho, handoff)["reminders"] == 2)
    assert thandi.all("reminder")[-1]["seconds"] == 360.0
    server.ahead += 180
    await eventually(lambda: last(sipho, handoff)["state"] == "queued")
    assert last(sipho, handoff)["ahead"] is True
    await eventually(lambda: karoo.statuses(handoff)[-1] == "queued")
    assert karoo.deliveries(handoff)[-1]["position"] == 1
    await eventually(lambda: "queued" in karoo.statuses(waiting))  # with the next round of notices
    (notice,) = [said for said in karoo.deliveries(waiting) if said["status"] == "queued"]
    assert notice["position"] == 2


async def test_an_answer_ends_the_reminders(server, relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    server.ahead += 181
    await eventually(lambda: thandi.all("reminder"))
    await thandi.say(handoff, "sorry, here I am")
    await eventually(lambda: last(thandi, handoff)["reminders"] == 0)
    server.ahead += 400
    other = await karoo.initiate()
    server.ahead += 301
    await eventually(lambda: "unanswered" in karoo.statuses(other))  # so the clock has looked
    assert len(thandi.all("reminder")) == 1


async def test_a_colleague_may_take_over_what_waits_too_long(server, relay, desk):
    thandi, sipho, karoo = await desk(), await desk("sipho"), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    for times in (1, 2):
        server.ahead += 181
        await eventually(lambda times=times: last(thandi, handoff)["reminders"] == times)
    assert (await sipho.take(handoff))["ok"]
    await eventually(lambda: last(thandi, handoff)["agent"]["name"] == "Sipho")
    assert (await thandi.say(handoff, "wait"))["code"] == "not_yours"
    await eventually(lambda: karoo.statuses(handoff) == ["accepted", "accepted"])


async def test_an_agent_who_is_gone_loses_their_conversations_and_one_who_is_back_keeps_them(server, relay, desk):
    thandi, sipho, karoo = await desk(), await desk("sipho"), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await thandi.close()
    await eventually(lambda: orders_unstaffed(karoo))
    thandi = await desk()
    await thandi.say(handoff, "back again")
    server.ahead += 301
    other = await karoo.initiate()
    server.ahead += 301
    await eventually(lambda: "unanswered" in karoo.statuses(other))
    assert karoo.statuses(handoff) == ["accepted"]
    await thandi.close()
    await eventually(lambda: orders_unstaffed(karoo))
    server.ahead += 301
    await eventually(lambda: last(sipho, handoff)["state"] == "queued")
    await eventually(lambda: karoo.statuses(handoff)[:3] == ["accepted", "transferred", "queued"])


async def test_a_silent_customer_is_asked_and_then_it_ends(server, relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await thandi.say(handoff, "which order is it?", "a-1")
    server.ahead += 700  # not delivered yet, so nobody is silent
    await report_status(server, karoo, handoff, "a-1", "waiting")
    await report_status(server, karoo, handoff, "a-1", "delivered")
    assert karoo.statuses(handoff) == ["accepted"]
    server.ahead += 601
    await eventually(lambda: karoo.statuses(handoff) == ["accepted", "customer_silent"])
    await report_status(server, karoo, handoff, "a-1", "read")  # reading isn't answering
    server.ahead += 601
    await eventually(lambda: len(karoo.statuses(handoff)) == 3)
    assert karoo.statuses(handoff) == ["accepted", "customer_silent", "failed"]
    assert karoo.deliveries(handoff)[-1]["reason"] == "customer_silent"
    await eventually(lambda: last(thandi, handoff)["state"] == "ended")
    assert last(thandi, handoff)["ended"]["outcome"] == "customer_silent"


async def test_words_that_wait_for_a_customer_who_is_away_begin_their_silence(server, relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await thandi.say(handoff, "which order is it?", "a-1")
    await report_status(server, karoo, handoff, "a-1", "waiting")  # for the vendor
    server.ahead += 700
    await report_status(server, karoo, handoff, "a-1", "waiting", customer_is_away=True)
    assert karoo.statuses(handoff) == ["accepted"]
    server.ahead += 601
    await eventually(lambda: karoo.statuses(handoff) == ["accepted", "customer_silent"])
    server.ahead += 601
    await eventually(lambda: last(thandi, handoff)["state"] == "ended")
    assert last(thandi, handoff)["ended"]["outcome"] == "customer_silent"


async def test_a_customer_who_came_back_is_asked_only_after_the_delivery(server, relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await thandi.say(handoff, "which order is it?", "a-1")
    await report_status(server, karoo, handoff, "a-1", "waiting", customer_is_away=True)
    server.ahead += 500
    await report_status(server, karoo, handoff, "a-1", "delivered")
    server.ahead += 500
    await report_status(server, karoo, handoff, "a-1", "waiting", customer_is_away=True)  # it was late
    assert karoo.statuses(handoff) == ["accepted"]
    server.ahead += 101
    await eventually(lambda: karoo.statuses(handoff) == ["accepted", "customer_silent"])


async def test_a_customer_who_answered_before_the_delivery_was_told_is_not_silent(server, relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await thandi.say(handoff, "which order is it?", "a-1")
    await karoo.say(handoff, "the blue one")
    await report_status(server, karoo, handoff, "a-1", "delivered")
    for times in (1, 2):
        server.ahead += 301
        await eventually(lambda times=times: last(thandi, handoff)["reminders"] == times)
    server.ahead += 301
    await eventually(lambda: "transferred" in karoo.statuses(handoff))
    assert karoo.statuses(handoff)[:2] == ["accepted", "transferred"]


async def test_a_customer_who_answers_is_not_silent(server, relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await thandi.say(handoff, "which order is it?", "a-1")
    await karoo.say(handoff, "the blue one")
    await thandi.say(handoff, "a moment", "a-2")
    await report_status(server, karoo, handoff, "a-2", "delivered")
    server.ahead += 601
    await eventually(lambda: karoo.statuses(handoff)[-1] == "customer_silent")
    await karoo.say(handoff, "I am here")
    server.ahead += 1300
    await eventually(lambda: last(thandi, handoff)["reminders"])
    assert karoo.statuses(handoff) == ["accepted", "customer_silent"]


@pytest.mark.parametrize("taken", [False, True])
async def test_a_day_of_silence_ends_it_with_all_else_off(database, relay, desk, server, taken):
    await server.stop()
    server.timers = DeskTimers(nobody_takes=None, agent_silent=None, agent_gone=None, customer_silent=None)
    await server.start()
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    if taken:
        await thandi.take(handoff)
    server.ahead += 86400 - 100
    await karoo.say(handoff, "still there?")
    server.ahead += 86400 - 100
    assert (await thandi.call("open", {"handoff_id": handoff}))["conversation"]["state"] != "ended"
    server.ahead += 101
    await eventually(lambda: karoo.statuses(handoff)[-1:] == ["failed"])
    assert karoo.deliveries(handoff)[-1]["reason"] == "silence"
    await eventually(lambda: last(thandi, handoff)["state"] == "ended")


async def test_timers_outlive_a_restart_and_what_fell_due_meanwhile_gets_a_while_more(server, relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await karoo.say(handoff, "hello?")
    await server.stop()
    server.ahead += 200
    await server.start(grace=30.0)
    await eventually(lambda: len(thandi.all("ready")) == 2 and len(karoo.all("welcome")) == 2)
    other = await karoo.initiate()
    await karoo.say(handoff, "anybody?")
    assert thandi.all("reminder") == []
    server.ahead += RECOVERY + 1
    await eventually(lambda: thandi.all("reminder"))
    assert karoo.statuses(other) == []


async def test_a_client_of_botlhales_protocol_is_sent_the_notices_that_a_relay_would_give(server, desk, old_client):
    thandi, client = await desk(), await old_client()
    handoff = await arrived_handoff(thandi)
    server.ahead += 301
    await eventually(lambda: len(client.texts()) == 1)
    await thandi.take(handoff)
    await thandi.say(handoff, "hello")
    await eventually(lambda: client.texts()[-1] == "hello")
    await eventually(lambda: [said["status"] for said in thandi.all("message.status")] == ["delivered"])
    for words in ("Are you still there", "has ended"):
        server.ahead += 601
        await eventually(lambda words=words: words in client.texts()[-1])
    await eventually(lambda: client.all("disconnect_socket"))


async def test_nobody_is_blamed_while_the_relay_is_away(server, relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff, waiting = await karoo.initiate(), await karoo.initiate()
    await thandi.take(handoff)
    await thandi.say(handoff, "which order is it?", "a-1")
    await eventually(lambda: karoo.deliveries(handoff)[-1].get("text"))
    await report_status(server, karoo, handoff, "a-1", "delivered")
    await eventually(lambda: "queued" in karoo.statuses(waiting))
    await karoo.close()
    for _ in range(3):
        server.ahead += 601
        assert last(thandi, handoff)["reminders"] == 0
        assert (await thandi.call("open", {"handoff_id": handoff}))["conversation"]["state"] == "assigned"
        reminded = len(thandi.all("reminder"))
        await thandi.take(await initiate_elsewhere(relay))
        server.ahead += 181
        await eventually(lambda reminded=reminded: len(thandi.all("reminder")) > reminded)  # so the clock has looked
    back = await relay()
    await eventually(lambda: back.statuses(waiting) and back.statuses(handoff))
    # "queued" tells a place: the others go back into the queue, ahead of it, when Thandi doesn't answer them.
    assert [status for status in back.statuses(waiting) if status != "queued"] == ["unanswered"]
    assert back.statuses(handoff) == ["customer_silent"]


async def initiate_elsewhere(relay):
    """Hand over a conversation of another bot, and return the handoff id. Its timers show that the clock has looked."""
    return await (await relay("other")).initiate()
