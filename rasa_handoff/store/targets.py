"""Targets: what receives the entries of the outbox, and what follows from a delivery."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, runtime_checkable

from rasa_handoff.store.outbox import Entry

Finish = Callable[[Sequence[Entry], Any], Awaitable[None]]
"""Removes delivered entries and writes what follows from their delivery, in one transaction; the second argument is what the
target returned."""
SetAside = Callable[[Entry, str], Awaitable[None]]
"""Makes a dead letter of an entry and notifies its sender, in one transaction; the second argument is the reason, in one line."""


class Target(Protocol):
    """A receiver of entries. ``batch``: how many entries of one lane it takes at once. ``recognises``: whether it knows an entry
    that it got before, so that one may come again after a crash."""

    batch: int
    recognises: bool

    async def deliver(self, lane: str, entries: Sequence[Entry]) -> Any:
        """Deliver all entries, in order, and return what follows from it, for ``finish``."""
        ...


@runtime_checkable
class Patient(Protocol):
    """A target whose calls are expensive: waits briefly for a batch."""

    def patience(self, entries: Sequence[Entry]) -> float:
        """Return how many seconds to wait for more entries before delivering these; 0: deliver now."""
        ...


@runtime_checkable
class Located(Protocol):
    """A target whose receivers are each connected to one of the processes that share the database."""

    async def process_of(self, lane: str) -> str | None:
        """Return the process that reaches this lane's receiver, if it isn't this one; None: this one does, or none."""
        ...

    def keeps(self, lane: str) -> bool:
        """Return whether this process is about to deliver what rests in this lane in another way, so that no other may."""
        ...
