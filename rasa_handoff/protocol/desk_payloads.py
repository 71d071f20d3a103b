"""The payloads of ``/desk``: agents' browsers and the server (docs/protocol.md is made from them)."""

from typing import Annotated, Any, ClassVar, Final

from msgspec import Meta

from rasa_handoff.protocol.limits import LONGEST_MESSAGE
from rasa_handoff.protocol.message_parts import Parts
from rasa_handoff.protocol.payloads import Acknowledgement, ForeignId, HandoffId, Payload
from rasa_handoff.protocol.values import (
    Agent,
    Availability,
    BotState,
    Channel,
    Contact,
    Count,
    Line,
    Outcome,
    Priority,
    Speaker,
    Status,
    Value,
)

ARRIVAL: Final = "arrival"
"""The event of a Summary that is new in the queue; a Summary that changed is sent with the event ``conversation``."""

MOST_MEDIA: Final = 200
"""Files whose addresses may be asked for at once."""

# Values that desks show


class Message(Value, frozen=True, kw_only=True):
    """A message of a live conversation.

    ``id``: unique in its handoff. ``seq``: 1, 2, 3 ... in its handoff. ``speaker``: ``customer``, ``agent`` or ``system``.
    ``agent``: the agent's name. ``text``: as a person reads it. ``at``: when it was said. ``status``: where it is on its way to
    the customer: ``stored`` (the server has it), ``waiting`` (the customer will fetch it), ``delivered``, ``read`` (where their
    page says so), ``failed``. ``reason``: why it failed or waits. ``parts``: what it has beside text, in order; empty if the text
    says all.
    """

    id: str
    seq: int
    speaker: Speaker
    agent: str | None
    text: str
    at: float
    status: Status
    reason: str | None
    parts: Parts = ()


class EndSummary(Value, frozen=True, kw_only=True):
    """The end of a conversation.

    ``outcome``: what came of it, or why it ended. ``note``: the agent's. ``at``: when. ``followed_up``: after the outcome
    ``follow_up``, whether somebody has done it.
    """

    outcome: str
    note: str | None
    at: float
    followed_up: bool = False


class Summary(Payload, frozen=True, kw_only=True):
    """A conversation as a line of a list; replaces what the desk has. ``ended`` ones leave the lists, unless they are to be
    followed up.

    ``handoff_id``: its handoff. ``bot_id``: the bot. ``short_id``: the first eight digits of the SHA-256 of the conversation's
    id, as in log lines; browsers aren't told the id itself, because whoever knows it may be able to use the conversation.
    ``state``: ``queued``, ``assigned``, ``message`` (left to be answered) or ``ended``. ``title``: the contact's name or e-mail,
    else "Customer 3f2a". ``department``: the one it is queued in; null: for every agent. ``agent``: who has it. ``reason``: why
    the bot handed it over, cut. ``priority``: the queue is ordered by this, then by ``ahead``, then by ``queued_at``.
    ``language``: the customer's. ``channel``: the customer's. ``queued_at``: since when it is in the queue. ``assigned_at``: when
    it was taken. ``ahead``: whether it is queued before others of the same priority. ``reminders``: how often in a row its agent
    was reminded of the customer's words; from 2 on anybody who sees it may take it. ``customer_is_away``: whether no page of the
    customer's is open; false too where their channel doesn't know.
    ``last``: the last message, its text cut, without parts. ``words``: what the customer said last before the handoff.
    ``ended``: how it ended.
    """

    event = "conversation"

    handoff_id: str
    bot_id: str
    short_id: str
    state: str
    title: str
    department: str | None
    agent: Agent | None
    reason: str | None
    priority: Priority
    language: str | None
    channel: Channel
    queued_at: float
    assigned_at: float | None
    ahead: bool
    reminders: int
    customer_is_away: bool
    last: Message | None
    words: str | None
    ended: EndSummary | None


class WholeConversation(Summary, frozen=True, kw_only=True):
    """A Summary with all that the desk shows of the conversation; its ``reason`` is whole.

    ``contact``: the customer's. ``note``: the bot's. ``transcript``: what was said before the handoff. ``transcript_follows``:
    whether it comes later. ``bot``: what the bot knows. ``messages``: those said since.
    """

    contact: Contact
    note: str | None
    transcript: tuple[Line, ...]
    transcript_follows: bool
    bot: BotState
    messages: tuple[Message, ...]


class Me(Value, frozen=True, kw_only=True):
    """The agent at this desk.

    ``id``: the account's. ``name``: as customers see it. ``email``: they sign in with it. ``online``: whether they take
    conversations. ``departments``: those they serve; if it is empty, all. ``role``: ``agent``, ``supervisor`` or ``admin``.
    """

    id: str
    name: str
    email: str
    online: bool
    departments: tuple[str, ...]
    role: str = "agent"


