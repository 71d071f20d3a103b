"""Presence of agents: whether they chose to be online, and whether a desk of theirs is open, or was moments ago.

``here`` in the database outlives a restart: an agent who was here has the grace period to come back before bots learn that they
are away. If they stay away longer, the timer ``agent_gone`` returns each of their conversations to the queue.

Where several servers share the database, each has a row for each agent whose desk it has, or had moments ago, and an agent leaves
with the last of them. The rows of a server that was killed go with its lease; the others then wait for its agents as after a
restart.
"""

import asyncio
from typing import Final

from sqlalchemy import or_, select, update

from rasa_handoff.core.assignment import Stage
from rasa_handoff.protocol.errors import Unreachable
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.server.service.agent_operations import AgentService
from rasa_handoff.server.service.publications import PresenceChanged
from rasa_handoff.server.service.unit_of_work import UnitOfWork
from rasa_handoff.server.storage import whereabouts
from rasa_handoff.server.storage.tables import AGENTS, HANDOFFS
from rasa_handoff.store.tasks import cancel_all

log = get_log(__name__)

GRACE: Final = 30.0
"""Seconds a desk may be closed (a reload, a restart, a tunnel) before its agent counts as away."""
AGAIN: Final = 1.0
"""Seconds until a failed write is tried again."""


class Presence:
    """Keeps who is here: ``async with Presence(...)``."""

    def __init__(self, conversations: AgentService, grace: float = GRACE) -> None:
        self._conversations, self._grace = conversations, grace
        self._entered = False
        self._desks: dict[str, set[str]] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> "Presence":
        self._entered = True
        for agent in await self._conversations.do(_here_before):
            self._leave_later(agent, self._grace)
        await self._conversations.refresh_availability()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._entered = False
        await cancel_all(*self._leaving.values())

    async def came(self, agent: str, desk: str) -> None:
        """Note that a desk of the agent was opened."""
        self._desks.setdefault(agent, set()).add(desk)
        self._stay(agent)
        await self._conversations.agent_here(agent, True)

    def went(self, agent: str, desk: str) -> None:
        """Note that a desk of the agent closed; after the last one the grace period begins."""
        desks = self._desks.get(agent, set())
        desks.discard(desk)
        if not desks:
            self._desks.pop(agent, None)
            self._leave_later(agent, self._grace)

    async def signed_out(self, agent: str) -> None:
        """Note that the agent signed out: away at once, without the grace period, unless another desk of theirs is open."""
        if agent not in self._desks:
            self._stay(agent)
            self._leave_later(agent, 0.0)

    async def look_for_left(self) -> None:
        """Wait for the agents of servers that have ended, and note it if they don't come back. A check of the ``Sweeper``."""
        if self._conversations.shares:
            for agent in await self._conversations.do(_without_server):
                if agent in self._desks:
                    await self._conversations.agent_here(agent, True)
                else:
                    self._leave_later(agent, self._grace, was_here=True)

    async def note_again(self) -> None:
        """Note anew whose desks are open: this process has lost its rows."""
        for agent in list(self._desks):
            await self._conversations.agent_here(agent, True)

    async def choose(self, agent: str, online: bool) -> None:
        """Store the agent's choice to be online or away."""

        def work(unit: UnitOfWork) -> None:
            unit.connection.execute(update(AGENTS).where(AGENTS.c.id == agent).values(online=online))
            unit.publications.append(PresenceChanged(viewers=frozenset({agent}), online=online))

        await self._conversations.do(work)
        await self._conversations.refresh_availability()

    def _stay(self, agent: str) -> None:
        leaving = self._leaving.pop(agent, None)
        if leaving is not None:
            leaving.cancel()

    def _leave_later(self, agent: str, grace: float, was_here: bool = False) -> None:
        if self._entered and agent not in self._leaving:
            self._leaving[agent] = asyncio.create_task(self._leave(agent, grace, was_here))

    async def _leave(self, agent: str, grace: float, was_here: bool) -> None:
        await asyncio.sleep(grace)
        while True:
            try:
                await self._conversations.agent_here(agent, False, was_here)
                break
            except Unreachable:
                await asyncio.sleep(AGAIN)
            except Exception:
                log.exception("Noting that an agent left failed; it will be tried again.")
                await asyncio.sleep(AGAIN)
        self._leaving.pop(agent, None)


def _here_before(unit: UnitOfWork) -> list[str]:
    """Return the agents who were here, or had conversations, when the server stopped, and have no desk at another one."""
    agents, handoffs = AGENTS.c, HANDOFFS.c
    assigned = select(handoffs.agent).where(handoffs.stage == Stage.ASSIGNED.value)
    query = select(agents.id).where(or_(agents.here, agents.id.in_(assigned)), whereabouts.has_no_desk(agents.id))
    return [row.id for row in unit.connection.execute(query)]


def _without_server(unit: UnitOfWork) -> list[str]:
    """Return the agents who are here as far as the database knows, and whose desks no server has."""
    query = select(AGENTS.c.id).where(AGENTS.c.here, whereabouts.has_no_desk(AGENTS.c.id))
    return [row.id for row in unit.connection.execute(query)]
