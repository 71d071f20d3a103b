"""Which of several servers agents and customers are connected to, where those share the database.

Rows belong to processes, and go with them. On a database with one owner nothing is stored, and nobody is connected elsewhere.
"""

from typing import Any, Final

from sqlalchemy import bindparam, delete, select
from sqlalchemy.engine import Connection

from rasa_handoff.server.storage.tables import (
    AGENTS,
    CUSTOMER_CONNECTIONS,
    DESK_CONNECTIONS,
    HANDOFFS,
    PROCESSES,
    RELAY_CONNECTIONS,
)
from rasa_handoff.store.insertions import insert_if_new, insert_or_update
from rasa_handoff.store.statements import Statement
from rasa_handoff.store.writer import PROCESS

_processes = select(PROCESSES.table.c.id)
_desks, _customers, _relays = DESK_CONNECTIONS.c, CUSTOMER_CONNECTIONS.c, RELAY_CONNECTIONS.c
_of_bot = select(HANDOFFS.c.bot_id).where(HANDOFFS.c.handoff_id == bindparam("handoff")).scalar_subquery()
_WITH_RELAY: Final = Statement(
    select(_relays.process)
    .where(_relays.bot_id == _of_bot, _relays.gone.is_(False), _relays.process.in_(_processes))
    .order_by(_relays.seen.desc())
)
_WITH_CUSTOMER: Final = Statement(
    select(_customers.process).where(_customers.handoff_id == bindparam("handoff"), _customers.process.in_(_processes))
)


def lock_agent(connection: Connection, agent: str) -> bool:
    """Lock an agent's row until the transaction ends; return whether they are here, as far as the database knows."""
    return bool(
        connection.execute(select(AGENTS.c.here).where(AGENTS.c.id == agent).with_for_update(key_share=True)).scalar()
    )


def desk_came(connection: Connection, agent: str) -> None:
    """Note that this process has a desk of the agent."""
    process = connection.info.get(PROCESS)
    if process is not None:
        insert_if_new(connection, DESK_CONNECTIONS, agent=agent, process=process)


def desk_went(connection: Connection, agent: str) -> bool:
    """Note that this process has no desk of the agent any more; return whether another one has."""
    process = connection.info.get(PROCESS)
    if process is None:
        return False
    connection.execute(delete(DESK_CONNECTIONS).where(_desks.agent == agent, _desks.process == process))
    elsewhere = select(_desks.process).where(_desks.agent == agent, _desks.process.in_(_processes)).limit(1)
    return connection.execute(elsewhere).first() is not None


def has_no_desk(agent: Any) -> Any:
    """Return the condition that no process has a desk of this agent, a column."""
    return ~select(_desks.agent).where(_desks.agent == agent, _desks.process.in_(_processes)).exists()


def with_relay(connection: Connection, handoff_id: str) -> list[str]:
    """Return the processes to which relays of a handoff's bot are connected."""
    return [row.process for row in _WITH_RELAY.all(connection, {"handoff": handoff_id})]


def customer_came(connection: Connection, handoff_id: str, takes: bool = True) -> None:
    """Note that this process has the customer. ``takes``: even if another one has them, as far as it knows."""
    process = connection.info.get(PROCESS)
    if process is not None and (takes or with_customer(connection, handoff_id) is None):
        insert_or_update(connection, CUSTOMER_CONNECTIONS, handoff_id=handoff_id, process=process)


def customer_went(connection: Connection, handoff_id: str) -> None:
    """Note that this process hasn't the customer any more."""
    process = connection.info.get(PROCESS)
    if process is not None:
        here = (_customers.handoff_id == handoff_id, _customers.process == process)
        connection.execute(delete(CUSTOMER_CONNECTIONS).where(*here))


def with_customer(connection: Connection, handoff_id: str) -> str | None:
    """Return the process that has the customer; None if there is none."""
    found: str | None = _WITH_CUSTOMER.scalar(connection, {"handoff": handoff_id})
    return found


def remove_of_ended(connection: Connection) -> bool:
    """Delete the rows of processes that have ended. Return False: others find what has changed by themselves."""
    for table in (DESK_CONNECTIONS, CUSTOMER_CONNECTIONS):
        connection.execute(delete(table).where(table.c.process.notin_(_processes)))
    return False
