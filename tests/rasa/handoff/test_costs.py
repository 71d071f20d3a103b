"""What a live message costs: the transactions of both sides, counted."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from rasa_handoff.store.batch import Batch
from rasa_handoff.store.writer import Writer
from rasa_handoff.testing.rasa_server import RasaServer
from rasa_handoff.testing.scripted_customer import ScriptedCustomer
from rasa_handoff.testing.scripted_desk import ScriptedAgent
from rasa_handoff.testing.waiting import eventually
from tests.rasa.handoff.test_dead_letters import live
from tests.support.databases import current

ROUNDS = 20
MOST = {"relay": 4, "server": 4}
"""Transactions of a round trip: a message of the customer's, one of the agent's, and what became of them."""
MOST_IF_SHARED = {"relay": 6, "server": 8}
"""The same on a database that processes share: each also reads what the others may have changed."""


@pytest.fixture
def transactions(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The transactions that were begun since the test began, by side."""
    counted: Counter[str] = Counter()
    attempt = Writer.attempt

    def count(writer: Writer, batch: Batch, places: Sequence[int], *more: Any, **options: Any) -> Any:
        counted[writer.name.removesuffix("-store")] += 1
        return attempt(writer, batch, places, *more, **options)

    monkeypatch.setattr(Writer, "attempt", count)
    return counted


async def test_a_round_trip_costs_few_transactions(
    rasa: RasaServer, thandi: ScriptedAgent, transactions: Counter[str]
) -> None:
    """Each round waits for the one before: two rounds share a transaction only for what may wait until the next one."""
    async with ScriptedCustomer(rasa.url, "thabo", acks=True) as page:
        handoff_id = await live(rasa, page, thandi)
        await thandi.say(handoff_id, "hello", id="hello")
        await thandi.hears("message.status", message_id="hello", status="delivered")
        await eventually(lambda: not rasa.channel.relay.delivers("tracker", "thabo"))
        before = Counter(transactions)
        for number in range(ROUNDS):
            assert await page.say_with_id(f"word {number}") == {"ok": True}
            await thandi.hears("message", text=f"word {number}")
            await thandi.say(handoff_id, f"answer {number}", id=f"a-{number}")
            await thandi.hears("message.status", message_id=f"a-{number}", status="delivered")
        cost = {side: (transactions[side] - before[side]) / ROUNDS for side in ("relay", "server")}
    most = MOST_IF_SHARED if current().shared else MOST
    assert all(cost[side] <= most[side] for side in most), cost
