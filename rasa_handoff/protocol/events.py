"""Events of a conversation on the relay's side. Channels and desks create them; the relay applies them.

``handoff_id`` is the handoff that an event belongs to. The customer's own events have none and concern the current one. An event
of an older handoff changes nothing.
"""

from typing import Any

from rasa_handoff.protocol.message_parts import AnyPart
from rasa_handoff.protocol.values import Agent, Department, Offer, Rating, ShownChoice, Status, Value


class Event(Value, frozen=True, tag=True):
    """Base of all events.

    ``number``: set on the desk's events and increasing per handoff; one that isn't higher than the last is a repetition.
    ``inbox_id``: the id in the inbox of the customer's message that caused this event, if its sender gave it one; applying the
    event marks the message as done there.
    ``is_first``: the inbox isn't known to have that message; applying the event adds it.
    """

    conversation_id: str
    handoff_id: str | None = None
    number: int | None = None
    inbox_id: str | None = None
    is_first: bool = False


# From the bot's side


class HandoffRequested(Event, frozen=True, kw_only=True):
    """The bot's turn ended in a handoff request.

    ``titles``: the titles of the buttons shown to the customer, by payload. ``filled_slot``: the slot that an open form filled
    with the request itself, taken for the answer to its question. ``message_id``: the message that requested the handoff.
    """

    offer: Offer
    leaving_word: str
    titles: dict[str, str] = {}
    return_data: dict[str, Any] = {}
    filled_slot: str | None = None
    message_id: str | None = None


class TranscriptAwaited(HandoffRequested, frozen=True, kw_only=True):
    """A handoff request while the tracker can't be read: the transcript of the offer follows."""


class MessageBegun(HandoffRequested, frozen=True, kw_only=True):
    """Nobody is there, and the customer wants to leave a message. The desk gets the offer with the message."""


class TranscriptRead(Event, frozen=True, kw_only=True):
    """The tracker could be read: ``offer`` is complete; the other fields are as in :class:`HandoffRequested`."""

    offer: Offer
    titles: dict[str, str] = {}
    filled_slot: str | None = None


class TranscriptTimedOut(Event, frozen=True, kw_only=True):
    """The tracker couldn't be read in time: the handoff is offered without a transcript."""


class HandoffAdopted(Event, frozen=True, kw_only=True):
    """The desk has a conversation that this relay doesn't know, because its database was lost."""

    offer: Offer
    leaving_word: str
    channel: str


class StartTimedOut(Event, frozen=True, kw_only=True):
    """The desk didn't answer the offer in time, or the process ended before it did."""


class Returned(Event, frozen=True, kw_only=True):
    """The tracker is complete and the bot has spoken. ``words``: its messages as Rasa's dicts, in order."""

    words: tuple[dict[str, Any], ...] = ()


# From the customer


class CustomerEvent(Event, frozen=True, kw_only=True):
    """Base of the customer's events.

    ``channel``: where the event came from, and where the customer gets messages from then on. ``return_data``: what that channel
    needs to reach them.
    """

    channel: str | None = None
    return_data: dict[str, Any] = {}


class CustomerSaid(CustomerEvent, frozen=True, kw_only=True):
    """The customer wrote.

    ``id``: unique in the conversation. ``text``: as a person reads it. ``parts``: what it has beside text, as in
    ``protocol/message_parts.py``.
    """

    id: str
    text: str
    at: float
    parts: tuple[AnyPart, ...] = ()


class CustomerLeaving(CustomerEvent, frozen=True, kw_only=True):
    """The customer typed the leaving word, or chose to leave. ``confirmed``: they were asked whether they want to."""

    id: str
    text: str
    at: float
    confirmed: bool = False


class CustomerAskedAgain(CustomerEvent, frozen=True, kw_only=True):
    """The customer requested a handoff while one is under way."""


class CustomerChoseToWait(CustomerEvent, frozen=True, kw_only=True):
    """The customer, asked because nobody came, chose to go on waiting."""


class CustomerWantsToWrite(CustomerEvent, frozen=True, kw_only=True):
    """The customer, asked because nobody came, chose to leave a message."""


# From the desk


class HandoffAccepted(Event, frozen=True, kw_only=True):
    """The desk took the offer into its queue. From here on the desk is active.

    ``elsewhere``: the department that has it, if that isn't the one that was asked for.
    """

    position: int | None = None
    wait: float | None = None
    elsewhere: Department | None = None


