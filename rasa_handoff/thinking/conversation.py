"""A customer's conversation as the relay knows it, and the states of control it can be in."""

import enum
from typing import Any

from rasa_handoff.vocabulary.errors import HandoffError
from rasa_handoff.vocabulary.values import Value


class Control(str, enum.Enum):
    """States of control. The desk is active in ``WAITING``, ``LIVE``, ``LEAVING`` (asked to confirm) and ``MESSAGE`` (about to
    leave one). A request whose transcript can't be read now is ``PREPARING``."""

    BOT = "bot"
    PREPARING = "preparing"
    REQUESTED = "requested"
    WAITING = "waiting"
    LIVE = "live"
    LEAVING = "leaving"
    MESSAGE = "message"
    RETURNING = "returning"


ASKED = frozenset({Control.PREPARING, Control.REQUESTED})
"""A person was asked for, and the desk hasn't answered: the bot is active, and what the customer says waits."""
DESK_ACTIVE = frozenset({Control.WAITING, Control.LIVE, Control.LEAVING, Control.MESSAGE})


class Conversation(Value, frozen=True):
    """A customer's conversation as the relay knows it.

    ``titles``: how the payloads of the buttons they have read. ``settable``: the slots the desk may set. ``return_data``:
    what the channel needs to write to them again. ``untake``: the slot of an open form that took the request as its answer.
    ``asked``: how often they were asked whether to go on waiting. ``reminded``: whether they were asked if they are still
    there. ``desk_away``: whether they were told that the desk can't be reached.
    """

    conversation_id: str
    state: Control = Control.BOT
    handoff_id: str | None = None
    channel: str | None = None
    language: str | None = None
    leaving_word: str = "disconnect"
    department: str | None = None
    agent: str | None = None
    position: int | None = None
    ended: str | None = None
    titles: dict[str, str] = {}
    settable: tuple[str, ...] = ()
    return_data: dict[str, Any] = {}
    untake: str | None = None
    asked: int = 0
    reminded: bool = False
    desk_away: bool = False

    @property
    def desk_active(self) -> bool:
        """Whether what the customer types belongs to the desk."""
        return self.state in DESK_ACTIVE

    @property
    def shown(self) -> dict[str, Any]:
        """Whom the customer has now, for their front end: ``active`` is ``"bot"``, ``"waiting"`` or ``"person"``, ``agent`` the
        person's name if it is known."""
        if self.state in (Control.LIVE, Control.LEAVING):
            return {"active": "person", "agent": self.agent}
        return {"active": "waiting" if self.desk_active else "bot", "agent": None}


class IllegalEvent(HandoffError):
    """The table has no way from this state by this event. Nothing was changed."""
