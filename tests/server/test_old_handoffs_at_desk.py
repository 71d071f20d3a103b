"""What the live-agent server deletes by its age, in which steps, and what an old id means afterwards."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update

from rasa_handoff.core.assignment_events import CustomerWrote
from rasa_handoff.core.assignment_timers import DeskTimers
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.payloads import OpenHandoffPayload
from rasa_handoff.protocol.retention_settings import RetentionSettings
from rasa_handoff.protocol.values import Channel, Offer
from rasa_handoff.server.app import ConversationService
from rasa_handoff.server.service.publications import PUBLICATION, Deleted
from rasa_handoff.server.service.scheduler import Timekeeper
from rasa_handoff.server.service.unit_of_work import Publisher
from rasa_handoff.server.storage.handoffs import RELAY
from rasa_handoff.server.storage.tables import HANDOFF_EVENTS, HANDOFFS, MESSAGES, OUTBOX, Database, open_store
from rasa_handoff.store.change_log import ChangeReader
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.retention import MOST_LOOKED_AT, MOST_ROWS, Retention
from rasa_handoff.testing.waiting import eventually
from tests.support.counted_statements import cost_on

OLD, NEW = 1_000.0, 9_000.0


class Desk:
    """A service on a real database, and what it has published as deleted."""

    def __init__(self, store: Database, publisher: Publisher) -> None:
        self.store = store
        self.service = ConversationService(store, publisher, Timekeeper(DeskTimers()))
        self.deleted: list[str] = []
        publisher.listeners.append(self._note)

    async def _note(self, publication: Any) -> None:
        if isinstance(publication, Deleted):
            self.deleted.extend(publication.handoff_ids)

    async def add(self, *ids: str, ended_at: float | None = OLD, messages: int = 1) -> None:
        handoffs = [
            {
                "handoff_id": id,
                "bot_id": "b",
                "conversation_id": f"c-{id}",
                "side": RELAY,
                "stage": "queued" if ended_at is None else "ended",
                "urgency": 1,
                "ahead": False,
                "queued_at": 1.0,
                "reminders": 0,
                "asked": False,
                "answered": False,
                "ended_at": ended_at,
                "outcome": None if ended_at is None else "resolved",
                "offer": "{}",
                "seq": messages,
                "last_number": 0,
            }
            for id in ids
        ]
        said = [
            {
                "handoff_id": id,
                "seq": seq,
                "id": f"m{seq}",
                "speaker": "customer",
                "text": "x",
                "at": 1.0,
                "status": "stored",
            }
            for id in ids
            for seq in range(1, messages + 1)
        ]
        happened = [{"handoff_id": id, "at": 1.0, "what": "queued", "who": "bot", "details": "{}"} for id in ids]

        def work(connection: Any) -> None:
            for table, rows in ((HANDOFFS, handoffs), (MESSAGES, said), (HANDOFF_EVENTS, happened)):
                if rows:
                    connection.execute(insert(table), rows)

        await self.store.write(work)

    async def left(self) -> list[str]:
        query = select(HANDOFFS.c.handoff_id).order_by(HANDOFFS.c.handoff_id)
        return await self.store.write(lambda connection: list(connection.execute(query).scalars()))

    async def count(self, table: Any) -> int:
        return await self.store.write(
            lambda connection: int(connection.execute(select(func.count()).select_from(table)).scalar_one())
        )

    async def delete_all(self, before: float = 5_000.0) -> int:
        """Take steps until all was looked at, and return how many there were."""
        place, steps = None, 0
        while steps == 0 or place is not None:
            place, steps = (await self.service.delete_ended(before, place)).place, steps + 1
        return steps


@pytest.fixture
async def at_desk(database_url: str) -> AsyncIterator[Desk]:
    async with open_store(database_url) as store, Publisher() as publisher:
        assert isinstance(store, Database)
        yield Desk(store, publisher)


@pytest.fixture
async def publishing(at_desk: Desk) -> AsyncIterator[None]:
    """Publish also what comes by the change log of a database that several servers may share."""
    handlers = {PUBLICATION: at_desk.service.follow}
    async with ChangeReader(at_desk.store, OUTBOX.change_log, handlers, PUBLICATION) as reader:
        at_desk.store.on_ring.append(reader.look)
        reader.begin()
        yield


@pytest.mark.usefixtures("publishing")
async def test_what_has_ended_long_ago_goes_and_everything_else_stays(at_desk: Desk) -> None:
    await at_desk.add("old")
    await at_desk.add("new", ended_at=NEW)
    await at_desk.add("live", ended_at=None)
    await at_desk.add("waits")
    entry = Entry(target=RELAY, lane="waits", name="message", body={})
    await at_desk.store.write(lambda connection: OUTBOX.put(connection, [entry]))
    await at_desk.delete_all()
    assert await at_desk.left() == ["live", "new", "waits"]
    assert await at_desk.count(MESSAGES) == 3
    assert await at_desk.count(HANDOFF_EVENTS) == 4, "the history has a time of its own"
    await eventually(lambda: at_desk.deleted == ["old"])
    await at_desk.delete_all()
    assert await at_desk.left() == ["live", "new", "waits"]


async def test_what_waits_too_long_goes_unless_its_handoff_goes_on(at_desk: Desk) -> None:
    await at_desk.add("ended")
    await at_desk.add("live", ended_at=None)
    for lane in ("ended", "live"):
        entry = Entry(target=RELAY, lane=lane, name="handoff.status", body={})
        await at_desk.store.write(lambda connection, entry=entry: OUTBOX.put(connection, [entry]))  # type: ignore[misc]
    assert (await at_desk.service.expire_undelivered(OLD)).deleted == 0
    await at_desk.store.write(lambda connection: connection.execute(update(OUTBOX.table).values(at=OLD)))
    assert (await at_desk.service.expire_undelivered(NEW)).deleted == 1
    assert await at_desk.store.write(OUTBOX.lane_keys) == [(RELAY, "live")]


async def test_a_long_conversation_goes_in_several_steps(at_desk: Desk) -> None:
    await at_desk.add("long", messages=2 * MOST_ROWS + 1)
    before = await at_desk.count(MESSAGES)
    step = await at_desk.service.delete_ended(5_000.0)
    assert (step.deleted, before - await at_desk.count(MESSAGES)) == (0, MOST_ROWS)
    await at_desk.service.delete_ended(5_000.0, step.place)
    assert await at_desk.left() == ["long"]
    await at_desk.delete_all()
    assert await at_desk.left() == []
    assert await at_desk.count(MESSAGES) == 0


async def cost_of_a_step(at_desk: Desk) -> dict[str, int]:
    with cost_on(at_desk.store._engine) as cost:
        await at_desk.service.delete_ended(5_000.0)
    return cost


async def test_a_step_costs_the_same_however_much_there_is(at_desk: Desk) -> None:
    await at_desk.add(*(f"a{number:05}" for number in range(2 * MOST_LOOKED_AT)))
    few = await cost_of_a_step(at_desk)
    await at_desk.add(*(f"b{number:05}" for number in range(5_000)))
    await at_desk.add(*(f"n{number:05}" for number in range(1_000)), ended_at=NEW)
    assert await cost_of_a_step(at_desk) == few
    assert len(await at_desk.left()) == 6_000


async def test_what_is_due_is_found_by_an_index(at_desk: Desk) -> None:
    query = "SELECT handoff_id FROM handoffs WHERE ended_at < 1 ORDER BY ended_at, handoff_id LIMIT 20"
    if at_desk.store._on_postgres:
        explain = ["SET LOCAL enable_seqscan = off", f"EXPLAIN {query}"]
    else:
        explain = [f"EXPLAIN QUERY PLAN {query}"]

    def plan(connection: Any) -> str:
        return str([connection.exec_driver_sql(one) for one in explain][-1].all())

    assert "handoffs_ended" in await at_desk.store.write(plan)


async def test_an_old_id_brings_nothing_back(at_desk: Desk) -> None:
    await at_desk.add("old")
    await at_desk.delete_all()
    offer = Offer(handoff_id="old", conversation_id="c-old", bot_id="b", channel=Channel(name="rest"))
    for resumed in (False, True):
        with pytest.raises(Refused, match="was deleted"):
            await at_desk.service.initiate(offer, resumed=resumed)
    with pytest.raises(Refused) as late:
        await at_desk.service.customer_said(RELAY, "b", "old", CustomerWrote(at=1.0, id="m1", text="x"))
    assert late.value.code == "ended"
    caught_up = await at_desk.service.catch_up("b", [OpenHandoffPayload(handoff_id="old", last=3)])
    assert caught_up.unknown == ()
    (entry,) = await at_desk.store.write(lambda connection: OUTBOX.head(connection, RELAY, "old"))
    assert (entry.body["payload"]["status"], entry.body["payload"]["number"]) == ("failed", 4)
    assert await at_desk.left() == []


@pytest.mark.usefixtures("publishing")
async def test_years_are_deleted_by_the_running_task(at_desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rasa_handoff.store.retention.SHORTEST_REST", 0.0)
    await at_desk.add(*(f"a{number:05}" for number in range(7 * MOST_LOOKED_AT)))
    expiries = at_desk.service.expiries(RetentionSettings(ended_days=1), 400, 730)
    async with Retention(expiries):
        await eventually(lambda: len(at_desk.deleted) == 7 * MOST_LOOKED_AT)
    assert await at_desk.left() == []


def test_nothing_is_deleted_unless_somebody_chooses() -> None:
    service = ConversationService(None, Publisher(), Timekeeper(DeskTimers()))  # type: ignore[arg-type]
    kept = ["rows of the history", "rows of the audit log"]
    assert [expiry.what for expiry in service.expiries(RetentionSettings(), 400, 730)] == kept
