"""What waits for a relay that is away: so much and no more, and the agent is told."""

from rasa_handoff.server.storage.tables import OUTBOX
from rasa_handoff.store import outbox
from rasa_handoff.testing.waiting import eventually


async def test_an_agents_words_are_refused_where_no_more_may_wait(server, relay, desk, monkeypatch, caplog):
    thandi, karoo = await desk(), await relay()
    mine, queued = await karoo.initiate(), await karoo.initiate()
    await thandi.take(mine)
    await eventually(lambda: karoo.deliveries(mine))
    await karoo.close()
    monkeypatch.setattr(outbox, "LONGEST_LANE", 3)
    OUTBOX._logged_full.clear()
    answers = [
        await thandi.call("message", {"handoff_id": mine, "id": f"m-{number}", "text": f"{number}"})
        for number in range(5)
    ]
    assert [answer["ok"] for answer in answers] == [True, True, True, False, False]
    assert answers[4]["code"] == "too_many"
    assert "already wait for this customer" in answers[4]["error"]
    assert (await thandi.call("message", {"handoff_id": mine, "id": "m-1", "text": "1"}))["ok"], "it was taken before"

    await thandi.take(queued)
    for number in range(2):
        await thandi.call("message", {"handoff_id": queued, "id": f"q-{number}", "text": f"{number}"})
    await thandi.call("transfer", {"handoff_id": queued, "department": None})  # the lane is full, and that is told
    assert caplog.text.count("dispensable ones are left out there") == 1
    monkeypatch.setattr(outbox, "LONGEST_LANE", 1_000)
    back = await relay()
    await eventually(lambda: [said.get("text") for said in back.deliveries(mine)] == ["0", "1", "2"])
    await eventually(
        lambda: [said.get("status") for said in back.deliveries(queued)] == ["accepted", None, None, "transferred"]
    )
    assert (await thandi.call("message", {"handoff_id": mine, "id": "m-9", "text": "9"}))["ok"]
