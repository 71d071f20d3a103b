"""Which desks have which conversations open, who has each, and which conversations colleagues have yet to be shown.

A message of an assigned conversation goes at once only to its agent and to desks that have it open. All others who may see it get
its summary a little later (:meth:`Outdated.take`), so that a message doesn't cost more the more agents there are.
"""

from collections.abc import Iterable
from itertools import islice
from typing import Final

from rasa_handoff.core.assignment import Stage
from rasa_handoff.guard.recent import Recent
from rasa_handoff.protocol.desk_payloads import Summary

MOST_OPEN: Final = 50
"""Conversations that count as open in one desk: the last ones it has loaded."""


class OpenConversations:
    """The conversations that each socket has loaded last."""

    def __init__(self) -> None:
        self._of_socket: dict[str, dict[str, None]] = {}
        self._sockets: dict[str, set[str]] = {}

    def note(self, sid: str, handoff_id: str) -> None:
        """Note that a desk has loaded a conversation."""
        opened = self._of_socket.setdefault(sid, {})
        opened.pop(handoff_id, None)
        opened[handoff_id] = None
        self._sockets.setdefault(handoff_id, set()).add(sid)
        if len(opened) > MOST_OPEN:
            self.forget(sid, next(iter(opened)))

    def forget(self, sid: str, handoff_id: str) -> None:
        """Forget that a desk has a conversation open, because it may not see it, or has loaded many others since."""
        self._of_socket.get(sid, {}).pop(handoff_id, None)
        sockets = self._sockets.get(handoff_id, set())
        sockets.discard(sid)
        if not sockets:
            self._sockets.pop(handoff_id, None)

    def leave(self, sid: str) -> None:
        """Forget a socket that has left."""
        for handoff_id in list(self._of_socket.get(sid, ())):
            self.forget(sid, handoff_id)
        self._of_socket.pop(sid, None)

    def all(self) -> list[str]:
        """Return the conversations that are open in any desk."""
        return list(self._sockets)

    def sockets(self, handoff_id: str) -> frozenset[str]:
        """Return the sockets that have this conversation open."""
        return frozenset(self._sockets.get(handoff_id, ()))


class Owners:
    """Who has each conversation, as desks were shown it last: so that what may be lost costs no look into the database."""

    def __init__(self) -> None:
        # The bot and the agent of each conversation that an agent has.
        self._of: Recent[str, tuple[str, str]] = Recent()

    def note(self, summary: Summary, viewers: frozenset[str] | None = None) -> None:
        """Note who has a conversation. ``viewers``: the agents who are shown it; None: the one who has it, too.

        To those who may no longer see it a conversation is shown as ended, whoever has it now.
        """
        if summary.state == Stage.ASSIGNED.value and summary.agent is not None:
            self._of[summary.handoff_id] = summary.bot_id, summary.agent.id
            return
        _, owner = self._of.get(summary.handoff_id, (None, None))
        if summary.state != Stage.ENDED.value or viewers is None or owner in viewers:
            self._of.pop(summary.handoff_id, None)

    def forget(self, handoff_ids: Iterable[str]) -> None:
        """Forget conversations that were deleted."""
        for handoff_id in handoff_ids:
            self._of.pop(handoff_id, None)

    def bot_of(self, handoff_id: str, agent_id: str) -> str | None:
        """Return the bot of a conversation that this agent has, as far as is known here; None for any other."""
        bot_id, owner = self._of.get(handoff_id, (None, None))
        return bot_id if owner == agent_id else None


class Outdated:
    """Conversations with messages that colleagues' lists don't show yet."""

    def __init__(self) -> None:
        self._handoffs: dict[str, None] = {}

    def note(self, handoff_id: str) -> None:
        """Note that a conversation has another last message."""
        self._handoffs[handoff_id] = None

    def take(self, most: int) -> list[str]:
        """Return the oldest ones, ``most`` at most, and forget them."""
        taken = list(islice(self._handoffs, most))
        for handoff_id in taken:
            del self._handoffs[handoff_id]
        return taken