class HandoffRefused(Event, frozen=True, kw_only=True):
    """The desk refused the offer. ``code`` as in docs/protocol.md."""

    code: str
    sentence: str = ""


class PositionChanged(Event, frozen=True, kw_only=True):
    """The position in the queue has changed."""

    position: int | None = None
    wait: float | None = None


class AgentJoined(Event, frozen=True, kw_only=True):
    """An agent took the conversation."""

    agent: Agent


class HandoffTransferred(Event, frozen=True, kw_only=True):
    """The conversation was queued again, in another department or for anybody."""

    department: str | None = None


class AgentSaid(Event, frozen=True, kw_only=True):
    """An agent wrote. ``id``: unique in the handoff. ``parts``: what it has beside text."""

    id: str
    text: str
    at: float
    agent: str | None = None
    parts: tuple[AnyPart, ...] = ()


class HandoffCompleted(Event, frozen=True, kw_only=True):
    """The agent or the desk ended the handoff: outcome, note and slots go to the bot."""

    outcome: str = "resolved"
    note: str | None = None
    slots: dict[str, Any] = {}


class HandoffFailed(Event, frozen=True, kw_only=True):
    """The desk gave up: the agent is gone, the desk is closed, or nobody wrote."""

    reason: str


class DeskLost(Event, frozen=True, kw_only=True):
    """The desk hasn't been reachable for a while; messages for it wait."""


class DeskBack(Event, frozen=True, kw_only=True):
    """The desk is reachable again."""


class DeskForgot(Event, frozen=True, kw_only=True):
    """The desk has lost the handoff (another epoch): it is offered again, with what was said since."""

    offer: Offer


# Timers that are due (core/control_timers.py); our live-agent server has timers too, and reports two of these by itself


class NobodyCame(Event, frozen=True, kw_only=True):
    """Nobody has taken the conversation for a while."""


class AgentFellSilent(Event, frozen=True, kw_only=True):
    """The agent hasn't answered the customer for a long while."""


class NobodyWillCome(Event, frozen=True, kw_only=True):
    """Nobody came, the customer didn't choose, and the setting is to return to the bot."""


class CustomerFellSilent(Event, frozen=True, kw_only=True):
    """The customer hasn't answered a delivered message: they are asked whether they are there."""


class CustomerIsGone(Event, frozen=True, kw_only=True):
    """The customer was asked whether they are there, and hasn't answered."""


class DeskStayedAway(Event, frozen=True, kw_only=True):
    """The desk hasn't been reachable for a long while."""


class MessageTimedOut(Event, frozen=True, kw_only=True):
    """The customer wanted to leave a message but wrote none; or has left one, and doesn't say where to reach them."""


class SilenceTooLong(Event, frozen=True, kw_only=True):
    """Neither side has written for so long that the handoff counts as over."""


class ReturnTimedOut(Event, frozen=True, kw_only=True):
    """The tracker couldn't be written in time: the bot gets the conversation although the tracker lacks the return."""


class CustomerRated(Event, frozen=True, kw_only=True):
    """The customer says what they think of their last handoff, which may be over."""

    rating: Rating
    at: float


# From delivery to the customer


class MessageReported(Event, frozen=True, kw_only=True):
    """The status of an agent's message on its way to the customer.

    ``customer_is_away``: whether it waits for the customer to come back, and not for their channel. ``choices``: those that it
    shows.
    """

    message_id: str
    status: Status
    reason: str | None = None
    customer_is_away: bool = False
    choices: tuple[ShownChoice, ...] = ()


class NoticeShown(Event, frozen=True, kw_only=True):
    """A notice of the relay was shown to the customer, with this ``text``. ``choices``: those of a question."""

    id: str
    text: str
    at: float
    response: str
    choices: tuple[ShownChoice, ...] = ()


class CustomerMessageNotDelivered(Event, frozen=True, kw_only=True):
    """A customer's message can't be delivered to the desk, which would refuse it each time."""

    text: str


DeskEvent = (
    HandoffAccepted
    | HandoffRefused
    | PositionChanged
    | AgentJoined
    | HandoffTransferred
    | AgentSaid
    | HandoffCompleted
    | HandoffFailed
)
