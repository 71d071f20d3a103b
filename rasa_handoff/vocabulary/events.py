"""What can happen to a conversation, from the relay's point of view. Every edge speaks in these; the relay applies them.

``handoff_id`` names the handoff an event belongs to; the customer's own events have none and concern the current one.
An event of an older handoff changes nothing.
"""

from typing import Any

from rasa_handoff.vocabulary.values import Agent, Offer, Status, Value


class Event(Value, frozen=True, tag=True):
    """Base of all events. ``number``: of an event of the desk's, counted up per handoff; one that isn't new came before.
    ``sent``: the id their side gave the customer's message it came with, which is then done for."""

    conversation_id: str
    handoff_id: str | None = None
    number: int | None = None
    sent: str | None = None


# From the bot's side


class HandoffRequested(Event, frozen=True, kw_only=True):
    """The bot's turn ended in a request. ``titles``: payloads of buttons the customer has, and how they read.

    ``untake``: the slot of an open form that took the request itself as its answer. ``message_id``: the message that asked.
    """

    offer: Offer
    leaving_word: str
    titles: dict[str, str] = {}
    return_data: dict[str, Any] = {}
    untake: str | None = None
    message_id: str | None = None


class TranscriptAwaited(HandoffRequested, frozen=True, kw_only=True):
    """The same, while the tracker can't be read: what the offer says of the conversation so far follows."""


class TranscriptRead(Event, frozen=True, kw_only=True):
    """The tracker could be read: ``offer`` with all that was missing; the rest as in :class:`HandoffRequested`."""

    offer: Offer
    titles: dict[str, str] = {}
    untake: str | None = None


class TranscriptTimedOut(Event, frozen=True, kw_only=True):
    """The tracker couldn't be read in time: the handoff is offered without what was said before."""


class HandoffAdopted(Event, frozen=True, kw_only=True):
    """The desk has a conversation that this relay had forgotten (its database was lost)."""

    offer: Offer
    leaving_word: str
    channel: str


class StartTimedOut(Event, frozen=True, kw_only=True):
    """The desk didn't answer the offer in time, or the process ended before it did."""


class Returned(Event, frozen=True, kw_only=True):
    """The tracker has everything and the bot has spoken; ``words`` are Rasa's message dicts, in order."""

    words: tuple[dict[str, Any], ...] = ()


# From the customer


class CustomerEvent(Event, frozen=True, kw_only=True):
    """Base of what the customer does. ``channel``: the one they do it on, where they are told from then on; ``return_data``: what
    that needs to reach them."""

    channel: str | None = None
    return_data: dict[str, Any] = {}


class CustomerSaid(CustomerEvent, frozen=True, kw_only=True):
    """The customer's words, as a person reads them. ``id`` is unique for the conversation."""

    id: str
    text: str
    at: float


class CustomerLeaving(CustomerEvent, frozen=True, kw_only=True):
    """The customer typed the leaving word."""

    id: str
    text: str
    at: float


class CustomerAskedAgain(CustomerEvent, frozen=True, kw_only=True):
    """The customer pressed for a handoff while one is under way."""


class CustomerChose(CustomerEvent, frozen=True, kw_only=True):
    """They were asked because nobody came, and go on waiting. (Going back to the bot is leaving.)"""


class CustomerWantsToWrite(CustomerEvent, frozen=True, kw_only=True):
    """They were asked because nobody came, and would rather leave a message."""


# From the desk


class HandoffAccepted(Event, frozen=True, kw_only=True):
    """The desk took the offer into its queue. From here on the desk is active."""

    position: int | None = None
    wait: float | None = None


class HandoffRefused(Event, frozen=True, kw_only=True):
    """The desk said no. ``code`` as in docs/protocol.md."""

    code: str
    sentence: str = ""


class PositionChanged(Event, frozen=True, kw_only=True):
    """Another place in the queue."""

    position: int | None = None
    wait: float | None = None


class AgentJoined(Event, frozen=True, kw_only=True):
    """An agent took the conversation."""

    agent: Agent


class HandoffTransferred(Event, frozen=True, kw_only=True):
    """Queued again, in another department or for anybody."""

    department: str | None = None


class AgentSaid(Event, frozen=True, kw_only=True):
    """An agent's words. ``id`` is unique in the handoff."""

    id: str
    text: str
    at: float
    agent: str | None = None


class HandoffCompleted(Event, frozen=True, kw_only=True):
    """The agent, or the desk, ended it: outcome, note and slot changes go to the bot."""

    outcome: str = "resolved"
    note: str | None = None
    slots: dict[str, Any] = {}


class HandoffFailed(Event, frozen=True, kw_only=True):
    """The desk gave up: agent gone, closed, silence."""

    reason: str


class DeskLost(Event, frozen=True, kw_only=True):
    """The desk hasn't been reached for a while; what is said is kept."""


class DeskBack(Event, frozen=True, kw_only=True):
    """The desk is reached again."""


class DeskForgot(Event, frozen=True, kw_only=True):
    """The desk's database was lost (another epoch): the handoff is offered again, with what was said."""

    offer: Offer


# From the clock: each is a timer that was due (thinking/timing.py)


class NobodyCame(Event, frozen=True, kw_only=True):
    """Nobody has taken the conversation for a while."""


class AgentFellSilent(Event, frozen=True, kw_only=True):
    """The customer's words have gone unanswered for a long while."""


class NobodyWillCome(Event, frozen=True, kw_only=True):
    """Nobody has come, the customer hasn't chosen, and the setting says: back to the bot."""


class CustomerFellSilent(Event, frozen=True, kw_only=True):
    """The customer hasn't answered what was delivered to them: they are asked whether they are there."""


class CustomerIsGone(Event, frozen=True, kw_only=True):
    """They were asked, and haven't answered that either."""


class DeskStayedAway(Event, frozen=True, kw_only=True):
    """The desk couldn't be reached for a long while."""


class MessageTimedOut(Event, frozen=True, kw_only=True):
    """The customer wanted to leave a message and wrote none."""


class SilenceTooLong(Event, frozen=True, kw_only=True):
    """Nobody has said anything for so long that it can only be over."""


class ReturnTimedOut(Event, frozen=True, kw_only=True):
    """The tracker couldn't be written for so long that the bot gets the conversation without."""


# From the last hop


class MessageReported(Event, frozen=True, kw_only=True):
    """What has become of a message on its way to the customer."""

    message_id: str
    status: Status
    reason: str | None = None


class NoticeShown(Event, frozen=True, kw_only=True):
    """The customer has read a notice of the relay's; ``text`` is how it read."""

    id: str
    text: str
    at: float
    response: str


class WordsNotDelivered(Event, frozen=True, kw_only=True):
    """The customer's words can't be passed on to the desk: it would refuse them each time."""

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
