"""The figure ``ended``: what the live path costs with many ended conversations in the server's database, compared with none."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import create_engine, insert

from rasa_handoff.core.assignment import Stage
from rasa_handoff.protocol.text import as_json
from rasa_handoff.protocol.values import Channel, Line, Offer, Speaker, Status
from rasa_handoff.server import accounts
from rasa_handoff.server.storage.tables import HANDOFFS, MESSAGES
from tools.bench.bench import Bench, both
from tools.bench.measure import Row, Samples, at_most, compared, in_turns
from tools.bench.stack import BOT_ID, Scene, Setup

ROUND_TRIPS = 10
"""In each conversation."""
MESSAGES_EACH = 4
"""Messages of each ended conversation."""
AT_ONCE = 2_000
"""Conversations that are inserted by one statement."""
DEPARTMENT = "help"
"""Half of the ended conversations were in it, so that the expected wait of a department, a part of availability, has its rows."""
YEAR = 365 * 86400.0


def prepare_history(count: int, database: str) -> None:
    """Add a department, and so many ended conversations of the last year, to the server's database."""
    accounts.add_department(database, DEPARTMENT, "Help")
    engine = create_engine(database)
    now = time.time()
    with engine.begin() as connection:
        for first in range(0, count, AT_ONCE):
            numbers = range(first, min(first + AT_ONCE, count))
            began = [now - YEAR + YEAR * number / count for number in numbers]
            connection.execute(insert(HANDOFFS), [_handoff(*each) for each in zip(numbers, began, strict=True)])
            messages = [row for each in zip(numbers, began, strict=True) for row in _messages(*each)]
            connection.execute(insert(MESSAGES), messages)
    engine.dispose()


def _handoff(number: int, at: float) -> dict[str, Any]:
    asked = Line(speaker=Speaker.CUSTOMER, text="Can I talk to a person?", at=at)
    offer = Offer(
        handoff_id=f"ended-{number}",
        conversation_id=f"customer-{number}",
        bot_id=BOT_ID,
        channel=Channel(name="socketio", push=True),
        transcript=(asked,),
    )
    department = DEPARTMENT if number % 2 else None
    fixed = {
        "handoff_id": offer.handoff_id,
        "bot_id": BOT_ID,
        "conversation_id": offer.conversation_id,
        "side": "relay",
    }
    state = {"stage": Stage.ENDED.value, "agent_name": "Bench", "queued_at": at, "assigned_at": at + 60}
    ended = {"ended_at": at + 600, "outcome": "resolved", "seq": MESSAGES_EACH, "last_number": MESSAGES_EACH + 2}
    order = {"urgency": 1, "ahead": False, "reminders": 0, "asked": False, "answered": True}
    return {**fixed, **state, **ended, **order, "offer": as_json(offer), "department": department}


def _messages(number: int, at: float) -> Iterator[dict[str, Any]]:
    for seq in range(1, MESSAGES_EACH + 1):
        customer = seq % 2 == 1
        said = {
            "speaker": (Speaker.CUSTOMER if customer else Speaker.AGENT).value,
            "agent": None if customer else "Bench",
        }
        key = {"handoff_id": f"ended-{number}", "seq": seq, "id": f"ended-{number}-{seq}", "at": at + 60 + seq}
        yield {**key, **said, "text": f"message {seq} of conversation {number}", "status": Status.DELIVERED.value}


@dataclass
class Conversations:
    """Whole conversations, one after the other: a customer asks for a person, chats, and goes back to the bot."""

    scene: Scene
    arrivals: Samples = field(default_factory=Samples)
    takes: Samples = field(default_factory=Samples)
    trips: Samples = field(default_factory=Samples)
    presences: Samples = field(default_factory=Samples)
    count: int = 0

    async def one(self) -> None:
        """Run one conversation, and add its samples."""
        self.count += 1
        agent = self.scene.agent
        customer = await self.scene.arrives(f"c{self.count}")
        began = time.perf_counter()
        asking = asyncio.ensure_future(customer.ask_for_person())
        handoff_id, shown = await agent.arrival(customer.name)
        self.arrivals.add(shown - began)
        await asking
        self.takes.add(await agent.take(handoff_id))
        for _ in range(ROUND_TRIPS):
            self.trips.add(await customer.round_trip())
        await agent.must("resolve", handoff_id=handoff_id, outcome="resolved")
        await customer.back_with_bot()
        await self.scene.leaves(customer)
        for online in (False, True):
            self.presences.add(await agent.set_presence(online))

    async def warm_up(self) -> None:
        """Run two conversations whose samples aren't counted."""
        for _ in range(2):
            await self.one()
        self.arrivals, self.takes, self.trips, self.presences = (Samples() for _ in range(4))
        self.scene.agent.acknowledged = Samples()


async def ended(bench: Bench) -> list[Row]:
    """Measure arrivals, takes, round trips and agents' acknowledgements on both systems."""
    count = bench.sizes.ended
    empty, full = (Setup(prepared=partial(prepare_history, rows)) for rows in (0, count))
    async with both(bench.scene("without-ended", empty), bench.scene("with-ended", full)) as (one, other):
        without, with_them = Conversations(one), Conversations(other)
        for side in (without, with_them):
            await side.warm_up()
        await in_turns(bench.seconds, [with_them.one, without.one])
        acknowledged = with_them.scene.agent.acknowledged, without.scene.agent.acknowledged
        what = f"{count:,} ended conversations, beside none"
        return [
            compared(f"{what}: round trip, p50", "ms", with_them.trips, without.trips, 0.5, at_most(1.2)),
            compared(f"{what}: round trip, p99", "ms", with_them.trips, without.trips, 0.99),
            compared(
                f"{what}: arrival at the desk, p50", "ms", with_them.arrivals, without.arrivals, 0.5, at_most(1.2)
            ),
            compared(f"{what}: take, p50", "ms", with_them.takes, without.takes, 0.5, at_most(1.2)),
            compared(f"{what}: who is there, p50", "ms", with_them.presences, without.presences, 0.5, at_most(1.2)),
            compared(f"{what}: agent's acknowledgement, p50", "ms", *acknowledged, 0.5, at_most(1.2)),
        ]
