"""One row that can't be handled stops nobody else: when the relay starts, and when it delivers."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.engine import Connection

from rasa_handoff.core.control import Control, Conversation
from rasa_handoff.desks.botlhale import BotlhaleDesk
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import Settings, read_settings
from rasa_handoff.protocol.values import Channel, Offer
from rasa_handoff.relay import repository
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.store.outbox import Entry
from rasa_handoff.testing.relay_side import RecordingTarget, RelaySide
from rasa_handoff.testing.waiting import eventually
from tests.support.foreign import ForeignServer
from tests.support.relay_stores import relay_store


def settings_for(store: str, url: str = "http://127.0.0.1:1") -> Settings:
    desk = {"type": "botlhale", "url": url}
    return read_settings({"bot_id": "b", "desk": desk, "store": store, "channels": {"rest": None}})


async def change(settings: Settings, work: Callable[[Connection], Any]) -> None:
    """Write to the database, while no relay runs, what somebody's hand or an older version may have left there."""
    async with relay_store(settings.store) as store:
        await store.write(work)


async def test_a_handoff_whose_offer_cant_be_read_stops_no_other_after_a_restart(database_url: str) -> None:
    async with ForeignServer() as server:
        settings = settings_for(database_url, server.url)
        async with RelaySide(BotlhaleDesk, settings) as side:
            bad, _ = await side.start("thabo"), await side.start("lerato")
        spoilt = update(repository.handoffs).where(repository.handoffs.c.handoff_id == bad).values(offer="{")
        await change(settings, lambda connection: connection.execute(spoilt))
        async with RelaySide(BotlhaleDesk, settings) as again:
            await again.says("still here", "lerato")
            await eventually(lambda: server.texts("lerato") == ["still here"])


async def test_a_request_that_fails_at_the_start_leaves_no_other_request_open(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = settings_for(database_url)

    def two_requests(connection: Connection) -> None:
        for who in ("bad", "good"):
            offer = Offer(handoff_id=who, conversation_id=who, bot_id="b", channel=Channel(name="rest"))
            repository.add_handoff(connection, offer)
            repository.save(connection, Conversation(conversation_id=who, handoff_id=who, state=Control.REQUESTED))

    await change(settings, two_requests)
    relay = Relay(relay_store(settings.store), settings)
    apply = relay._writer.apply

    def picky(connection: Connection, event: events.Event) -> Any:
        if event.conversation_id == "bad":
            raise KeyError("something that this row lacks")
        return apply(connection, event)

    monkeypatch.setattr(relay._writer, "apply", picky)
    await relay.open({DESK: RecordingTarget(), CUSTOMER: RecordingTarget(), TRACKER: RecordingTarget()})
    assert [one.conversation_id for one in relay.under_way] == ["bad"]
    await relay.close()


async def test_an_entry_that_lacks_what_it_needs_is_set_aside_and_the_next_delivered(database_url: str) -> None:
    """It becomes a dead letter like any other, although without an id no desk can be told that it failed."""
    settings = settings_for(database_url)

    class NeedsAnId(RecordingTarget):
        async def deliver(self, lane: str, entries: Any) -> list[events.Event]:
            assert entries[0].body["id"]
            return await super().deliver(lane, entries)

    customer = NeedsAnId()
    entries = [
        Entry(target=CUSTOMER, lane="thabo", name="agent", body=body)
        for body in ({"handoff_id": "h", "text": "bad"}, {"handoff_id": "h", "text": "good", "id": "2"})
    ]
    await change(settings, lambda connection: repository.outbox.put(connection, entries))
    relay = Relay(relay_store(settings.store), settings)
    await relay.open({DESK: RecordingTarget(), CUSTOMER: customer, TRACKER: RecordingTarget()})
    await eventually(lambda: [entry.body["text"] for entry in customer.entries] == ["good"])
    assert await relay.count_dead_letters() == 1
    await relay.close()


async def test_a_lane_whose_target_doesnt_exist_is_logged_once_and_the_others_are_delivered(
    database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """An older version's target, for example."""
    settings = settings_for(database_url)
    lanes = [Entry(target=target, lane="thabo", name="agent", body={"id": "1"}) for target in ("pigeons", CUSTOMER)]
    await change(settings, lambda connection: repository.outbox.put(connection, lanes))
    customer = RecordingTarget()
    relay = Relay(relay_store(settings.store), settings)
    await relay.open({DESK: RecordingTarget(), CUSTOMER: customer, TRACKER: RecordingTarget()})
    await eventually(lambda: customer.entries and "can't be read" in caplog.text)
    for _ in range(3):  # each time it is tried again
        await relay.notify("pigeons")
        await relay.notify(CUSTOMER)
    await relay.close()
    assert caplog.text.count("can't be read") == 1
