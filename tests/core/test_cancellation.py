"""A caller is cancelled between its commit and what follows from it: that happens all the same."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from sqlalchemy import select

from rasa_handoff.core.assignment_timers import DeskTimers
from rasa_handoff.core.control import Control
from rasa_handoff.protocol import events
from rasa_handoff.protocol.channel_settings import DeskSettings, Settings
from rasa_handoff.protocol.values import Channel, Offer
from rasa_handoff.relay import repository
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.server.accounts import add_agent
from rasa_handoff.server.app import ConversationService
from rasa_handoff.server.service.publications import Arrival, Publication
from rasa_handoff.server.service.scheduler import Timekeeper
from rasa_handoff.server.service.unit_of_work import Publisher
from rasa_handoff.server.storage.handoffs import RELAY
from rasa_handoff.server.storage.tables import AGENTS, OUTBOX, open_store
from rasa_handoff.store.dispatcher import Dispatcher
from rasa_handoff.store.engine import Store
from rasa_handoff.testing.relay_side import RecordingTarget
from rasa_handoff.testing.waiting import eventually

OFFER = Offer(handoff_id="h", conversation_id="thabo", bot_id="b", channel=Channel(name="rest"))
HERE: dict[str, Any] = {"conversation_id": "thabo", "handoff_id": "h"}


async def cancelled_after_its_commit(store: Store, work: Callable[[], Any]) -> None:
    """Run ``work``, and cancel it when its transaction is committed and it doesn't know that yet."""
    write, committed, gate = store.write, asyncio.Event(), asyncio.Event()

    async def slow(transaction: Any) -> Any:
        answer = await write(transaction)
        committed.set()
        await gate.wait()
        return answer

    store.write = slow  # type: ignore[method-assign]
    task = asyncio.ensure_future(work())
    await committed.wait()
    task.cancel()
    await asyncio.wait({task})
    store.write = write  # type: ignore[method-assign]
    gate.set()


def relay_for(folder: Path) -> Relay:
    url = f"sqlite:///{folder / 'relay.db'}"
    settings = Settings(bot_id="b", desk=DeskSettings(url="http://nowhere"), channels={"rest": None}, store=url)
    return Relay(Store(url, repository.metadata, repository.SIDE, repository.SCHEMA), settings)


async def test_the_relay_delivers_and_knows_who_is_active(tmp_path: Path) -> None:
    relay, desk = relay_for(tmp_path), RecordingTarget()
    await relay.open({DESK: desk, CUSTOMER: RecordingTarget(), TRACKER: RecordingTarget()})
    try:
        await relay.apply(events.HandoffRequested(**HERE, offer=OFFER, leaving_word="disconnect"))
        accepted = events.HandoffAccepted(**HERE)
        await cancelled_after_its_commit(relay.store, lambda: relay.apply(accepted))
        await eventually(lambda: relay.conversation("thabo").state is Control.WAITING)
        said = events.CustomerSaid(conversation_id="thabo", id="m", text="hello", at=time.time())
        await cancelled_after_its_commit(relay.store, lambda: relay.apply(said))
        await eventually(lambda: [entry.name for entry in desk.entries] == ["handoff.initiate", "message"])
    finally:
        await relay.close()


async def test_the_server_tells_desk_and_relay(tmp_path: Path) -> None:
    received: list[Publication] = []

    async def hear(news: Publication) -> None:
        received.append(news)

    url, relay = f"sqlite:///{tmp_path / 'desk.db'}", RecordingTarget()
    add_agent(url, "thandi@example.org", "Thandi", "correct horse")
    async with open_store(url) as store, Publisher() as publisher:
        publisher.listeners.append(hear)
        service = ConversationService(store, publisher, Timekeeper(DeskTimers()))
        agent = await store.write(lambda connection: connection.execute(select(AGENTS.c.id)).scalar_one())
        async with Dispatcher(store, OUTBOX, {RELAY: relay}, service.finish, service.set_aside) as dispatcher:
            service.dispatcher = dispatcher
            await cancelled_after_its_commit(store, lambda: service.initiate(OFFER, resumed=True))
            await eventually(lambda: any(isinstance(news, Arrival) for news in received))
            await cancelled_after_its_commit(store, lambda: service.take(agent, "h"))
            await eventually(lambda: [entry.name for entry in relay.entries] == ["handoff.status"])


async def test_an_event_that_a_delivery_returned_and_that_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    """A desk's message that comes too early: its number doesn't count as received, so it is taken when it comes again."""

    class EagerDesk(RecordingTarget):
        async def deliver(self, lane: str, entries: Any) -> list[events.Event]:
            await super().deliver(lane, entries)
            return [
                events.AgentSaid(**HERE, number=1, id="w", text="too early", at=1.0),
                events.HandoffAccepted(**HERE),
            ]

    relay, customer = relay_for(tmp_path), RecordingTarget()
    await relay.open({DESK: EagerDesk(), CUSTOMER: customer, TRACKER: RecordingTarget()})
    try:
        await relay.requests.offer(events.HandoffRequested(**HERE, offer=OFFER, leaving_word="disconnect"))
        await relay.apply(events.AgentSaid(**HERE, number=1, id="w", text="too early", at=1.0))
        await eventually(lambda: any(entry.body.get("text") == "too early" for entry in customer.entries))
    finally:
        await relay.close()
