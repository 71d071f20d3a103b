"""The payloads of ``/relay``, in both directions (docs/protocol.md is made from them, by ``tools/protocol_tables.py``).

Each is written and read with its struct on both sides: :func:`~rasa_handoff.protocol.values.plain` and
:func:`~rasa_handoff.protocol.values.read`. A field that isn't known, from a newer peer, is ignored; a missing or wrong one is
refused with its name. The outbox keeps what is durable as these structs too.
"""

from typing import Annotated, Any, ClassVar, Final

import msgspec
from msgspec import Meta

from rasa_handoff.protocol.handshake import FORMAT
from rasa_handoff.protocol.limits import LONGEST_ID, LONGEST_REASON
from rasa_handoff.protocol.message_parts import Parts
from rasa_handoff.protocol.values import (
    Agent,
    Availability,
    Comment,
    Contact,
    Count,
    Department,
    Moment,
    Offer,
    Score,
    Seconds,
    Speaker,
    Status,
    Transcript,
    Value,
)

ForeignId = Annotated[
    str, Meta(min_length=1, max_length=LONGEST_ID, pattern=r"^[^\x00-\x20\x7f-\xa0\u2028\u2029\ud800-\udfff]+\Z")
]
"""An id that another system made, such as a message's or a bot's: anything without blanks and controls, which would forge lines
of a log or hide in a page."""
HandoffId = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID, pattern=r"^[A-Za-z0-9._:@+=~/-]+\Z")]
"""An id that relays make; the desk's page has it in addresses and attributes."""
ConversationId = Annotated[str, Meta(min_length=1, max_length=LONGEST_ID)]
"""An id of the customer's channel. A customer may choose it, so it is escaped wherever it is shown."""
Reason = Annotated[str, Meta(max_length=LONGEST_REASON)]


AVAILABILITY: Final = "availability"
"""The event that carries an :class:`~rasa_handoff.protocol.values.Availability`."""


class Payload(Value, frozen=True, kw_only=True):
    """Base of all payloads. ``event``: the name of the Socket.IO event that carries it."""

    event: ClassVar[str] = ""


class DurablePayload(Payload, frozen=True, kw_only=True):
    """Base of the payloads that are sent again until they are acknowledged.

    ``handoff_id``: the handoff it belongs to. ``id``: unique in its handoff; the receiver drops what it has. ``number``: 1, 2, 3
    ... in its handoff and direction.
    """

    handoff_id: HandoffId
    id: ForeignId | None = None
    number: Count | None = None


# The handshake


class RelayAuthPayload(Payload, frozen=True, kw_only=True):
    """The ``auth`` of a relay's connect.

    ``format``: the name of our format, by which a peer is known. ``protocol``: the version that the relay speaks. ``bot_id``: the
    bot that it speaks for. ``token``: needed if the server has a token for this bot. ``epoch``: of the relay's database; while a
    relay that gave its epoch is connected, another one for the same bot that gives none is refused.
    """

    protocol: Count
    bot_id: ForeignId
    format: str = FORMAT
    token: str | None = None
    epoch: ForeignId | None = None


class OpenHandoffPayload(Payload, frozen=True, kw_only=True):
    """A handoff that is open at a relay.

    ``handoff_id``: the handoff. ``last``: the ``number`` of the last payload that the relay has received in it. ``words``: the
    ``id`` of the last message of an agent that the relay has received in it. ``customer_is_away``: as in
    CustomerPresencePayload, the opposite of ``here``.
    """

    handoff_id: HandoffId
    last: Count = 0
    words: str | None = None
    customer_is_away: bool = False


class HelloPayload(Payload, frozen=True, kw_only=True):
    """The handoffs that the relay has under way.

    ``open``: an OpenHandoffPayload for each open handoff. They are read one by one, and one that can't be read is
    skipped. So is a bare handoff id, which a relay sends that keeps no numbers.
    """

    event = "hello"

    open: tuple[Any, ...] = ()


class KnownHandoffPayload(Payload, frozen=True, kw_only=True):
    """A handoff that the server knows.

    ``handoff_id``: the handoff. ``last``: the ``id`` of the last payload of the relay's that the server has accepted in
    it (in OpenHandoffPayload, ``last`` is a number).
    """

    handoff_id: str
    last: str


