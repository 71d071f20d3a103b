"""What customers think of a handoff: the agent reads it, the history keeps it for reports, and each counts once."""

import pytest
from sqlalchemy import create_engine

from rasa_handoff.server.storage import handoff_events
from rasa_handoff.testing.waiting import eventually

pytestmark = pytest.mark.every_database("sqlite", "postgres-notify")


def rated(database, handoff_id):
    """Return the ratings in the history of a handoff: score, comment, agent's name, department."""
    engine = create_engine(database)
    with engine.connect() as connection:
        found = handoff_events.of_handoff(connection, handoff_id)
    engine.dispose()
    kept = [one for one in found if one.what is handoff_events.What.RATED]
    return [(one.details.score, one.details.comment, one.details.agent_name, one.department, one.at) for one in kept]


async def rate(karoo, handoff_id, score, comment=None, id="r-1"):
    body = {"handoff_id": handoff_id, "id": id, "number": 3, "score": score, "comment": comment, "at": 77.0}
    return await karoo.call("rating", body)


def notices(agent, handoff_id):
    return [
        one["text"] for one in agent.all("message") if one["handoff_id"] == handoff_id and one["speaker"] == "system"
    ]


async def test_the_agent_reads_a_rating_live_and_after_the_end_and_each_is_kept(relay, desk, database):
    thandi, karoo = await desk(), await relay()
    assert "rating" in karoo.all("welcome")[0]["events"]
    handoff_id = await karoo.initiate(department="billing")
    assert (await thandi.take(handoff_id))["ok"]
    assert (await rate(karoo, handoff_id, 2, "slow"))["ok"]
    assert (await rate(karoo, handoff_id, 2, "slow"))["ok"], "the acknowledgement was lost"
    await thandi.hears("message", text="The customer gave 2 of 5: slow", speaker="system")
    assert (await thandi.resolve(handoff_id))["ok"]
    assert (await rate(karoo, handoff_id, 5, id="r-2"))["ok"]
    await thandi.hears("message", text="The customer gave 5 of 5.")
    await thandi.hears("conversation", handoff_id=handoff_id, state="ended")
    assert notices(thandi, handoff_id) == ["The customer gave 2 of 5: slow", "The customer gave 5 of 5."]
    opened = await thandi.ask("open", handoff_id=handoff_id, after=0)
    shown = [one["text"] for one in opened["conversation"]["messages"] if one["speaker"] == "system"]
    assert shown == notices(thandi, handoff_id)
    name = opened["conversation"]["agent"]["name"]
    assert rated(database, handoff_id) == [(2, "slow", name, "billing", 77.0), (5, None, name, "billing", 77.0)]
    assert [body for body in karoo.deliveries(handoff_id) if body.get("speaker") == "system"] == []


async def test_what_isnt_known_here_is_accepted_and_dropped(relay, desk, database):
    thandi, karoo, other = await desk(), await relay(), await relay("another-bot")
    handoff_id = await karoo.initiate()
    assert (await rate(karoo, "never-here", 1))["ok"]
    assert (await rate(other, handoff_id, 1))["ok"]
    assert (await rate(karoo, handoff_id, 3, id="r-2"))["ok"]
    await thandi.hears("message", text="The customer gave 3 of 5.")
    assert notices(thandi, handoff_id) == ["The customer gave 3 of 5."]
    assert [one[0] for one in rated(database, handoff_id)] == [3]
    assert rated(database, "never-here") == []


@pytest.mark.parametrize(
    ("score", "comment"), [(0, None), (6, None), (4.5, None), ("4", None), (True, None), (4, "x" * 1_001), (4, 7)]
)
async def test_nonsense_is_refused(relay, score, comment):
    karoo = await relay()
    handoff_id = await karoo.initiate(department="billing", left=True)
    refused = await rate(karoo, handoff_id, score, comment)
    assert (refused["ok"], refused["code"]) == (False, "invalid")


async def test_a_rating_tells_the_last_received_like_any_event(relay, desk):
    await desk()
    karoo = await relay()
    handoff_id = await karoo.initiate()
    await rate(karoo, handoff_id, 4, id="r-9")
    await karoo.close()
    back = await relay(open=[{"handoff_id": handoff_id}])
    await eventually(lambda: back.all("welcome")[-1]["open"] == [{"handoff_id": handoff_id, "last": "r-9"}])
