"""Who asked is cancelled between the commit and what follows it: that follows all the same."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rasa_handoff.relay import memory
from rasa_handoff.relay.relay import CUSTOMER, DESK, TRACKER, Relay
from rasa_handoff.server.bot_side import BotSide
from rasa_handoff.server.door import RELAY
from rasa_handoff.server.news import Arrival, Board, News
from rasa_handoff.server.tables import METADATA, OUTBOX, SCHEMA, SIDE
from rasa_handoff.server.timekeeper import Timekeeper
from rasa_handoff.store.engine import Store
from rasa_handoff.store.pump import Pump
from rasa_handoff.testing.relay_side import Ear
from rasa_handoff.testing.waiting import until
from rasa_handoff.thinking.control import Control
from rasa_handoff.thinking.desk_timing import DeskTimers
from rasa_handoff.vocabulary import events as e
from rasa_handoff.vocabulary.settings import DeskSettings, Settings
from rasa_handoff.vocabulary.values import Channel, Offer

OFFER = Offer(handoff_id="h", conversation_id="thabo", bot_id="b", channel=Channel(name="rest"))
HERE: dict[str, Any] = {"conversation_id": "thabo", "handoff_id": "h"}


async def cancelled_after_its_commit(store: Store, work: Callable[[], Any]) -> None:
    """Run it, and cancel it when its transaction is committed and it hasn't heard so."""
    write, committed, gate = store.write, asyncio.Event(), asyncio.Event()

    async def slow(work: Any) -> Any:
        answer = await write(work)
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
    return Relay(Store(url, memory.metadata, memory.SIDE, memory.SCHEMA), settings)


async def test_the_relay_delivers_and_knows_who_is_active(tmp_path: Path) -> None:
    relay, desk = relay_for(tmp_path), Ear()
    await relay.open({DESK: desk, CUSTOMER: Ear(), TRACKER: Ear()})
    try:
        await relay.apply(e.HandoffRequested(**HERE, offer=OFFER, leaving_word="disconnect"))
        accepted = e.HandoffAccepted(**HERE)
        await cancelled_after_its_commit(relay.store, lambda: relay.apply(accepted))
        await until(lambda: relay.conversation("thabo").state is Control.WAITING)
        said = e.CustomerSaid(conversation_id="thabo", id="m", text="hello", at=time.time())
        await cancelled_after_its_commit(relay.store, lambda: relay.apply(said))
        await until(lambda: [entry.name for entry in desk.entries] == ["handoff.initiate", "message"])
    finally:
        await relay.close()


async def test_the_server_tells_desk_and_relay(tmp_path: Path) -> None:
    heard: list[News] = []

    async def hear(news: News) -> None:
        heard.append(news)

    relay, store = Ear(), Store(f"sqlite:///{tmp_path / 'desk.db'}", METADATA, SIDE, SCHEMA)
    async with store, Board() as board:
        board.listeners.append(hear)
        side = BotSide(store, board, Timekeeper(DeskTimers()))
        async with Pump(store, OUTBOX, {RELAY: relay}, side.finish, side.set_aside) as pump:
            side.pump = pump
            await cancelled_after_its_commit(store, lambda: side.initiate(OFFER, resumed=True))
            await until(lambda: any(isinstance(news, Arrival) for news in heard))


async def test_a_refused_event_of_a_targets_leaves_nothing_behind(tmp_path: Path) -> None:
    """A desk's answer that is illegal now: its number isn't taken, or the same words would be dropped when they come again."""

    class EagerDesk(Ear):
        async def deliver(self, lane: str, entries: Any) -> list[e.Event]:
            await super().deliver(lane, entries)
            return [e.AgentSaid(**HERE, number=1, id="w", text="too early", at=1.0), e.HandoffAccepted(**HERE)]

    relay, customer = relay_for(tmp_path), Ear()
    await relay.open({DESK: EagerDesk(), CUSTOMER: customer, TRACKER: Ear()})
    try:
        await relay.request(e.HandoffRequested(**HERE, offer=OFFER, leaving_word="disconnect"))
        await relay.apply(e.AgentSaid(**HERE, number=1, id="w", text="too early", at=1.0))
        await until(lambda: any(entry.body.get("text") == "too early" for entry in customer.entries))
    finally:
        await relay.close()
