"""The history of handoffs: what is kept of a change, in the change's own transaction, and for how long."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import delete, select

from rasa_handoff.core.assignment_events import (
    AgentSilent,
    AgentWrote,
    Arrived,
    AssignmentEvent,
    ConversationIdle,
    CustomerEnded,
    CustomerSilent,
    CustomerWrote,
    Delivered,
    MessageLeft,
    NobodyTook,
    RelayLost,
    Released,
    Resolved,
    Taken,
    Transferred,
)
from rasa_handoff.core.assignment_timers import DeskTimers
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.payloads import RatingPayload
from rasa_handoff.protocol.retention_settings import RetentionSettings
from rasa_handoff.protocol.values import Agent, Channel, Offer, Priority
from rasa_handoff.server.service import queues
from rasa_handoff.server.service.deletions import DeletionService
from rasa_handoff.server.service.scheduler import Timekeeper
from rasa_handoff.server.service.unit_of_work import Publisher, UnitOfWork
from rasa_handoff.server.storage import handoff_events, handoffs
from rasa_handoff.server.storage.handoff_events import HandoffEvent
from rasa_handoff.server.storage.handoffs import RELAY
from rasa_handoff.server.storage.tables import HANDOFF_EVENTS, HANDOFFS, Database, open_store
from rasa_handoff.store.retention import Retention
from rasa_handoff.testing.waiting import eventually
from tests.support.counted_statements import statements_on

DAY = 86_400.0
THANDI, SIPHO = Agent(id="t", name="Thandi"), Agent(id="s", name="Sipho")


class Desk:
    """Units of work on a real database, at times that the test gives."""

    def __init__(self, store: Database) -> None:
        self.store, self.now = store, 0.0
        self._timekeeper = Timekeeper(DeskTimers(), lambda: self.now)

    def run(self, work: Callable[[UnitOfWork], Any]) -> Any:
        return self.store.run(lambda connection: work(UnitOfWork(connection, self._timekeeper)))

    def arrive(self, at: float, handoff_id: str = "h", department: str | None = "billing", **more: Any) -> None:
        self.now = at
        ahead = more.pop("ahead", False)
        offer = Offer(
            handoff_id=handoff_id, conversation_id="thabo", bot_id="karoo", channel=Channel(name="rest"), **more
        )
        self.run(lambda unit: queues.arrive(unit, offer, RELAY, department, ahead=ahead))

    def apply(self, *events: AssignmentEvent, handoff_id: str = "h") -> None:
        for one in events:
            self.run(lambda unit, one=one: unit.apply(handoffs.must_find(unit.connection, handoff_id), one))

    def history(self, handoff_id: str = "h") -> list[HandoffEvent]:
        return self.store.run(lambda connection: handoff_events.of_handoff(connection, handoff_id))

    def steps(self, handoff_id: str = "h") -> list[tuple[str, str, str | None, float]]:
        return [(one.what.value, one.who.value, one.agent, one.at) for one in self.history(handoff_id)]


@pytest.fixture
def at_desk(database_url: str) -> Iterator[Desk]:
    store = open_store(database_url)
    store.prepare()
    yield Desk(store)
    store.dispose()


def test_a_handoff_is_told_step_by_step(at_desk: Desk) -> None:
    at_desk.arrive(100, reason="a refund", priority=Priority.HIGH)
    at_desk.apply(
        CustomerWrote(at=110, id="c-1", text="hello?"),
        NobodyTook(at=400),
        Taken(at=450, agent=THANDI),
        AgentSilent(at=630, seconds=180),
        AgentWrote(at=640, agent=THANDI, id="a-1", text="sorry"),
        AgentWrote(at=650, agent=THANDI, id="a-2", text="here I am"),
        Delivered(at=651),
        CustomerSilent(at=1250, seconds=600),
        CustomerWrote(at=1260, id="c-2", text="yes"),
        Transferred(at=1300, agent=THANDI, department="orders"),
        Taken(at=1400, agent=SIPHO),
        AgentWrote(at=1410, agent=SIPHO, id="a-3", text="hello"),
        Resolved(at=1500, agent=SIPHO, outcome="resolved", note="all is well"),
    )
    assert at_desk.steps() == [
        ("queued", "bot", None, 100),
        ("nobody_took", "timer", None, 400),
        ("taken", "agent", "t", 450),
        ("reminded", "timer", "t", 630),
        ("answered", "agent", "t", 640),
        ("customer_asked", "timer", "t", 1250),
        ("transferred", "agent", "t", 1300),
        ("taken", "agent", "s", 1400),
        ("answered", "agent", "s", 1410),
        ("resolved", "agent", "s", 1500),
    ]
    rows = at_desk.history()
    assert [row.department for row in rows] == ["billing"] * 7 + ["orders"] * 3
    first, transferred, resolved = rows[0].details, rows[6].details, rows[-1].details
    assert (first.bot_id, first.channel, first.priority, first.reason) == ("karoo", "rest", "high", "a refund")
    assert (transferred.agent_name, transferred.to) == ("Thandi", "orders")
    assert (resolved.agent_name, resolved.outcome, resolved.note) == ("Sipho", "resolved", "all is well")
    assert [row.details.seconds for row in rows if row.details.seconds is not None] == [300, 180, 600]


def test_a_transfer_keeps_the_first_queueing(at_desk: Desk) -> None:
    at_desk.arrive(100)
    at_desk.apply(Taken(at=150, agent=THANDI), Transferred(at=200, agent=THANDI, department=None))
    record = at_desk.run(lambda unit: handoffs.must_find(unit.connection, "h"))
    assert record.assignment.queued_at == 200
    assert at_desk.history()[0].at == 100
    (transferred,) = at_desk.history()[2:]
    assert (transferred.department, transferred.details.to) == ("billing", None)


@pytest.mark.parametrize(
    ("events", "end"),
    [
        ([CustomerEnded(at=9, reason="customer_left")], ("ended", "customer", None, "customer_left")),
        ([ConversationIdle(at=9)], ("ended", "timer", None, "silence")),
        ([RelayLost(at=9)], ("ended", "bot", None, "relay_lost_it")),
        ([Taken(at=2, agent=THANDI), RelayLost(at=9)], ("ended", "bot", "t", "relay_lost_it")),
        (
            [
                Taken(at=2, agent=THANDI),
                AgentWrote(at=3, agent=THANDI, id="a", text="?"),
                CustomerSilent(at=4, seconds=1),
                CustomerSilent(at=9, seconds=1),
            ],
            ("ended", "timer", "t", "customer_silent"),
        ),
        ([MessageLeft(at=2), ConversationIdle(at=9)], ("ended", "timer", None, "silence")),
        (
            [MessageLeft(at=2), Resolved(at=9, agent=SIPHO, outcome="follow_up")],
            ("resolved", "agent", "s", "follow_up"),
        ),
    ],
)
def test_how_it_ended_and_by_whom(at_desk: Desk, events: list[AssignmentEvent], end: tuple[Any, ...]) -> None:
    at_desk.arrive(1)
    at_desk.apply(*events)
    last = at_desk.history()[-1]
    assert (last.what.value, last.who.value, last.agent, last.details.outcome) == end


def test_each_return_to_the_queue_has_a_row(at_desk: Desk) -> None:
    at_desk.arrive(1)
    silent = [AgentSilent(at=at, seconds=1) for at in (20, 21, 22)]
    at_desk.apply(Taken(at=2, agent=THANDI), Released(at=9), Taken(at=10, agent=SIPHO), *silent)
    assert at_desk.steps()[1:] == [
        ("taken", "agent", "t", 2),
        ("queued_again", "timer", "t", 9),
        ("taken", "agent", "s", 10),
        ("reminded", "timer", "s", 20),
        ("reminded", "timer", "s", 21),
        ("queued_again", "timer", "s", 22),
    ]


def test_a_takeover_says_from_whom(at_desk: Desk) -> None:
    at_desk.arrive(1)
    silent = [AgentSilent(at=at, seconds=1) for at in (20, 21)]
    at_desk.apply(Taken(at=2, agent=THANDI), *silent, Taken(at=30, agent=SIPHO))
    last = at_desk.history()[-1]
    assert (last.what, last.agent, last.details.previous_agent) == ("taken", "s", "t")


def test_a_message_that_was_left_is_answered_once(at_desk: Desk) -> None:
    at_desk.arrive(1)
    at_desk.apply(
        Taken(at=2, agent=THANDI),
        AgentWrote(at=3, agent=THANDI, id="a-1", text="one moment"),
        MessageLeft(at=4),
        AgentWrote(at=5, agent=SIPHO, id="a-2", text="we ring you"),
        AgentWrote(at=6, agent=THANDI, id="a-3", text="tomorrow"),
    )
    assert at_desk.steps()[2:] == [
        ("answered", "agent", "t", 3),
        ("message_left", "customer", "t", 4),
        ("answered", "agent", "s", 5),
    ]


def test_what_is_repeated_or_crosses_with_the_end_has_one_row(at_desk: Desk) -> None:
    at_desk.arrive(1)
    resolved = Resolved(at=3, agent=THANDI, outcome="resolved")
    at_desk.apply(
        Arrived(at=2, department=None),
        Taken(at=2, agent=THANDI),
        Taken(at=3, agent=THANDI),
        resolved,
        resolved,
        CustomerWrote(at=4, id="c", text="thank you"),
        CustomerEnded(at=5, reason="customer_left"),
        RelayLost(at=6),
    )
    assert [step[0] for step in at_desk.steps()] == ["queued", "taken", "resolved"]


def test_a_handoff_that_this_database_had_lost_begins_as_resumed(at_desk: Desk) -> None:
    at_desk.arrive(1, ahead=True)
    assert at_desk.steps() == [("resumed", "bot", None, 1)]


def test_what_was_undone_has_no_row(at_desk: Desk) -> None:
    at_desk.arrive(1)

    def fail(unit: UnitOfWork) -> None:
        unit.apply(handoffs.must_find(unit.connection, "h"), Taken(at=2, agent=THANDI))
        raise RuntimeError("after the change")

    def refused(unit: UnitOfWork) -> None:
        unit.apply(handoffs.must_find(unit.connection, "h"), Transferred(at=2, agent=THANDI, department=None))

    def isolated(unit: UnitOfWork) -> None:
        with unit.isolated("One of many failed."):
            fail(unit)

    with pytest.raises(RuntimeError):
        at_desk.run(fail)
    with pytest.raises(Refused):
        at_desk.run(refused)
    at_desk.run(isolated)
    assert [step[0] for step in at_desk.steps()] == ["queued"]


def statements_of(at_desk: Desk, one: AssignmentEvent) -> list[str]:
    """What the database is asked while an event is applied."""
    found: list[str] = []

    def work(unit: UnitOfWork) -> None:
        record = handoffs.must_find(unit.connection, "h")
        with statements_on(unit.connection) as asked:
            unit.apply(record, one)
        found.extend(asked)

    at_desk.run(work)
    return found


def test_a_row_costs_one_statement_and_a_message_none(at_desk: Desk) -> None:
    at_desk.arrive(1)
    at_desk.apply(Taken(at=2, agent=THANDI))
    first = statements_of(at_desk, AgentWrote(at=3, agent=THANDI, id="a-1", text="hello"))
    at_desk.apply(CustomerWrote(at=4, id="c", text="and?"))
    later = statements_of(at_desk, AgentWrote(at=4, agent=THANDI, id="a-2", text="hello"))
    kept = [statement for statement in first if "handoff_event" in statement]
    assert len(kept) == 1
    assert kept[0].startswith("INSERT")
    assert [statement for statement in first if statement not in kept] == later


def test_a_conversation_that_changes_its_list_is_written_once(at_desk: Desk) -> None:
    at_desk.arrive(1)
    for one in (Taken(at=2, agent=THANDI), Transferred(at=3, agent=THANDI, department=None)):
        written = [
            each for each in statements_of(at_desk, one) if " ".join(each.split()[:2]) == f"UPDATE {HANDOFFS.name}"
        ]
        assert len(written) == 1


def test_erasing_a_customer_takes_texts_and_names_and_keeps_the_rows(at_desk: Desk) -> None:
    at_desk.arrive(1, reason="a divorce")
    at_desk.apply(Taken(at=2, agent=THANDI), Resolved(at=3, agent=THANDI, outcome="resolved", note="he was sad"))
    rating = RatingPayload(handoff_id="h", score=2, at=4, comment="he sighed")
    over = at_desk.run(lambda unit: handoffs.must_find(unit.connection, "h").assignment)
    at_desk.run(lambda unit: handoff_events.add_rating(unit.connection, "h", over, rating))
    at_desk.now = 5
    other = Offer(
        handoff_id="o", conversation_id="naledi", bot_id="karoo", channel=Channel(name="rest"), reason="a refund"
    )
    at_desk.run(lambda unit: queues.arrive(unit, other, RELAY))
    before = at_desk.steps()
    at_desk.store.run(lambda connection: handoff_events.erase(connection, "karoo", "thabo"))
    assert at_desk.steps() == before
    stored = at_desk.store.run(lambda connection: connection.execute(select(HANDOFF_EVENTS.c.details)).scalars().all())
    assert not any(text in details for details in stored for text in ("divorce", "sad", "Thandi", "sighed"))
    assert at_desk.history()[0].details.priority == "normal"
    assert at_desk.history()[-2].details.outcome == "resolved"
    assert at_desk.history()[-1].details.score == 2
    assert at_desk.history("o")[0].details.reason == "a refund"


def test_rows_stay_when_their_handoff_is_deleted(at_desk: Desk) -> None:
    at_desk.arrive(1)
    at_desk.store.run(lambda connection: connection.execute(delete(HANDOFFS)))
    assert [step[0] for step in at_desk.steps()] == ["queued"]


async def test_old_rows_go_some_at_a_time_and_are_looked_for_every_hour(
    at_desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rasa_handoff.server.service.deletions.MOST_ROWS", 2)
    for handoff_id, at in (("a", 0.0), ("b", 1.0), ("c", 2.0), ("d", 9 * DAY + 60)):
        at_desk.arrive(at, handoff_id)
    at_desk.now = 10 * DAY
    async with at_desk.store as store:
        service = DeletionService(store, Publisher(), Timekeeper(DeskTimers(), lambda: at_desk.now))
        expiry, _ = service.expiries(RetentionSettings(), 1, 730)
        retention = Retention([expiry], lambda: at_desk.now)

        async def left(look: Callable[[], Any]) -> list[str]:
            await look()
            query = select(HANDOFF_EVENTS.c.handoff_id).order_by(HANDOFF_EVENTS.c.key)
            return await store.write(lambda connection: list(connection.execute(query).scalars()))

        def step() -> Any:
            return expiry.step(at_desk.now - expiry.seconds, None)

        assert await left(step) == ["c", "d"]
        assert await left(retention.check) == ["d"]
        at_desk.now += 120
        assert await left(retention.check) == ["d"], "too old now, but an hour isn't over"
        at_desk.now += 3_600
        assert await left(retention.check) == []


@pytest.mark.every_database("sqlite", "postgres-notify")
async def test_a_real_desk_writes_the_history_and_removes_what_is_old(server, relay, desk):
    thandi, karoo = await desk(), await relay()
    handoff = await karoo.initiate(reason="a refund")
    await thandi.take(handoff)
    await karoo.say(handoff, "hello")
    await thandi.say(handoff, "good day")
    await thandi.resolve(handoff)
    store = open_store(server.database)
    try:

        def history() -> list[str]:
            return [one.what.value for one in store.run(lambda rows: handoff_events.of_handoff(rows, handoff))]

        assert history() == ["queued", "taken", "answered", "resolved"]
        server.ahead += 401 * DAY
        await eventually(lambda: history() == [])
    finally:
        store.dispose()
