"""A lane holds so many entries and no more: words are refused, notices left out, and what a handoff needs is kept."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from rasa_handoff.core.control import Conversation
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import read_settings
from rasa_handoff.protocol.errors import Refused, StoreError
from rasa_handoff.protocol.limits import LONGEST_LANE
from rasa_handoff.protocol.values import Agent, Channel, Offer, Rating, Status
from rasa_handoff.relay import repository
from rasa_handoff.relay.conversation_writer import Applied, ConversationWriter
from rasa_handoff.relay.inbox import Inbox
from rasa_handoff.relay.kept_turns import keep_turn
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.relay.repository import RelayStore
from rasa_handoff.store import outbox
from rasa_handoff.store.outbox import Entry
from tests.support.relay_stores import relay_store

SETTINGS = read_settings({"bot_id": "b", "desk": {"url": "http://127.0.0.1:1"}, "channels": {"rest": None}})
HERE: dict[str, Any] = {"conversation_id": "thabo", "handoff_id": "h"}
LEAVING: dict[str, Any] = {"id": "l", "text": "bye", "at": 9.0}


def entries(count: int, target: str = CUSTOMER, lane: str = "thabo") -> list[Entry]:
    return [Entry(target=target, lane=lane, name="bot", body={"id": str(n)}) for n in range(count)]


async def waiting(store: RelayStore) -> dict[str, list[str]]:
    """Return the names of the entries that wait in the conversation ``thabo``, by target."""

    def work(connection: Connection) -> dict[str, list[str]]:
        head = repository.outbox.head
        return {
            target: [entry.name for entry in head(connection, target, "thabo")] for target in (DESK, CUSTOMER, TRACKER)
        }

    return await store.write(work)


async def test_what_waits_already_isnt_put_in_again_however_much_waits(
    store: RelayStore, caplog: pytest.LogCaptureFixture
) -> None:
    await store.write(lambda connection: repository.outbox.put(connection, entries(LONGEST_LANE + 5)))
    inbox = Inbox(store)
    for id in (LONGEST_LANE + 4, "new", "newer"):
        await inbox.put_once(Entry(target=CUSTOMER, lane="thabo", name="bot", body={"id": str(id)}))
    left = await store.write(lambda connection: repository.outbox.head(connection, CUSTOMER, "thabo"))
    assert [entry.body["id"] for entry in left] == [str(n) for n in range(LONGEST_LANE + 5)]
    assert caplog.text.count("1,000 entries wait for the customer in decaf8a6") == 1
    await inbox.put_once(Entry(target=CUSTOMER, lane="lerato", name="bot", body={"id": "1"}))
    await store.write(lambda connection: repository.outbox.remove(connection, left[:10]))
    await inbox.put_once(Entry(target=CUSTOMER, lane="thabo", name="bot", body={"id": "new"}))
    assert (
        await store.write(lambda connection: len(repository.outbox.head(connection, CUSTOMER, "thabo")))
        == LONGEST_LANE - 4
    )


@pytest.fixture
async def chat(store: RelayStore, monkeypatch: pytest.MonkeyPatch) -> Callable[[events.Event], Any]:
    """A live chat whose lanes hold five entries each; ``chat(event)`` lets something happen in it."""
    writer = ConversationWriter(SETTINGS)

    def apply(event: events.Event) -> Any:
        def work(connection: Connection) -> Conversation:
            return writer.apply(connection, event)

        return store.write(work)

    offer = Offer(handoff_id="h", conversation_id="thabo", bot_id="b", channel=Channel(name="rest"))
    await apply(events.HandoffRequested(**HERE, offer=offer, leaving_word="bye"))
    await apply(events.HandoffAccepted(**HERE))
    await apply(events.AgentJoined(**HERE, agent=Agent(id="a", name="Thandi")))
    monkeypatch.setattr(outbox, "LONGEST_LANE", 5)
    repository.outbox._logged_full.clear()
    return apply


@pytest.mark.parametrize(
    ("target", "kind", "whom"),
    [
        (DESK, events.CustomerSaid, "the agents"),
        (TRACKER, events.CustomerSaid, "Rasa's tracker"),
        (CUSTOMER, events.AgentSaid, "the customer"),
        (TRACKER, events.AgentSaid, "Rasa's tracker"),
    ],
)
async def test_words_are_refused_where_no_more_may_wait(
    store: RelayStore, chat: Callable[[events.Event], Any], target: str, kind: Any, whom: str
) -> None:
    more: dict[str, Any] = {"agent": "Thandi"} if kind is events.AgentSaid else {}

    def said(id: str) -> events.Event:
        event: events.Event = kind(**HERE, id=id, text=id, at=1.0, **more)
        return event

    await chat(said("before"))
    await store.write(lambda connection: repository.outbox.put(connection, entries(5, target)))
    before = await waiting(store)
    with pytest.raises(Refused, match=f"1,000 messages already wait for {whom}") as refused:
        await chat(said("one too many"))
    assert refused.value.code == "too_many"
    assert await waiting(store) == before
    with pytest.raises(Applied):  # sent again, what was taken before is acknowledged
        await chat(said("before"))
    await store.write(
        lambda connection: repository.outbox.remove(connection, repository.outbox.head(connection, target, "thabo"))
    )
    await chat(said("one too many"))


async def test_what_can_be_left_out_is_and_what_a_handoff_needs_isnt(
    store: RelayStore, chat: Callable[[events.Event], Any], caplog: pytest.LogCaptureFixture
) -> None:
    for target in (DESK, CUSTOMER, TRACKER):
        await store.write(lambda connection, target=target: repository.outbox.put(connection, entries(5, target)))
    full = await waiting(store)
    await chat(events.CustomerAskedAgain(conversation_id="thabo"))
    for status in (Status.WAITING, Status.READ):
        await chat(events.MessageReported(**HERE, message_id="m", status=status))
    await chat(events.CustomerRated(conversation_id="thabo", rating=Rating(score=3), at=1.0))
    await chat(events.NoticeShown(**HERE, id="n", response="utter_x", text="x", at=1.0))
    assert await waiting(store) == full
    for target in (DESK, CUSTOMER, TRACKER):
        assert caplog.text.count(f"entries wait for the {target} in decaf8a6") == 1
    await chat(events.CustomerLeaving(conversation_id="thabo", **LEAVING))
    await chat(events.CustomerLeaving(conversation_id="thabo", **{**LEAVING, "id": "l2"}))
    left = await waiting(store)
    assert (left[DESK][-1], left[TRACKER][-1]) == ("handoff.status", "back")


async def test_so_many_turns_that_cant_be_saved_are_kept_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'relay.db'}"
    async with relay_store(url) as store:
        relay = Relay(store, SETTINGS)
        monkeypatch.setattr(outbox, "LONGEST_LANE", 2)
        for _ in range(2):
            await keep_turn(relay, "thabo", [])
        with pytest.raises(StoreError, match="wait for the tracker of decaf8a6"):
            await keep_turn(relay, "thabo", [])


async def test_a_look_at_the_lanes_costs_little(store: RelayStore) -> None:
    """On the way of each message: with many other conversations, and in a lane that is nearly full."""

    def many(connection: Connection) -> float:
        for number in range(300):
            repository.outbox.put(connection, entries(3, DESK, f"c-{number}"))
        repository.outbox.put(connection, entries(LONGEST_LANE - 1, DESK))
        began = time.thread_time()
        for _ in range(100):
            assert not repository.outbox.is_full(connection, DESK, "thabo")
            assert not repository.outbox.is_full(connection, TRACKER, "thabo")
        return (time.thread_time() - began) / 100

    assert await store.write(many) < 0.02
