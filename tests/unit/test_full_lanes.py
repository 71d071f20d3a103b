"""A lane holds so many entries and no more: words are refused, notices left out, and what a handoff needs is kept."""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import Connection

from rasa_handoff.relay import memory
from rasa_handoff.relay.database import RelayStore
from rasa_handoff.relay.inbox import Inbox
from rasa_handoff.relay.ledger import Applied, Change, Ledger
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.store import outbox
from rasa_handoff.store.outbox import LONGEST_LANE, Entry
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.errors import Refused, StoreError
from rasa_handoff.vocabulary.settings import TimerSettings, read_settings
from rasa_handoff.vocabulary.values import Agent, Channel, Offer, Status

HERE: dict[str, Any] = {"conversation_id": "thabo", "handoff_id": "h"}
LEAVING: dict[str, Any] = {"id": "l", "text": "bye", "at": 9.0}


@pytest.fixture
async def store(database_url: str) -> AsyncIterator[RelayStore]:
    async with RelayStore(database_url, memory.metadata, memory.SIDE, memory.SCHEMA) as one:
        yield one


def entries(count: int, target: str = CUSTOMER, lane: str = "thabo") -> list[Entry]:
    return [Entry(target=target, lane=lane, name="bot", body={"id": str(n)}) for n in range(count)]


def names(connection: Connection, target: str) -> list[str]:
    return [entry.name for entry in memory.outbox.head(connection, target, "thabo")]


async def test_what_waits_already_isnt_put_in_again_however_much_waits(
    store: RelayStore, caplog: pytest.LogCaptureFixture
) -> None:
    await store.write(lambda connection: memory.outbox.put(connection, entries(LONGEST_LANE + 5)))
    inbox = Inbox(store)
    for id in (LONGEST_LANE + 4, "new", "newer"):
        await inbox.put_once(Entry(target=CUSTOMER, lane="thabo", name="bot", body={"id": str(id)}))
    left = await store.write(lambda connection: memory.outbox.head(connection, CUSTOMER, "thabo"))
    assert [entry.body["id"] for entry in left] == [str(n) for n in range(LONGEST_LANE + 5)]
    assert caplog.text.count("1,000 entries wait for the customer in decaf8a6") == 1
    await inbox.put_once(Entry(target=CUSTOMER, lane="lerato", name="bot", body={"id": "1"}))
    await store.write(lambda connection: memory.outbox.remove(connection, left[:10]))
    await inbox.put_once(Entry(target=CUSTOMER, lane="thabo", name="bot", body={"id": "new"}))
    assert await store.write(lambda c: len(memory.outbox.head(c, CUSTOMER, "thabo"))) == LONGEST_LANE - 4


@pytest.fixture
async def chat(store: RelayStore, monkeypatch: pytest.MonkeyPatch) -> Callable[[e.Event], Any]:
    """A live chat whose lanes hold five entries each; ``chat(event)`` lets something happen in it."""
    ledger = Ledger(TimerSettings())

    def apply(event: e.Event) -> Any:
        def work(connection: Connection) -> Change:
            return ledger.apply(connection, event)

        return store.write(work)

    offer = Offer(handoff_id="h", conversation_id="thabo", bot_id="b", channel=Channel(name="rest"))
    await apply(e.HandoffRequested(**HERE, offer=offer, leaving_word="bye"))
    await apply(e.HandoffAccepted(**HERE))
    await apply(e.AgentJoined(**HERE, agent=Agent(id="a", name="Thandi")))
    monkeypatch.setattr(outbox, "LONGEST_LANE", 5)
    memory.outbox._named.clear()
    return apply


