"""What a process remembers of others is bounded, whatever they do."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from socketio import AsyncServer

from rasa_handoff.guard.guard import Guard
from rasa_handoff.guard.recent import Recent
from rasa_handoff.rasa_room import customers
from rasa_handoff.rasa_room.customers import Customers
from rasa_handoff.server.botlhale_edge import MOST_NAMED, BotlhaleEdge, Socket
from rasa_handoff.store.outbox import Entry
from rasa_handoff.thinking.assignment import Stage
from rasa_handoff.thinking.conversation import Conversation
from rasa_handoff.vocabulary.errors import Unreachable


def test_what_happened_lately() -> None:
    recent: Recent[int, int] = Recent(3)
    for n in range(10):
        assert recent.setdefault(n, n) == n
        assert recent.setdefault(n, 99) == n
        assert len(recent) <= 3
    assert list(recent) == [7, 8, 9]


class Stub:
    """Stands for a relay: one entry waits in each lane."""

    store: Any = None

    def __init__(self) -> None:
        self.keys: dict[str, int] = {}

    def entry(self, lane: str) -> Entry:
        key = self.keys.setdefault(lane, len(self.keys) + 1)
        return Entry(target="customer", lane=lane, name="agent", body={"id": f"m-{key}", "handoff_id": "h"}, key=key)

    async def queue(self, target: str, lane: str) -> list[Entry]:
        return [self.entry(lane)]

    async def recall(self, lane: str) -> Conversation:
        return Conversation(conversation_id=lane, channel="gone")

    async def apply(self, event: Any) -> None:
        pass


async def test_customers_who_cant_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customers, "MOST_REMEMBERED", 50)
    relay = Stub()
    target = Customers(cast(Any, None), cast(Any, relay), {})
    target._told_to_wait = Recent(50)
    for n in range(200):
        with pytest.raises(Unreachable):
            await target.deliver(f"c-{n}", [relay.entry(f"c-{n}")])
    assert [len(kept) for kept in (target._failing, target._told_to_wait, target._waiting)] == [50, 50, 50]


class Door:
    """Stands for the conversations: whoever comes has one that has ended."""

    pump = SimpleNamespace(ring=lambda roads: None)

    async def do(self, work: Any) -> Any:
        ended, told = SimpleNamespace(stage=Stage.ENDED), SimpleNamespace(transcript=("a line",))
        return SimpleNamespace(handoff_id="h", assignment=ended, offer=told)


async def test_a_socket_that_names_many_conversations() -> None:
    edge = BotlhaleEdge(AsyncServer(async_mode="asgi"), cast(Any, Door()), open_live_agent=True, guard=Guard())
    edge._sockets["s"] = Socket(namespace="/live_agent", token=None, address="127.0.0.1")
    for n in range(3 * MOST_NAMED):
        await edge._username("s", {"ConversationID": f"c-{n}", "BotID": "b"})
    assert len(edge._newest) == MOST_NAMED
    await edge._disconnect("s")
    assert not edge._newest
    assert isinstance(edge._told, Recent)
