"""The dead letters of a side, for ``rasa-handoff dead-letters``: list, send again, drop."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from sqlalchemy.engine import Connection

from rasa_handoff.admin.commands import Handler
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.values import plain
from rasa_handoff.store.lanes import LaneKey
from rasa_handoff.store.outbox import DeadLetter, Outbox

T = TypeVar("T")

LIST, SEND, DROP = "dead-letters.list", "dead-letters.send", "dead-letters.drop"
MOST: Final = 1_000
LATE: Final = "[sent late] {text}"
"""How the text of a message begins that is sent again after newer ones."""

SendAgain = Callable[[Connection, DeadLetter], LaneKey]
"""Puts a dead letter back into its lane, in a transaction; raises :class:`Refused` if its handoff has ended."""
Run = Callable[[Callable[[Connection], Any]], Awaitable[Any]]


class DeadLetters:
    """The operations on the dead letters of one side, each in a transaction of its own."""

    def __init__(self, outbox: Outbox, send_again: SendAgain) -> None:
        self._outbox, self._send_again = outbox, send_again

    def list(self, connection: Connection) -> list[dict[str, Any]]:
        """Return the dead letters, the newest first."""
        return [plain(letter) for letter in self._outbox.list_dead_letters(connection, MOST)]

    def send(self, connection: Connection, number: int) -> LaneKey:
        """Send a dead letter again, and return the key of its lane.

        Raises:
            Refused: there is none with this number, its handoff has ended, or it can't be read.
        """
        letter = self._outbox.dead_letter(connection, number)
        if letter is None:
            raise Refused("unknown", f"There is no dead letter {number}: see rasa-handoff dead-letters list.")
        try:
            lane_key = self._send_again(connection, letter)
        except ValueError as problem:
            raise Refused("invalid", f"The dead letter {number} can't be read ({problem}): drop it.") from problem
        self._outbox.drop(connection, number)
        return lane_key

    def drop(self, connection: Connection, number: int) -> None:
        """Delete a dead letter.

        Raises:
            Refused: there is none with this number.
        """
        if not self._outbox.drop(connection, number):
            raise Refused("unknown", f"There is no dead letter {number}: see rasa-handoff dead-letters list.")

    def handlers(self, run: Run, notify: Callable[[LaneKey], None]) -> dict[str, Handler]:
        """Return the handlers for a running side. ``run`` executes work in a transaction; ``notify`` notifies a lane."""

        async def listed(_: Mapping[str, Any]) -> Any:
            return await run(self.list)

        async def sent(arguments: Mapping[str, Any]) -> None:
            number = int(arguments["number"])
            notify(await run(lambda connection: self.send(connection, number)))

        async def dropped(arguments: Mapping[str, Any]) -> None:
            number = int(arguments["number"])
            await run(lambda connection: self.drop(connection, number))

        return {LIST: listed, SEND: sent, DROP: dropped}


def late(text: str) -> str:
    """Mark the text of a message that is sent after newer ones."""
    return LATE.format(text=text)
