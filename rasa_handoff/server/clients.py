"""Clients of Botlhale's protocol: what they send, read tolerantly, and what it does to their conversation."""

import time
import uuid
from collections.abc import Callable
from typing import Any, Final

from rasa_handoff.server import records, resume_secrets, staffing
from rasa_handoff.server.records import Record
from rasa_handoff.server.tables import ID, OUTBOX
from rasa_handoff.server.turn import Turn
from rasa_handoff.thinking.assignment import Stage
from rasa_handoff.thinking.desk_events import CustomerSaid
from rasa_handoff.vocabulary.errors import Refused
from rasa_handoff.vocabulary.limits import LONGEST_MESSAGE
from rasa_handoff.vocabulary.shapes import in_text
from rasa_handoff.vocabulary.values import Channel, Line, Offer, Speaker, Value

BOTLHALE: Final = "botlhale"
"""Side of the conversations that came by this protocol, and the outbox target that leads back to them."""
CHANNEL: Final = Channel(name="live_agent")

MOST_LINES: Final = 1_000
CONVERSATION_KEYS: Final = ("ConversationID", "conversation_id", "conversationId", "ConversationId")
BOT_KEYS: Final = ("BotID", "bot_id", "botId", "BotId")
SPEAKERS: Final = {"user": Speaker.CUSTOMER, "customer": Speaker.CUSTOMER}
"""Everybody else is the bot: who could write a story with an agent in it could put words into an agent's mouth."""

SECOND_PLACE: Final = (
    "This conversation is open in two places, and the customer's words now come from the other one. "
    "If that seems odd, ask who is there before you say anything private."
)
"""To the agent alone."""
NOBODY: Final = "Nobody is here at the moment. Your message is kept, and the next agent who comes will answer you."


class Client(Value, frozen=True, kw_only=True):
    """Whose conversation a socket is."""

    bot_id: str
    conversation_id: str


def read_client(data: Any, known: Client | None) -> Client:
    """The ids in a payload, else those this socket gave before.

    Raises:
        Refused: with code ``invalid`` if there are neither.
    """
    conversation_id, bot_id = _first(data, CONVERSATION_KEYS), _first(data, BOT_KEYS)
    if known is not None:
        conversation_id, bot_id = conversation_id or known.conversation_id, bot_id or known.bot_id
    if not conversation_id or not bot_id or max(len(conversation_id), len(bot_id)) > ID:
        raise Refused("invalid", f"ConversationID and BotID are needed, of at most {ID} characters each.")
    return Client(bot_id=bot_id, conversation_id=conversation_id)


def read_text(data: Any) -> str:
    """The words in a payload, which may be the payload itself.

    Raises:
        Refused: with code ``too_long``.
    """
    text = _text(data)
    if len(text) > LONGEST_MESSAGE:
        raise Refused("too_long", f"A message has at most {LONGEST_MESSAGE:,} characters, this one has {len(text):,}.")
    return text


def _text(data: Any) -> str:
    return in_text(data.get("message") if isinstance(data, dict) else data)


def read_id(data: Any) -> str:
    """The id of a message, if the client gives one and a number beside it, as ours does; it may then send the message twice.
    What a stranger means by an ``id`` alone nobody knows."""
    given = _first(data, ("id",))[:ID] if isinstance(data, dict) and "number" in data else ""
    return given or uuid.uuid4().hex


def read_resume(data: Any) -> Any:
    """The secret in a payload; None if there is none."""
    return data.get(resume_secrets.RESUME_KEY) if isinstance(data, dict) else None


def read_lines(data: Any) -> list[Line]:
    """The transcript in a payload, its last ``MOST_LINES``; who spoke is the bot unless it says otherwise."""
    listed = data.get("messages") if isinstance(data, dict) else data
    said = [item for item in listed if isinstance(item, dict)][-MOST_LINES:] if isinstance(listed, list) else []
    now = time.time()
    return [
        Line(
            speaker=SPEAKERS.get(str(item.get("sender")).lower(), Speaker.BOT),
            text=_text(item)[:LONGEST_MESSAGE],
            at=now,
        )
        for item in said
    ]


class Entered(Value, frozen=True, kw_only=True):
    """A client's conversation. ``secret``: the one it is resumed with, if the conversation has just begun; ``own``: whether
    the client has shown that it is its own."""

    record: Record
    secret: str | None = None
    own: bool = False


def enter(turn: Turn, client: Client, may_begin: Callable[[], None], resume: Any = None) -> Entered:
    """The client's conversation: the open one, else one whose end it wasn't told yet, else a new one in the queue, if
    ``may_begin`` doesn't refuse that.

    Raises:
        Refused: it isn't resumed without its secret.
    """
    record = records.newest_of(turn.connection, BOTLHALE, client.bot_id, client.conversation_id)
    if record is not None and (record.assignment.stage is not Stage.ENDED or _untold(turn, record)):
        return Entered(record=record, own=resume_secrets.show(turn.connection, record.handoff_id, resume))
    may_begin()
    offer = Offer(
        handoff_id=uuid.uuid4().hex, conversation_id=client.conversation_id, bot_id=client.bot_id, channel=CHANNEL
    )
    record = turn.arrive(offer, BOTLHALE)
    secret = resume_secrets.issue(turn.connection, record.handoff_id)
    if not staffing.serving(turn.connection, None, only_online=True):
        record = turn.notice(record, NOBODY, turn.now)  # the protocol can't refuse, so it waits in the queue
    return Entered(record=record, secret=secret, own=True)


def hear(
    turn: Turn,
    client: Client,
    id: str,
    text: str,
    may_begin: Callable[[], None],
    resume: Any = None,
    elsewhere: bool = False,
) -> Entered:
    """The client said something; that registers it too. ``elsewhere``: another socket had the conversation until now."""
    entered = enter(turn, client, may_begin, resume)
    if elsewhere and entered.record.assignment.stage is not Stage.ENDED:
        turn.tell_desk(entered.record, SECOND_PLACE)
    record = records.must_find(turn.connection, entered.record.handoff_id)
    turn.say(record, CustomerSaid(at=turn.now, id=id, text=text))
    return entered


def story(turn: Turn, client: Client, lines: list[Line], resume: Any = None) -> None:
    """The story so far. Only the first is kept: one sent later has the live part in it too."""
    record = records.newest_of(turn.connection, BOTLHALE, client.bot_id, client.conversation_id)
    if record is None:
        return
    resume_secrets.show(turn.connection, record.handoff_id, resume)
    if record.offer.transcript or not lines:
        return
    fields = {name: getattr(record.offer, name) for name in Offer.__struct_fields__}
    told = record.but(offer=Offer(**{**fields, "transcript": tuple(lines)}))
    records.save_offer(turn.connection, told)
    turn.show_whole(told)


def _untold(turn: Turn, record: Record) -> bool:
    return bool(OUTBOX.head(turn.connection, BOTLHALE, record.handoff_id, 1))


def _first(data: Any, keys: tuple[str, ...]) -> str:
    found = (data.get(key) for key in keys) if isinstance(data, dict) else ()
    return next((str(value) for value in found if value not in (None, "")), "")
