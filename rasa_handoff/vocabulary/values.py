"""Conversation and message values, as they are spoken on the wire (docs/protocol.md). All are immutable.

Times are seconds since 1970 in UTC. What isn't known is ``None``. Encode with :func:`plain`, decode with :func:`read`,
which turns msgspec's complaint into an error of ours.
"""

import enum
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from rasa_handoff.vocabulary.errors import Refused
from rasa_handoff.vocabulary.text import shown, valid

Count = Annotated[int, Meta(ge=0, le=2_147_483_647)]
"""A number that came over a wire and is kept: what every database's integers hold."""
Moment = Annotated[float, Meta(ge=0, le=32_503_680_000)]
"""Seconds since 1970, until the year 3000."""
Seconds = Annotated[float, Meta(ge=0, le=1_000_000_000)]
"""How long something takes."""


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all values: immutable, by keyword, unknown keys ignored."""


class Speaker(str, enum.Enum):
    """Who said it. ``system`` are notices such as "You are number 2 in the queue"."""

    CUSTOMER = "customer"
    BOT = "bot"
    AGENT = "agent"
    SYSTEM = "system"


class Priority(str, enum.Enum):
    """How urgent the bot thinks it is; the queue serves the higher one first."""

    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    URGENT = "urgent"


class Status(str, enum.Enum):
    """What has become of a message on its way to the customer."""

    STORED = "stored"
    WAITING = "waiting"
    DELIVERED = "delivered"
    READ = "read"
    FAILED = "failed"


class Contact(Value, frozen=True):
    """How the customer can be reached; all of it optional."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None


class Department(Value, frozen=True):
    """A group of agents. ``staffed``: one who serves it is online. ``wait``: expected seconds, if known."""

    name: str
    title: str | None = None
    open: bool = True
    staffed: bool = True
    wait: Seconds | None = None

    @property
    def label(self) -> str:
        """What a customer reads: the title, else the name."""
        return self.title or self.name

    @property
    def available(self) -> bool:
        """Whether somebody there can take a conversation now."""
        return self.open and self.staffed


class Availability(Value, frozen=True):
    """Who is there. ``staffed``: anybody at all is online, with or without departments."""

    departments: tuple[Department, ...] = ()
    staffed: bool = False

    @property
    def offered(self) -> tuple[Department, ...]:
        """The departments that are open and staffed: the ones to offer."""
        return tuple(department for department in self.departments if department.available)


class Line(Value, frozen=True):
    """One line of the transcript: what a person would have seen."""

    speaker: Speaker
    text: str
    at: Moment


class Guess(Value, frozen=True):
    """An intent the bot's NLU saw, with its confidence from 0 to 1."""

    name: str
    confidence: float


class Slot(Value, frozen=True):
    """A slot the agent may set. ``values``: the allowed ones of a categorical slot."""

    name: str
    type: str = "any"
    values: tuple[Any, ...] | None = None


class BotState(Value, frozen=True):
    """What the bot knew when it handed over; slots by the allow-list in the settings."""

    slots: dict[str, Any] = {}
    intents: tuple[Guess, ...] = ()
    form: str | None = None
    settable: tuple[Slot, ...] = ()


class Channel(Value, frozen=True):
    """Where the customer is. ``push``: can be told something at any time, not only in answer."""

    name: str
    push: bool = True


class Agent(Value, frozen=True):
    """An agent, as customers and other systems see one."""

    id: str
    name: str


class Offer(Value, frozen=True):
    """A handoff as it is offered to the desk (``handoff.initiate``). ``transcript_follows``: the tracker couldn't be read when
    it was offered; transcript, what the bot knew, contact and language come later (``handoff.transcript``)."""

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


class Transcript(Value, frozen=True, kw_only=True):
    """What an offer lacks whose transcript follows (``handoff.transcript``)."""

    transcript: tuple[Line, ...] = ()
    bot: BotState = BotState()
    contact: Contact = Contact()
    language: str | None = None


T = TypeVar("T")


def plain(value: Any) -> Any:
    """The value as JSON-ready dicts, lists, strings and numbers."""
    return msgspec.to_builtins(value, enc_hook=shown)


def read(kind: type[T], data: Any) -> T:
    """Read a value from what came over a wire; its texts are valid.

    Raises:
        Refused: with code ``invalid`` and msgspec's sentence, which names the field.
    """
    try:
        return msgspec.convert(valid(data), kind)
    except msgspec.ValidationError as problem:
        raise Refused("invalid", f"{kind.__name__}: {problem}") from problem
