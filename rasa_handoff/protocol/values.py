"""Values of the /relay protocol (docs/protocol.md). All are immutable.

Times are seconds since 1970 in UTC. What isn't known is ``None``. Encode with :func:`plain` and decode with :func:`read`, which
turns msgspec's error into one of ours.
"""

import enum
from collections.abc import Iterable
from types import UnionType
from typing import Annotated, Any, TypeVar, overload

import msgspec
from msgspec import Meta

from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.field_errors import sentence
from rasa_handoff.protocol.limits import LONGEST_COMMENT
from rasa_handoff.protocol.message_parts import Parts
from rasa_handoff.protocol.text import shown, valid

T = TypeVar("T")

Count = Annotated[int, Meta(ge=0, le=2_147_483_647)]
"""A received number that is stored: it fits the integers of every database."""
Moment = Annotated[float, Meta(ge=0, le=32_503_680_000)]
"""Seconds since 1970, until the year 3000."""
Seconds = Annotated[float, Meta(ge=0, le=1_000_000_000)]
"""A duration."""
Score = Annotated[int, Meta(ge=1, le=5)]
"""How content a customer is."""
Comment = Annotated[str, Meta(max_length=LONGEST_COMMENT)]
"""What a customer writes beside a score."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all values: immutable, keyword-only, unknown keys are ignored."""


class Speaker(str, enum.Enum):
    """The author of a message. ``system``: notices such as "You are number 2 in the queue"."""

    CUSTOMER = "customer"
    BOT = "bot"
    AGENT = "agent"
    SYSTEM = "system"


class Priority(str, enum.Enum):
    """The urgency given by the bot; the queue serves a higher one first."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class Status(str, enum.Enum):
    """The status of a message on its way to the customer."""

    STORED = "stored"
    WAITING = "waiting"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


class Contact(Value, frozen=True):
    """The customer's contact details. ``name``, ``email``, ``phone``: as far as they are known."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None


class ShownChoice(Value, frozen=True):
    """A choice that a question was shown with. ``title``: what the customer reads. ``payload``: what it means."""

    title: str
    payload: str


class Department(Value, frozen=True):
    """A group of agents.

    ``name``: by which it is known to programs. ``title``: by which customers know it. ``open``: whether it takes conversations
    now. ``staffed``: whether an agent who serves it is online. ``wait``: expected seconds until one takes a conversation, if
    known. ``opens``: while it is closed by its opening hours, when it opens again, in seconds since 1970; ``zone``: the time zone
    in which customers are told that time. ``closed_text``: what they are told then, in place of the bot's own words.
    ``takes_messages``: whether a message can be left for it while nobody is there.
    """

    name: str
    title: str | None = None
    open: bool = True
    staffed: bool = True
    wait: Seconds | None = None
    opens: Moment | None = None
    zone: str | None = None
    closed_text: str | None = None
    takes_messages: bool = True

    @property
    def label(self) -> str:
        """The title for customers, else the name."""
        return self.title or self.name

    @property
    def available(self) -> bool:
        """Whether somebody there can take a conversation now."""
        return self.open and self.staffed


def find_department(departments: Iterable[Department], said: str) -> Department | None:
    """Return the department that is meant by a name or a title, without regard to case and to blanks around and within.

    The name that is equal in every character comes first, then a name that differs in case or blanks only, then such a title.
    """
    known = tuple(departments)
    exact = next((department for department in known if department.name == said), None)
    if exact is not None:
        return exact
    wanted = _plain_name(said)
    for attribute in ("name", "label"):
        for department in known:
            if _plain_name(getattr(department, attribute)) == wanted:
                return department
    return None


def _plain_name(name: str) -> str:
    return " ".join(name.split()).casefold()


class Availability(Value, frozen=True):
    """Who could take a conversation now.

    ``departments``: all there are. ``staffed``: whether any agent is online, with or without a department.
    """

    departments: tuple[Department, ...] = ()
    staffed: bool = False

    @property
    def offered(self) -> tuple[Department, ...]:
        """The departments to offer: those that are open and staffed."""
        return tuple(department for department in self.departments if department.available)


class Line(Value, frozen=True):
    """One line of the transcript.

    ``speaker``: who said it. ``text``: as a person saw it. ``at``: when. ``parts``: what it had beside text, in order; empty if
    the text says all.
    """

    speaker: Speaker
    text: str
    at: Moment
    parts: Parts = ()


class Guess(Value, frozen=True):
    """An intent recognised by the bot's NLU. ``name``: its name. ``confidence``: from 0 to 1."""

    name: str
    confidence: float


class Outcome(str, enum.Enum):
    """The result of a conversation as chosen by the agent; the bot gets it in the slot ``handoff_outcome``."""

    RESOLVED = "resolved"
    UNRESOLVED = "unresolved"
    FOLLOW_UP = "follow_up"


class Slot(Value, frozen=True):
    """A slot that the agent may set.

    ``name``: its name. ``type``: ``text``, ``bool``, ``float``, ``categorical``, ``list`` or ``any``. ``values``: those allowed
    for a categorical slot.
    """

    name: str
    type: str = "any"
    values: tuple[Any, ...] | None = None


