"""The dead letters of a side, for ``rasa-handoff dead-letters``: look, send again, drop."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from sqlalchemy.engine import Connection

from rasa_handoff.admin.commands import Handler
from rasa_handoff.store.outbox import DeadLetter, Outbox
from rasa_handoff.vocabulary.errors import Refused
from rasa_handoff.vocabulary.values import plain

T = TypeVar("T")

LIST, SEND, DROP = "dead-letters.list", "dead-letters.send", "dead-letters.drop"
MOST: Final = 1_000
LATE: Final = "[sent late] {text}"
"""How words read that are sent again after newer ones."""

Road = tuple[str, str]
SendAgain = Callable[[Connection, DeadLetter], Road]
"""Puts a dead letter back into its lane, in a transaction; a :class:`Refused` if its handoff is over."""
Run = Callable[[Callable[[Connection], Any]], Awaitable[Any]]


class DeadLetters:
    """What can be done with the dead letters of one side, each in a transaction of its own."""

    def __init__(self, outbox: Outbox, send_again: SendAgain) -> None:
        self._outbox, self._send_again = outbox, send_again

    def list(self, connection: Connection) -> list[dict[str, Any]]:
        """The newest first."""
        return [plain(letter) for letter in self._outbox.set_aside_ones(connection, MOST)]

    def send(self, connection: Connection, number: int) -> Road:
        """Send it again; the lane it is in then.

        Raises:
            Refused: there is none of this number, its handoff is over, or it can't be read.
        """
        letter = self._outbox.dead_letter(connection, number)
        if letter is None:
            raise Refused("unknown", f"There is no dead letter {number}: see rasa-handoff dead-letters list.")
        try:
            road = self._send_again(connection, letter)
        except ValueError as problem:
            raise Refused("invalid", f"The dead letter {number} can't be read ({problem}): drop it.") from problem
        self._outbox.drop(connection, number)
        return road

    def drop(self, connection: Connection, number: int) -> None:
        """Forget it.

        Raises:
            Refused: there is none of this number.
        """
        if not self._outbox.drop(connection, number):
            raise Refused("unknown", f"There is no dead letter {number}: see rasa-handoff dead-letters list.")

    def handlers(self, run: Run, ring: Callable[[Road], None]) -> dict[str, Handler]:
        """For commands to a running side. ``run``: a transaction; ``ring``: a lane has something."""

        async def listed(_: Mapping[str, Any]) -> Any:
            return await run(self.list)

        async def sent(arguments: Mapping[str, Any]) -> None:
            number = int(arguments["number"])
            ring(await run(lambda connection: self.send(connection, number)))

        async def dropped(arguments: Mapping[str, Any]) -> None:
            number = int(arguments["number"])
            await run(lambda connection: self.drop(connection, number))

        return {LIST: listed, SEND: sent, DROP: dropped}


def late(text: str) -> str:
    """Words that are sent after newer ones say so."""
    return LATE.format(text=text)
