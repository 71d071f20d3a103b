"""What an ordinary day asks the server's database is found by indexes, so that it costs the same however much has ended."""

import re
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import event, text

from rasa_handoff.core.assignment_events import CustomerWrote
from rasa_handoff.core.assignment_timers import DeskTimers
from rasa_handoff.protocol.values import Channel, Offer, Outcome, Status
from rasa_handoff.server import accounts
from rasa_handoff.server.app import ConversationService
from rasa_handoff.server.service import availability
from rasa_handoff.server.service.deliveries import Mark
from rasa_handoff.server.service.scheduler import Timekeeper
from rasa_handoff.server.service.unit_of_work import Publisher
from rasa_handoff.server.storage import handoffs
from rasa_handoff.server.storage.handoffs import RELAY
from rasa_handoff.server.storage.tables import (
    AGENTS,
    HANDOFF_EVENTS,
    HANDOFFS,
    MESSAGES,
    OUTBOX,
    TIMERS,
    Database,
    open_store,
)
from rasa_handoff.store.statements import Statement

GROWING = tuple(table.name for table in (HANDOFFS, MESSAGES, HANDOFF_EVENTS, OUTBOX.table, TIMERS.table))
"""The tables that have rows of conversations; those of agents and departments may be read whole."""
WHOLE = "handoffs_to_follow_up"
"""An index that has only the rows that are asked for: it may be read whole."""
SCAN = re.compile(rf"\bSCAN (?:{'|'.join(GROWING)})\b(?! USING INDEX {WHOLE})|Seq Scan on (?:{'|'.join(GROWING)})\b")


class Asked:
    """The statements that a database was asked, with their parameters: SQLAlchemy's and those that the driver runs itself."""

    def __init__(self, store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store, self.seen = store, dict[str, Any]()
        event.listen(store._engine, "before_cursor_execute", self._note)
        run = Statement._run

        def noted(statement: Statement, connection: Any, values: Any) -> Any:
            compiled, cursor = run(statement, connection, values)
            parameters = compiled.parameters(values)
            self.seen[compiled.text] = tuple(parameters) if isinstance(parameters, list) else parameters
            return compiled, cursor

        monkeypatch.setattr(Statement, "_run", noted)

    def _note(self, connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        self.seen[statement] = parameters

    async def plans(self) -> dict[str, str]:
        """Return each query, update and deletion with its plan."""
        asked = {sql: values for sql, values in self.seen.items() if re.match("SELECT|UPDATE|DELETE", sql)}
        explain = "EXPLAIN" if self.store._on_postgres else "EXPLAIN QUERY PLAN"

        def work(connection: Any) -> dict[str, str]:
            if self.store._on_postgres:  # its tables are too small here for an index to pay
                connection.execute(text("SET LOCAL enable_seqscan = off"))
            return {
                sql: str(connection.exec_driver_sql(f"{explain} {sql}", values).all()) for sql, values in asked.items()
            }

        return await self.store.write(work)


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[tuple[ConversationService, Database]]:
    for name in ("billing", "orders"):
        accounts.add_department(database_url, name)
    accounts.add_agent(database_url, "thandi@example.com", "Thandi", "correct horse", ["billing", "orders"])
    async with open_store(database_url) as store, Publisher() as publisher:
        assert isinstance(store, Database)
        yield ConversationService(store, publisher, Timekeeper(DeskTimers())), store


async def test_no_statement_of_a_handoff_reads_a_whole_table_of_conversations(
    service: tuple[ConversationService, Database], monkeypatch: pytest.MonkeyPatch
) -> None:
    conversations, store = service
    agent = await store.write(lambda connection: connection.execute(AGENTS.select()).first().id)
    await conversations.agent_here(agent, True)
    asked = Asked(store, monkeypatch)
    for number, department in enumerate(("billing", "orders", None)):
        offer = Offer(
            handoff_id=f"h{number}",
            conversation_id="c",
            bot_id="b",
            channel=Channel(name="rest"),
            department=department,
        )
        await conversations.initiate(offer, id=f"o{number}")
        await conversations.customer_said(RELAY, "b", f"h{number}", CustomerWrote(at=1.0, id="m", text="x"))
        await conversations.take(agent, f"h{number}")
        await conversations.agent_said(agent, f"h{number}", "a1", "y")
        await conversations.message_status("b", Mark(handoff_id=f"h{number}", message_id="a1", status=Status.DELIVERED))
        await conversations.transfer(agent, f"h{number}", "orders")
        await conversations.take(agent, f"h{number}")
        await store.write(lambda connection: availability.availability(connection, time.time()))
        await store.write(handoffs.unfinished)
        await conversations.find("b", "c")
        await conversations.resolve(agent, f"h{number}", Outcome.FOLLOW_UP, None, {})
        await store.write(handoffs.to_follow_up)
        await conversations.follow_up(agent, f"h{number}")
    plans = await asked.plans()
    assert len(plans) > 20
    assert {sql: plan for sql, plan in plans.items() if SCAN.search(plan)} == {}