@pytest.mark.parametrize(
    ("target", "kind", "whom"),
    [
        (DESK, e.CustomerSaid, "the agents"),
        (TRACKER, e.CustomerSaid, "Rasa's tracker"),
        (CUSTOMER, e.AgentSaid, "the customer"),
        (TRACKER, e.AgentSaid, "Rasa's tracker"),
    ],
)
async def test_words_are_refused_where_no_more_may_wait(
    store: RelayStore, chat: Callable[[e.Event], Any], target: str, kind: Any, whom: str
) -> None:
    more: dict[str, Any] = {"agent": "Thandi"} if kind is e.AgentSaid else {}

    def said(id: str) -> e.Event:
        event: e.Event = kind(**HERE, id=id, text=id, at=1.0, **more)
        return event

    await chat(said("before"))
    await store.write(lambda connection: memory.outbox.put(connection, entries(5, target)))
    counts = [await store.write(lambda c, lane=lane: names(c, lane)) for lane in (DESK, CUSTOMER, TRACKER)]
    with pytest.raises(Refused, match=f"1,000 messages already wait for {whom}") as refused:
        await chat(said("one too many"))
    assert refused.value.code == "too_many"
    assert counts == [await store.write(lambda c, lane=lane: names(c, lane)) for lane in (DESK, CUSTOMER, TRACKER)]
    with pytest.raises(Applied):  # sent again, what was taken before is acknowledged
        await chat(said("before"))
    await store.write(
        lambda connection: memory.outbox.remove(connection, memory.outbox.head(connection, target, "thabo"))
    )
    await chat(said("one too many"))


async def test_what_can_be_left_out_is_and_what_a_handoff_needs_isnt(
    store: RelayStore, chat: Callable[[e.Event], Any], caplog: pytest.LogCaptureFixture
) -> None:
    for target in (DESK, CUSTOMER, TRACKER):
        await store.write(lambda connection, target=target: memory.outbox.put(connection, entries(5, target)))
    full = [await store.write(lambda c, lane=lane: names(c, lane)) for lane in (DESK, CUSTOMER, TRACKER)]
    await chat(e.CustomerAskedAgain(conversation_id="thabo"))
    for status in (Status.WAITING, Status.READ):
        await chat(e.MessageReported(**HERE, message_id="m", status=status))
    await chat(e.NoticeShown(**HERE, id="n", response="utter_x", text="x", at=1.0))
    assert full == [await store.write(lambda c, lane=lane: names(c, lane)) for lane in (DESK, CUSTOMER, TRACKER)]
    for target in (DESK, CUSTOMER, TRACKER):
        assert caplog.text.count(f"entries wait for the {target} in decaf8a6") == 1
    await chat(e.CustomerLeaving(conversation_id="thabo", **LEAVING))
    await chat(e.CustomerLeaving(conversation_id="thabo", **{**LEAVING, "id": "l2"}))
    assert (await store.write(lambda c: names(c, DESK)))[-1] == "handoff.status"
    assert (await store.write(lambda c: names(c, TRACKER)))[-1] == "back"


async def test_turns_that_cant_be_saved_are_kept_so_far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings({"bot_id": "b", "desk": {"url": "http://127.0.0.1:1"}, "channels": {"rest": None}})
    url = f"sqlite:///{tmp_path / 'relay.db'}"
    async with RelayStore(url, memory.metadata, memory.SIDE, memory.SCHEMA) as store:
        relay = Relay(store, settings)
        monkeypatch.setattr(outbox, "LONGEST_LANE", 2)
        for _ in range(2):
            await relay.keep_unsaved("thabo", [])
        with pytest.raises(StoreError, match="wait for the tracker of decaf8a6"):
            await relay.keep_unsaved("thabo", [])


async def test_a_look_at_the_lanes_costs_little(store: RelayStore) -> None:
    """On the way of each message: with many other conversations, and in a lane that is nearly full."""

    def many(connection: Connection) -> float:
        for n in range(300):
            memory.outbox.put(connection, entries(3, DESK, f"c-{n}"))
        memory.outbox.put(connection, entries(LONGEST_LANE - 1, DESK))
        began = time.thread_time()
        for _ in range(100):
            memory.outbox.full(connection, [DESK, TRACKER], ["thabo"])
        return (time.thread_time() - began) / 100

    assert await store.write(many) < 0.02
