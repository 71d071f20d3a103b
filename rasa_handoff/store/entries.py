"""The rows of the outbox: entries, and dead letters, which are entries that were set aside."""

from types import UnionType
from typing import Any, TypeVar, overload

import msgspec

from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.values import Value, plain, read

T = TypeVar("T")


class Entry(Value, frozen=True):
    """Something to be delivered.

    ``lane``: usually the conversation's id. ``name``: its kind. ``body``: as stored, JSON-ready; it is made from a struct by
    :meth:`of`, and :meth:`read` reads it as one. ``key``: its number in the database; 0 before it is put.
    """

    target: str
    lane: str
    name: str
    body: dict[str, Any]
    key: int = 0

    @classmethod
    def of(cls, target: str, lane: str, name: str, body: msgspec.Struct) -> "Entry":
        """Return an entry with this body."""
        return cls(target=target, lane=lane, name=name, body=plain(body))

    @overload
    def read(self, kind: type[T]) -> T: ...
    @overload
    def read(self, kind: UnionType) -> Any: ...
    def read(self, kind: Any) -> Any:
        """Return the body as a value of this kind.

        Raises:
            Refused: it can't be read so, which makes a dead letter of the entry.
        """
        try:
            return read(kind, self.body)
        except Refused as problem:
            raise Refused(problem.code, f"Its body can't be read: {problem}") from problem

    @property
    def lane_key(self) -> tuple[str, str]:
        """Target and lane: what the dispatcher is notified of after the commit."""
        return self.target, self.lane

    @property
    def id(self) -> str | None:
        """The id in its body; None if there is none.

        A malformed body is tolerated: such an entry is set aside only when it is due for delivery.
        """
        return self._named("id")

    @property
    def handoff_id(self) -> str | None:
        """The handoff id in its body; None if there is none."""
        return self._named("handoff_id")

    def _named(self, key: str) -> str | None:
        value = self.body.get(key) if isinstance(self.body, dict) else None
        return value if isinstance(value, str) else None


class DeadLetter(Value, frozen=True, kw_only=True):
    """An entry that was set aside.

    ``at``: when it was accepted, ``set_aside_at``: when it was given up, in seconds since 1970. ``text``: its body as stored,
    which may not be valid JSON.
    """

    number: int
    target: str
    lane: str
    name: str
    text: str
    at: float
    set_aside_at: float
    reason: str

    @property
    def entry(self) -> Entry:
        """The entry as it was in the outbox.

        Raises:
            ValueError: its body can't be read.
        """
        return Entry(target=self.target, lane=self.lane, name=self.name, body=read_body(self.text))


def read_body(text: str) -> dict[str, Any]:
    """Return the body of an entry, as it is stored.

    Raises:
        ValueError: it is no JSON object.
    """
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as problem:
        raise ValueError(str(problem)) from problem
