"""Answers in the making, those given, and what came too late for one.

Platforms tell a repeated call by a message's key. Each conversation's last answer is kept in this process, so that a repeated
call gets the same. Of older ones, and after a restart, the tracker knows: it has each message's id (``rasa_room/retold.py``).
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from rasa.core.channels.channel import OutputChannel

from rasa_handoff.vocabulary.log_values import get_log, short_id

log = get_log(__name__)

MOST: Final = 2_000
"""Conversations whose last answer is kept; and those with something that came too late."""


Say = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""Says one of Rasa's messages to a conversation when there is no call to answer."""


class Answer(OutputChannel):
    """One answer, filled by the bot. ``given``: how many messages had gone out when it had to; None while it may be filled.
    Rasa keeps it for reminders: when its turn is ``over``, it speaks ``outside``."""

    has_own_desk = True
    """HandoffChannel leaves what is said on it alone."""

    def __init__(self, outside: Say) -> None:
        self._outside = outside
        self.messages: list[Any] = []
        self.given: int | None = None
        self.over = False

    @abstractmethod
    def rendered(self, message: dict[str, Any]) -> list[Any]:
        """One of Rasa's messages as the platform's."""

    async def send_response(self, recipient_id: str, message: dict[str, Any]) -> None:
        """All of one of Rasa's messages at once: a text and its buttons are one message there too."""
        if self.over:
            await self._outside(recipient_id, message)
        else:
            self.messages.extend(self.rendered(message))

    async def send_text_message(self, recipient_id: str, text: str, **kwargs: Any) -> None:
        """For code that doesn't go by ``send_response``."""
        await self.send_response(recipient_id, {"text": text})

    def give(self) -> list[Any]:
        """It goes out now, as far as it is."""
        self.given = len(self.messages)
        return list(self.messages)

    @property
    def late(self) -> list[Any]:
        """What came after it had gone out."""
        return [] if self.given is None else self.messages[self.given :]


class Answers:
    """Bounded memories, by conversation: the last answer with its message's key, and what is still to be said."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[str, Answer]] = {}
        self._late: dict[str, list[Any]] = {}

    def known(self, conversation_id: str, key: str | None) -> list[Any] | None:
        """What this message was answered with, if it was the last one. What came too late for that goes another way, once."""
        last_key, answer = self._last.get(conversation_id, (None, None))
        return answer.messages[: answer.given] if answer is not None and last_key == key else None

    def keep(self, conversation_id: str, key: str | None, answer: Answer) -> None:
        """The answer is complete."""
        self._last.pop(conversation_id, None)
        if key is not None:
            put(self._last, conversation_id, (key, answer))

    def leave(self, conversation_id: str, late: list[Any]) -> None:
        """These came too late, and are to go out with the next answer, behind those that wait already."""
        if late:
            put(self._late, conversation_id, [*self._late.get(conversation_id, ()), *late])

    def take_late(self, conversation_id: str) -> list[Any]:
        """What came too late for the answers before; it goes out with this one."""
        return self._late.pop(conversation_id, [])


def put(memory: dict[Any, Any], name: Any, value: Any) -> None:
    """Into a bounded memory, whose oldest is forgotten."""
    memory.pop(name, None)
    memory[name] = value
    if len(memory) > MOST:
        oldest = next(iter(memory))
        if isinstance(memory.pop(oldest), list):
            log.warning(
                "What %s was still to be told is forgotten: more than %s conversations wait.", short_id(oldest), MOST
            )
