"""Which of the sockets of a conversation has it, among clients of Botlhale's protocol.

1. Who began the conversation has it, or showed its secret, or spoke last. Such a socket has *proven* itself.
2. Who only joins takes it from nobody that is connected.
3. Joined while nobody is connected, a socket is told what waits: it is the customer's, as a rule, and the protocol has nothing to
   tell it by. But what it was told counts as delivered only once it has proven itself; before, another one is told it again.
4. While several are connected nothing counts as delivered before the one that has it speaks again: it may be half dead.
"""

from typing import Final

from rasa_handoff.guard.recent import Recent
from rasa_handoff.server.clients import Client

NOT_PROVEN: Final = "Shown on a connection that hasn't written yet since it came; it may not have reached the customer."


MOST_NAMED: Final = 20
"""Conversations that one socket may have at a time; the protocol has one."""


class ClientSockets:
    """Of all conversations. ``sid``: a socket's id."""

    def __init__(self) -> None:
        # The conversations that each socket has named, the latest last.
        self._named: dict[str, list[Client]] = {}
        # The sockets of each conversation, the one that has it last.
        self._joined: dict[Client, list[str]] = {}
        self._proven: set[tuple[str, Client]] = set()
        # What a socket was told that doesn't count yet: lane -> (sid, entry).
        self._shown: dict[str, tuple[str, int]] = Recent()

    def client(self, sid: str) -> Client | None:
        """The conversation that a socket named last."""
        named = self._named.get(sid)
        return named[-1] if named else None

    def holder(self, client: Client) -> str | None:
        """The socket that has the conversation."""
        joined = self._joined.get(client)
        return joined[-1] if joined else None

    def join(self, sid: str, client: Client, *, proven: bool) -> None:
        """A socket has named the conversation, or has proven itself."""
        named = self._named.setdefault(sid, [])
        named[:] = [*(one for one in named if one != client), client]
        if len(named) > MOST_NAMED:
            self._let_go(sid, named.pop(0))
        joined = self._joined.setdefault(client, [])
        if proven:
            self._proven.add((sid, client))
        elif sid in joined:
            return
        holder = joined[-1] if joined else None
        if sid in joined:
            joined.remove(sid)
        joined.insert(len(joined) if proven or holder is None else len(joined) - 1, sid)

    def leave(self, sid: str) -> list[Client]:
        """A socket has gone; returns its conversations."""
        named = self._named.pop(sid, [])
        for client in named:
            self._let_go(sid, client)
        return named

    def _let_go(self, sid: str, client: Client) -> None:
        self._proven.discard((sid, client))
        self._joined[client].remove(sid)
        if not self._joined[client]:
            del self._joined[client]

    def counts(self, sid: str, client: Client) -> bool:
        """Whether what this socket is told is delivered."""
        return (sid, client) in self._proven and len(self._joined[client]) == 1

    def told(self, lane: str, sid: str) -> int:
        """The last entry of the lane that this socket was told without its counting."""
        shown = self._shown.get(lane)
        return shown[1] if shown is not None and shown[0] == sid else 0

    def note_told(self, lane: str, sid: str, key: int) -> None:
        """It was told this, and it doesn't count."""
        self._shown[lane] = (sid, key)

    def forget(self, lane: str) -> None:
        """All of it was delivered, or has ended."""
        self._shown.pop(lane, None)
