"""What a process remembers of others is bounded, whatever they do."""

from typing import Any, cast

import pytest

from rasa_handoff.channel.outbound import customers
from rasa_handoff.channel.outbound.customers import Customers
from rasa_handoff.core.conversation import Conversation
from rasa_handoff.guard.recent import Recent
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.server.gateways.botlhale_clients import MOST_NAMED, ClientSockets
from rasa_handoff.store.outbox import Entry


def test_recent_keeps_the_newest_and_no_more() -> None:
    recent: Recent[int, int] = Recent(3)
    for number in range(10):
        assert recent.setdefault(number, number) == number
        assert recent.setdefault(number, 99) == number
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

    async def waiting_entries(self, target: str, lane: str) -> list[Entry]:
        return [self.entry(lane)]

    async def recall(self, lane: str) -> Conversation:
        return Conversation(conversation_id=lane, channel="gone")

    async def apply(self, event: Any) -> None:
        pass


async def test_of_customers_who_cant_be_reached_a_bounded_number_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(customers, "MOST_REMEMBERED", 50)
    relay = Stub()
    target = Customers(cast(Any, None), cast(Any, relay), {})
    target._reported_waiting = Recent(50)
    for number in range(200):
        with pytest.raises(Unreachable):
            await target.deliver(f"c-{number}", [relay.entry(f"c-{number}")])
    assert [len(kept) for kept in (target._failing, target._reported_waiting, target._waiting)] == [50, 50, 50]


def test_of_the_conversations_that_a_socket_names_a_bounded_number_is_remembered() -> None:
    sockets = ClientSockets()
    for number in range(3 * MOST_NAMED):
        sockets.join("s", ("b", f"c-{number}"), proven=number % 2 == 0)
    assert len(sockets._named["s"]) == len(sockets._joined) == MOST_NAMED
    assert len(sockets._proven) == MOST_NAMED / 2
    sockets.leave("s")
    assert not sockets._named
    assert not sockets._joined
    assert not sockets._proven
