"""The agent sees whether the customer has a page open, as their bot's side tells it."""

from rasa_handoff.testing.waiting import eventually


def is_away(thandi, handoff):
    """Return whether the customer is away, as the desk shows it; servers that share a database show an arrival soon after it."""
    return any(one["customer_is_away"] for one in thandi.shown(handoff)[-1:])


async def presence(karoo, handoff, here):
    await karoo.emit("customer.presence", {"handoff_id": handoff, "here": here})


async def test_the_desk_shows_who_has_closed_their_page_and_who_is_back(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await thandi.take(handoff)
    await eventually(lambda: thandi.shown(handoff)[-1]["state"] == "assigned")
    assert not is_away(thandi, handoff)
    await presence(karoo, handoff, False)
    await eventually(lambda: is_away(thandi, handoff))
    again = await desk()
    assert again.all("ready")[-1]["mine"][0]["customer_is_away"]
    await presence(karoo, handoff, True)
    await eventually(lambda: not is_away(thandi, handoff))


async def test_who_writes_is_there(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate()
    await presence(karoo, handoff, False)
    await eventually(lambda: is_away(thandi, handoff))
    await karoo.say(handoff, "I am back, elsewhere")
    await eventually(lambda: not is_away(thandi, handoff))


async def test_what_a_cut_connection_has_lost_of_it_is_told_with_the_next_hello(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff, other = await karoo.initiate(), await karoo.initiate()
    await presence(karoo, other, False)
    await eventually(lambda: is_away(thandi, other))
    await karoo.close()
    open_handoffs = [{"handoff_id": handoff, "customer_is_away": True}, {"handoff_id": other}]
    await relay(open=open_handoffs)
    await eventually(lambda: is_away(thandi, handoff) and not is_away(thandi, other))


async def test_presence_of_strangers_and_after_the_end_changes_nothing(relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff, other = await karoo.initiate(), await karoo.initiate()
    foreign = await relay("another-bot")
    await presence(foreign, handoff, False)
    await presence(karoo, "unknown", False)
    await thandi.take(handoff)
    await thandi.resolve(handoff)
    await presence(karoo, handoff, False)
    await presence(karoo, other, False)  # the last: what was sent before was handled by then
    await eventually(lambda: is_away(thandi, other))
    assert not any(one["customer_is_away"] for one in thandi.shown(handoff))