class WelcomePayload(Availability, frozen=True, kw_only=True):
    """The server's answer to ``hello``, with the departments as in ``availability``. A server that doesn't send one isn't ours.

    ``format``: the name of our format, by which a peer is known. ``protocol``: the version that the server speaks. ``epoch``: of
    the server's database. ``server``: the version of its package. ``open``: the handoffs of the ``hello`` that it has.
    ``unknown``: those that it hasn't, because its database was lost or is an earlier copy. ``transcript_follows``: whether it
    accepts a transcript after the offer. ``events``: those that it accepts from a relay; null from a server that doesn't say.
    ``largest_file``: bytes of the largest picture or file that it keeps; null if it keeps none, and messages with one are to say
    so in words.
    """

    event: ClassVar[str] = "welcome"

    protocol: Count
    epoch: str
    format: str = FORMAT
    server: str = ""
    open: tuple[KnownHandoffPayload, ...] = ()
    unknown: tuple[str, ...] | None = None
    transcript_follows: bool = False
    events: tuple[str, ...] | None = None
    largest_file: int | None = None


# The offer


class OfferPayload(Offer, frozen=True, kw_only=True):
    """A handoff that is offered. Sent again with the same ``handoff_id`` it is answered the same way and changes nothing.

    ``id``: unique in its handoff. ``number``: 1, 2, 3 ... in its handoff and direction. ``resumed``: whether the server had the
    handoff before and its database has lost it; then it is queued ahead of the others, also if no agent is online. ``left``:
    whether it is a message to be answered later; then it isn't queued, and nobody has to be online.
    """

    event: ClassVar[str] = "handoff.initiate"

    handoff_id: HandoffId
    conversation_id: ConversationId
    bot_id: ForeignId
    id: ForeignId | None = None
    number: Count | None = None
    resumed: bool = False
    left: bool = False

    @classmethod
    def of(cls, offer: Offer, resumed: bool = False, left: bool = False) -> "OfferPayload":
        """Return the payload of an offer."""
        return cls(**{name: getattr(offer, name) for name in Offer.__struct_fields__}, resumed=resumed, left=left)

    @property
    def offer(self) -> Offer:
        """The offer alone."""
        return Offer(**{name: getattr(self, name) for name in Offer.__struct_fields__})


class TranscriptPayload(Transcript, frozen=True, kw_only=True):
    """The part that an offer with ``transcript_follows`` lacked.

    It is sent once, also after the end of the handoff, and only to a server that accepts it.

    ``handoff_id``: the handoff it belongs to. ``id``: unique in its handoff. ``number``: 1, 2, 3 ... in its handoff and
    direction.
    """

    event: ClassVar[str] = "handoff.transcript"

    handoff_id: HandoffId
    id: ForeignId | None = None
    number: Count | None = None


class FindPayload(Payload, frozen=True, kw_only=True):
    """The relay asks whether the server has an open handoff of this conversation: its tracker was found paused, without a
    handoff.

    ``conversation_id``: the conversation.
    """

    event = "handoff.find"

    conversation_id: ConversationId


# Messages


class MessagePayload(DurablePayload, frozen=True, kw_only=True):
    """A message.

    ``id``: unique in its handoff; the receiver drops what it has. ``speaker``: ``customer`` from the relay; ``agent`` or
    ``system`` from the server. ``text``: as a person reads it. ``at``: when it was said. ``agent``: the agent's name, from the
    server. ``parts``: what it has beside text, in order, which ``text`` says in words; empty if the text says all. A peer of
    protocol 1 neither sends nor reads them.
    """

    event = "message"

    id: ForeignId
    text: str
    at: Moment
    speaker: Speaker = Speaker.CUSTOMER
    agent: str | None = None
    parts: Parts = ()


class MessageStatusPayload(DurablePayload, frozen=True, kw_only=True):
    """The status of an agent's message on its way to the customer.

    ``message_id``: the message. ``status``: as in Message. ``reason``: why it failed or waits. ``customer_is_away``: whether it
    waits for the customer to come back, and not for their channel.
    """

    event = "message.status"

    message_id: ForeignId
    status: Status
    reason: str | None = None
    customer_is_away: bool = False


class RatingPayload(DurablePayload, frozen=True, kw_only=True):
    """What the customer thinks of a handoff, under way or ended.

    It is sent only to a server that accepts it.

    ``score``: from 1 to 5, the best. ``at``: when it was given. ``comment``: why, in the customer's words.
    """

    event = "rating"

    score: Score
    at: Moment
    comment: Comment | None = None


class TypingPayload(Payload, frozen=True, kw_only=True):
    """Whether somebody types. Never stored.

    ``handoff_id``: the handoff. ``on``: false when they have stopped.
    """

    event = "typing"

    handoff_id: HandoffId
    on: bool


class ReadPayload(Payload, frozen=True, kw_only=True):
    """The agent who has the conversation has read the customer's messages up to one. Never stored, and may be lost.

    ``handoff_id``: the handoff. ``id``: the message's.
    """

    event = "read"

    handoff_id: HandoffId
    id: ForeignId


class CustomerPresencePayload(Payload, frozen=True, kw_only=True):
    """Whether the customer's page is open, on channels that know it; an unknown handoff is ignored.

    A lost one is made up for by the next ``hello``.

    ``handoff_id``: the handoff. ``here``: false when no page of theirs has been open for some seconds.
    """

    event = "customer.presence"

    handoff_id: HandoffId
    here: bool


