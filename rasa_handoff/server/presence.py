"""Which agents are there: the flag they chose, and an open desk or one that closed moments ago.

``here`` in the database outlives a restart: who was here has the grace to come back before the bots are told. One who
stays away longer has a timer on each of their conversations (``agent_gone``), which then goes back to the queue.
"""

import asyncio
from typing import Final

from sqlalchemy import or_, select, update

from rasa_handoff.server.agent_side import AgentSide
from rasa_handoff.server.news import PresenceChanged
from rasa_handoff.server.tables import AGENTS, HANDOFFS
from rasa_handoff.server.turn import Turn
from rasa_handoff.store.tasks import ended
from rasa_handoff.thinking.assignment import Stage
from rasa_handoff.vocabulary.errors import Unreachable
from rasa_handoff.vocabulary.log_values import get_log

log = get_log(__name__)

GRACE: Final = 30.0
"""Seconds a desk may be closed (a reload, a restart, a tunnel) before its agent counts as away."""
AGAIN: Final = 1.0


class Presence:
    """Who is here: ``async with Presence(...)``."""

    def __init__(self, conversations: AgentSide, grace: float = GRACE) -> None:
        self._conversations, self._grace = conversations, grace
        self._entered = False
        self._desks: dict[str, set[str]] = {}
        self._leaving: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> "Presence":
        self._entered = True
        for agent in await self._conversations.do(_expected):
            self._leave_later(agent, self._grace)
        await self._conversations.staffing()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._entered = False
        await ended(*self._leaving.values())

    async def came(self, agent: str, desk: str) -> None:
        """A desk of the agent was opened."""
        self._desks.setdefault(agent, set()).add(desk)
        self._stay(agent)
        await self._conversations.agent_here(agent, True)

    def went(self, agent: str, desk: str) -> None:
        """A desk of the agent closed; after the last one the grace begins."""
        desks = self._desks.get(agent, set())
        desks.discard(desk)
        if not desks:
            self._desks.pop(agent, None)
            self._leave_later(agent, self._grace)

    async def signed_out(self, agent: str) -> None:
        """The agent left on purpose: no grace, unless another desk of theirs is open."""
        if agent not in self._desks:
            self._stay(agent)
            self._leave_later(agent, 0.0)

    async def choose(self, agent: str, online: bool) -> None:
        """The agent chose to be online or away."""

        def work(turn: Turn) -> None:
            turn.connection.execute(update(AGENTS).where(AGENTS.c.id == agent).values(online=online))
            turn.news.append(PresenceChanged(viewers=frozenset({agent}), online=online))

        await self._conversations.do(work)
        await self._conversations.staffing()

    def _stay(self, agent: str) -> None:
        leaving = self._leaving.pop(agent, None)
        if leaving is not None:
            leaving.cancel()

    def _leave_later(self, agent: str, grace: float) -> None:
        if self._entered and agent not in self._leaving:
            self._leaving[agent] = asyncio.create_task(self._leave(agent, grace))

    async def _leave(self, agent: str, grace: float) -> None:
        await asyncio.sleep(grace)
        while True:
            try:
                await self._conversations.agent_here(agent, False)
                break
            except Unreachable:
                await asyncio.sleep(AGAIN)
            except Exception:
                log.exception("Noting that an agent left failed; it will be tried again.")
                await asyncio.sleep(AGAIN)
        self._leaving.pop(agent, None)


def _expected(turn: Turn) -> list[str]:
    """Who was here, or has conversations, when the server was stopped."""
    a, h = AGENTS.c, HANDOFFS.c
    has = select(h.agent).where(h.stage == Stage.ASSIGNED.value)
    return [row.id for row in turn.connection.execute(select(a.id).where(or_(a.here, a.id.in_(has))))]