class BotState(Value, frozen=True):
    """The bot's knowledge at the handoff.

    ``slots``: values by name; only those allowed in the settings. ``intents``: of the customer's last message. ``form``: the open
    one. ``settable``: the slots that the agent may set.
    """

    slots: dict[str, Any] = {}
    intents: tuple[Guess, ...] = ()
    form: str | None = None
    settable: tuple[Slot, ...] = ()


class Presentation(Value, frozen=True, kw_only=True):
    """What the customer's channel makes of an agent's message, so that the desk can say it before it is sent.

    ``name``: of the channel, or of the way by which this customer uses it. ``images``, ``files``: ``native``, ``link``, or
    ``words``: only the name is told. ``cards``: ``native``, ``parted`` (as text, picture and buttons) or ``words``. ``buttons``:
    ``native``, ``numbered`` (lines that the customer answers by number), ``spoken`` or ``words``. ``longest_text``: of one
    message, a longer one is cut into several; null: none is cut. ``in_bytes``: whether it counts bytes and not UTF-16 units.
    ``most_buttons``, ``longest_title``: beyond them buttons are numbered. ``most_staying``, ``longest_above``: with more buttons,
    or below a longer text, all are gone once one is chosen; null: they stay. ``largest_image``, ``largest_file``: bytes; a larger
    one is a link. ``file_types``: the beginnings of the MIME types of files; any other is a link. ``paragraphs``: whether each
    paragraph is a message of its own. ``costly``: whether each message costs money.
    """

    name: str
    images: str = "native"
    files: str = "native"
    cards: str = "native"
    buttons: str = "native"
    longest_text: int | None = None
    in_bytes: bool = False
    most_buttons: int | None = None
    longest_title: int | None = None
    most_staying: int | None = None
    longest_above: int | None = None
    largest_image: int | None = None
    largest_file: int | None = None
    file_types: tuple[str, ...] = ("",)
    paragraphs: bool = False
    costly: bool = False


def only_words(name: str) -> Presentation:
    """Return the presentation of a channel that shows nothing but words."""
    return Presentation(name=name, images="words", files="words", cards="words", buttons="words")


class Channel(Value, frozen=True):
    """The customer's channel.

    ``name``: as in Rasa. ``push``: whether it can deliver a message at any time; else messages wait until the customer's next
    request. ``presentation``: what it makes of an agent's message; null if the relay doesn't say.
    """

    name: str
    push: bool = True
    presentation: Presentation | None = None


class Agent(Value, frozen=True):
    """An agent, as customers and other systems see them. ``id``: the account's. ``name``: the person's."""

    id: str
    name: str


class Offer(Value, frozen=True):
    """A handoff as offered to the desk (``handoff.initiate``).

    ``handoff_id``: made by the relay. ``conversation_id``: Rasa's ``sender_id``. ``bot_id``: the bot. ``channel``: the
    customer's. ``department``: the one it is meant for, by name or title. ``default_department``: the one that gets it if that
    one isn't known or nobody is there. ``agent``: the one it is meant for, by e-mail or id. ``reason``: why the bot hands over.
    ``priority``: how soon it is to be taken. ``note``: for the agent. ``contact``: the customer's. ``language``: the customer's.
    ``transcript``: what was said before, oldest first. ``bot``: what the bot knows. ``transcript_follows``: whether the tracker
    couldn't be read at the time of the offer; then transcript, bot, contact and language are sent later
    (``handoff.transcript``).
    """

    handoff_id: str
    conversation_id: str
    bot_id: str
    channel: Channel
    department: str | None = None
    agent: str | None = None
    reason: str | None = None
    priority: Priority = Priority.NORMAL
    note: str | None = None
    contact: Contact = Contact()
    language: str | None = None
    transcript: tuple[Line, ...] = ()
    bot: BotState = BotState()
    transcript_follows: bool = False
    default_department: str | None = None


class Transcript(Value, frozen=True, kw_only=True):
    """The missing part of an offer with ``transcript_follows`` (``handoff.transcript``).

    ``transcript``: what was said before, oldest first. ``bot``: what the bot knows. ``contact``: the customer's. ``language``:
    the customer's.
    """

    transcript: tuple[Line, ...] = ()
    bot: BotState = BotState()
    contact: Contact = Contact()
    language: str | None = None


class Rating(Value, frozen=True, kw_only=True):
    """What a customer thinks of a handoff. ``score``: from 1 to 5, the best. ``comment``: why, in their words."""

    score: Score
    comment: Comment | None = None


def plain(value: Any) -> Any:
    """Return the value as JSON-ready dicts, lists, strings and numbers."""
    return msgspec.to_builtins(value, enc_hook=shown)


@overload
def read(kind: type[T], data: Any) -> T: ...
@overload
def read(kind: UnionType, data: Any) -> Any: ...
def read(kind: Any, data: Any) -> Any:
    """Decode a received value and make its texts valid.

    Raises:
        Refused: the data is invalid; code ``invalid``, with a sentence that names the field and what is allowed.
    """
    try:
        return msgspec.convert(valid(data), kind)
    except msgspec.ValidationError as problem:
        raise Refused("invalid", sentence(kind, problem)) from problem