# Statuses of a handoff, from the server


class StatusPayload(DurablePayload, frozen=True, kw_only=True, tag_field="status"):
    """Base of the payloads of ``handoff.status``, which are told apart by ``status``."""

    event = "handoff.status"


class QueuedPayload(StatusPayload, frozen=True, kw_only=True, tag="queued"):
    """The handoff has another position in the queue. ``position``: from 1. ``wait``: expected seconds, if known."""

    position: Count | None = None
    wait: Seconds | None = None


class AcceptedPayload(StatusPayload, frozen=True, kw_only=True, tag="accepted"):
    """An agent took the handoff. ``agent``: who."""

    agent: Agent


class TransferredPayload(StatusPayload, frozen=True, kw_only=True, tag="transferred"):
    """The handoff is queued again; ``queued`` and ``accepted`` follow. ``department``: where; null: for every agent."""

    department: str | None = None


class CompletedPayload(StatusPayload, frozen=True, kw_only=True, tag="completed"):
    """An agent ended the handoff.

    ``outcome``: what came of it. ``note``: for the bot. ``slots``: values to set in the bot, by name.
    """

    outcome: str = "resolved"
    note: str | None = None
    slots: dict[str, Any] = {}


class FailedPayload(StatusPayload, frozen=True, kw_only=True, tag="failed"):
    """The desk ended the handoff without an outcome. ``reason``: why."""

    reason: str = "desk_closed"


class UnansweredPayload(StatusPayload, frozen=True, kw_only=True, tag="unanswered"):
    """Nobody has taken the handoff yet: the customer is asked what to do. ``seconds``: how long it has waited."""

    seconds: Seconds | None = None


class CustomerSilentPayload(StatusPayload, frozen=True, kw_only=True, tag="customer_silent"):
    """The customer hasn't answered: they are asked whether they are there. ``seconds``: how long they haven't."""

    seconds: Seconds | None = None


DeskStatusPayload = (
    QueuedPayload
    | AcceptedPayload
    | TransferredPayload
    | CompletedPayload
    | FailedPayload
    | UnansweredPayload
    | CustomerSilentPayload
)
"""``handoff.status`` from the server."""


# Statuses of a handoff, from the relay


class EndedPayload(StatusPayload, frozen=True, kw_only=True, tag="ended"):
    """The customer's side ended the handoff.

    ``reason``: ``customer_left``, ``cancelled``, ``agent_gone``, ``customer_silent``, ``silence``, ``desk_unreachable`` or
    ``nobody_available``.
    """

    reason: Reason = "cancelled"


class MessageLeftPayload(StatusPayload, frozen=True, kw_only=True, tag="message_left"):
    """The customer's last message is one to be answered later. Sent once more with what the customer says about a contact.

    ``contact``: where they can be reached; a field that is null changes nothing.
    """

    contact: Contact = Contact()


RelayStatusPayload = EndedPayload | MessageLeftPayload
"""``handoff.status`` from the relay."""


ToDeskPayload = (
    OfferPayload
    | TranscriptPayload
    | MessagePayload
    | MessageStatusPayload
    | RatingPayload
    | EndedPayload
    | MessageLeftPayload
)
"""The payloads that a relay sends again until they are acknowledged."""


# Acknowledgements


class Acknowledgement(Value, frozen=True, kw_only=True, omit_defaults=True):
    """The answer to an event.

    ``ok``: whether it was accepted. ``code``: why it wasn't, for programs. ``error``: the same in one sentence, for people.
    """

    ok: bool = msgspec.field()
    code: str | None = None
    error: str | None = None


class QueuedAnswer(Acknowledgement, frozen=True, kw_only=True):
    """The answer to an offer that was accepted.

    ``status``: ``queued``. ``position``: in the queue, from 1. ``wait``: expected seconds, if known. ``elsewhere``: the
    department that has it, if that isn't the one that was asked for, but the offer's ``default_department``.
    """

    status: str
    position: Count | None
    wait: Seconds | None
    elsewhere: Department | None = None


class RelayTokenAnswer(Acknowledgement, frozen=True, kw_only=True):
    """The answer of the page on which ``rasa-handoff doctor`` asks whether a token is a relay's.

    ``departments``: those of the desk; null from a server that doesn't tell them. ``refusal``: why a relay with the database that
    was named would be refused now all the same.
    """

    departments: tuple[Department, ...] | None = None
    refusal: str | None = None


class FoundAnswer(Acknowledgement, frozen=True, kw_only=True):
    """The answer to ``handoff.find``.

    ``handoff``: the open handoff; null if there is none. ``agent``: who has it.
    """

    handoff: Offer | None
    agent: Agent | None
