"""A customer's conversation as the relay knows it, and the states of control it can be in."""

import enum
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeAlias

from rasa_handoff.protocol import events
from rasa_handoff.protocol.effects import Effect, TellDesk, WriteTracker
from rasa_handoff.protocol.errors import HandoffError
from rasa_handoff.protocol.outbox_bodies import CustomerSaidBody, ReturnBody
from rasa_handoff.protocol.payloads import EndedPayload, MessagePayload
from rasa_handoff.protocol.values import ShownChoice, Speaker, Value


class Control(str, enum.Enum):
    """States of control.

    The desk is active in ``WAITING``, ``LIVE``, ``LEAVING`` (the customer was asked to confirm leaving) and ``MESSAGE`` (the
    customer is about to leave a message). ``PREPARING``: requested, but the transcript can't be read yet. In ``OFFLINE_MESSAGE``
    (about to leave a message while nobody is there) and ``CONTACT`` (it is left, and the customer was asked where they can be
    reached) the relay itself listens: neither the bot nor the desk is active. In ``RETURNING`` neither is, and the customer's
    messages wait.
    """

    BOT = "bot"
    PREPARING = "preparing"
    REQUESTED = "requested"
    WAITING = "waiting"
    LIVE = "live"
    LEAVING = "leaving"
    MESSAGE = "message"
    OFFLINE_MESSAGE = "offline_message"
    CONTACT = "contact"
    RETURNING = "returning"


AWAITING_DESK = frozenset({Control.PREPARING, Control.REQUESTED})
"""A handoff was requested and the desk hasn't answered: the bot is active, and the customer's messages wait."""
DESK_ACTIVE = frozenset({Control.WAITING, Control.LIVE, Control.LEAVING, Control.MESSAGE})
"""The customer's messages go to the desk."""
LEAVING_MESSAGE = frozenset({Control.OFFLINE_MESSAGE, Control.CONTACT})
"""The customer's messages are read by the relay."""


class Conversation(Value, frozen=True):
    """A customer's conversation as the relay knows it.

    ``titles``: the title of each button shown to the customer, by its payload. ``settable``: the slots that the desk may set.
    ``return_data``: what the channel needs to reach the customer again. ``filled_slot``: the slot that an open form filled
    with the handoff request, taken for the answer to its question. ``asked``: how often the customer was asked whether to go
    on waiting. ``wait``: how many seconds it is expected to take from the last known ``position`` on. ``reminded``: whether
    they were asked if they are still there (``asked`` in the desk's :class:`~rasa_handoff.core.assignment.Assignment`).
    ``ended``: how the last handoff ended, a reason such as ``customer_left``; ``resolved`` for every outcome that an agent
    chose. ``desk_away``: whether they got the notice that the desk can't be reached. ``has_contact``: whether an address or a
    number of theirs is known. ``asked_contact_again``: whether they answered the question for it with something else, and
    were asked once more. ``choices``: those of the question that is open, as the customer was shown them.
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
    wait: float | None = None
    ended: str | None = None
    titles: dict[str, str] = {}
    settable: tuple[str, ...] = ()
    return_data: dict[str, Any] = {}
    filled_slot: str | None = None
    asked: int = 0
    reminded: bool = False
    desk_away: bool = False
    has_contact: bool = False
    asked_contact_again: bool = False
    choices: tuple[ShownChoice, ...] = ()

    @property
    def desk_active(self) -> bool:
        """Whether the customer's messages go to the desk."""
        return self.state in DESK_ACTIVE

    @property
    def bypasses_bot(self) -> bool:
        """Whether the customer's messages go to the relay, for the desk or for itself, and not to the bot."""
        return self.desk_active or self.state in LEAVING_MESSAGE

    @property
    def active_party(self) -> dict[str, Any]:
        """The active party, as the customer's front end is told.

        ``active`` is ``"waiting"`` or ``"person"`` while the desk is active, else ``"bot"``. ``agent`` is the person's name, if
        it is known.
        """
        if self.state in (Control.LIVE, Control.LEAVING):
            return {"active": "person", "agent": self.agent}
        return {"active": "waiting" if self.desk_active else "bot", "agent": None}

    @property
    def place(self) -> dict[str, Any]:
        """The place in the queue, as a page that stays connected is told beside :attr:`active_party`; empty unless they wait.

        ``position`` begins at 1; ``wait``: the seconds that are expected. Both are null if they aren't known.
        """
        if self.active_party["active"] != "waiting":
            return {}
        return {"position": self.position, "wait": None if self.position is None else self.wait}

    def pass_on(self, said: events.CustomerSaid) -> tuple[Effect, ...]:
        """Return the effects that pass a customer's message on to the desk, and keep it in the tracker."""
        own: dict[str, Any] = {
            "handoff_id": str(self.handoff_id),
            "id": said.id,
            "text": said.text,
            "at": said.at,
            "parts": said.parts,
        }
        to_desk = TellDesk(payload=MessagePayload(speaker=Speaker.CUSTOMER, **own))
        return to_desk, WriteTracker(body=CustomerSaidBody(**own))

    def end_at_desk(self, reason: str) -> TellDesk:
        """Return the effect that ends the handoff at the desk."""
        return TellDesk(payload=EndedPayload(handoff_id=str(self.handoff_id), reason=reason))

    def give_back(
        self, outcome: str, speak: bool = True, note: str | None = None, slots: Mapping[str, Any] = MappingProxyType({})
    ) -> WriteTracker:
        """Return the effect that gives the conversation back to the bot. ``speak``: whether the bot then speaks first."""
        handoff_id = str(self.handoff_id)
        return WriteTracker(
            body=ReturnBody(handoff_id=handoff_id, outcome=outcome, speak=speak, note=note, slots=dict(slots))
        )


ControlStep: TypeAlias = tuple[Conversation, tuple[Effect, ...]]
"""The result of a step of control: the conversation as it is now, and the effects."""


class IllegalEvent(HandoffError):
    """The event is illegal in this state. Nothing was changed."""