class ReadyPayload(Availability, frozen=True, kw_only=True):
    """Everything that the desk shows, after every connect, with the departments as in ``availability``.

    ``me``: the agent. ``queue``: the conversations that wait. ``mine``: those this agent has. ``others``: those other agents
    have. ``messages``: messages that were left. ``outcomes``: what may be chosen at the end. ``follow_ups``: the newest of those
    that ended with ``follow_up`` and nobody has followed up. ``largest_file``: bytes of the largest picture or file that may be
    sent; null if none may be.
    """

    event: ClassVar[str] = "ready"

    me: Me | None
    queue: tuple[Summary, ...]
    mine: tuple[Summary, ...]
    others: tuple[Summary, ...]
    messages: tuple[Summary, ...]
    outcomes: tuple[Outcome, ...] = tuple(Outcome)
    follow_ups: tuple[Summary, ...] = ()
    largest_file: int | None = None


class ShownMessagePayload(Message, frozen=True, kw_only=True):
    """A message was said, by anybody. ``handoff_id``: in which handoff."""

    event: ClassVar[str] = "message"

    handoff_id: str


class ReminderPayload(Payload, frozen=True, kw_only=True):
    """The customer's words in a conversation of yours wait for an answer.

    ``handoff_id``: its handoff. ``seconds``: how long they have waited.
    """

    event = "reminder"

    handoff_id: str
    seconds: float


class DeletedPayload(Payload, frozen=True, kw_only=True):
    """Handoffs were deleted: they leave the desk at once, also one that is open. ``handoff_ids``: which."""

    event = "deleted"

    handoff_ids: tuple[str, ...]


class ConversationAnswer(Acknowledgement, frozen=True, kw_only=True):
    """The answer to ``take`` and ``open``. ``conversation``: the whole of it."""

    conversation: WholeConversation


class MessageAnswer(Acknowledgement, frozen=True, kw_only=True):
    """The answer to ``message``. ``message``: as it was kept."""

    message: Message


class MediaAnswer(Acknowledgement, frozen=True, kw_only=True):
    """The answer to ``media``.

    ``addresses``: by the ids of the files; what isn't there any more has none. Each is relative to the desk's own, and valid for
    a time.
    """

    addresses: dict[str, str]


# From the desk


class PresencePayload(Payload, frozen=True, kw_only=True):
    """The agent chose to be online or away. The server sends it to the agent's other tabs. ``online``: what they chose."""

    event = "presence"

    online: bool


class TakePayload(Payload, frozen=True, kw_only=True):
    """The agent takes a conversation. ``handoff_id``: its handoff."""

    event = "take"

    handoff_id: HandoffId


class OpenPayload(Payload, frozen=True, kw_only=True):
    """The agent opens a conversation. ``handoff_id``: its handoff. ``after``: only messages with a larger ``seq``."""

    event = "open"

    handoff_id: HandoffId
    after: Count = 0


class AgentMessagePayload(Payload, frozen=True, kw_only=True):
    """The agent writes.

    ``handoff_id``: the handoff. ``id``: made by the desk; sent again with the same one after a lost answer. ``text``: what they
    write, if that is all. ``parts``: else the whole message, words among them; files are named by the ids that they got when they
    were stored.
    """

    event = "message"

    handoff_id: HandoffId
    id: ForeignId
    text: Annotated[str, Meta(max_length=LONGEST_MESSAGE)] = ""
    parts: Parts = ()


class MediaPayload(Payload, frozen=True, kw_only=True):
    """The desk asks where pictures and files of a conversation are. ``handoff_id``: its handoff. ``ids``: which."""

    event = "media"

    handoff_id: HandoffId
    ids: Annotated[tuple[HandoffId, ...], Meta(max_length=MOST_MEDIA)]


class TransferPayload(Payload, frozen=True, kw_only=True):
    """The agent passes a conversation on. ``handoff_id``: its handoff. ``department``: to whom; null: to every agent."""

    event = "transfer"

    handoff_id: HandoffId
    department: str | None = None


class ResolvePayload(Payload, frozen=True, kw_only=True):
    """The agent ends a conversation. The customer is notified, unless it is a message that was left.

    ``handoff_id``: its handoff. ``outcome``: what came of it. ``note``: for the bot. ``slots``: values to set in the bot, by
    name.
    """

    event = "resolve"

    handoff_id: HandoffId
    outcome: Outcome
    note: Annotated[str, Meta(max_length=LONGEST_MESSAGE)] | None = None
    slots: dict[str, Any] = {}


class FollowedUpPayload(Payload, frozen=True, kw_only=True):
    """The agent has followed up a conversation that ended with the outcome ``follow_up``. ``handoff_id``: its handoff."""

    event = "followed_up"

    handoff_id: HandoffId
