"""Clients of Botlhale's protocol: their payloads, their conversations, and which socket has a conversation.

Several sockets may name one conversation. The rules of who has it:

1. A socket has the conversation if it began it, showed its secret, or spoke last in it. Such a socket is *proven*.
2. A socket that only joins doesn't take the conversation from a connected one.
3. A socket that joins while no other is connected gets the waiting messages: it is usually the customer's, and the protocol has
   no proof of that. But they count as delivered only once it is proven; until then another socket gets them again.
4. While several sockets are connected, the connection of the one that has the conversation may be half-open. So nothing counts
   as delivered before that socket speaks again.

The secret shows that a conversation is the client's own when it comes back. It is our addition to the protocol, which other
clients ignore. Once a conversation's secret was shown, nobody joins it without.
"""

import hmac
import secrets
import time
import uuid
from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import Boolean, Column, ForeignKey, String, Table, insert, select, update
from sqlalchemy.engine import Connection

from rasa_handoff.core.assignment import Stage
from rasa_handoff.core.assignment_events import CustomerWrote
from rasa_handoff.guard.recent import Recent
from rasa_handoff.protocol.errors import Refused
from rasa_handoff.protocol.limits import LONGEST_ID, LONGEST_MESSAGE, MOST_LINES
from rasa_handoff.protocol.payloads import Acknowledgement
from rasa_handoff.protocol.text import in_text
from rasa_handoff.protocol.values import Channel, Line, Offer, Speaker, Value, only_words
from rasa_handoff.server.service import availability, queues
from rasa_handoff.server.service.unit_of_work import UnitOfWork
from rasa_handoff.server.storage import handoffs
from rasa_handoff.server.storage.handoffs import Record
from rasa_handoff.server.storage.tables import METADATA, OUTBOX

BOTLHALE: Final = "botlhale"
"""``Record.side`` of conversations that came by this protocol: the outbox target that leads back to them."""
CHANNEL: Final = Channel(name="live_agent", presentation=only_words("live_agent"))

CONVERSATION_KEYS: Final = ("ConversationID", "conversation_id", "conversationId", "ConversationId")
BOT_KEYS: Final = ("BotID", "bot_id", "botId", "BotId")
SPEAKERS: Final = {"user": Speaker.CUSTOMER, "customer": Speaker.CUSTOMER}
"""Every other sender is the bot: a client must not write lines of an agent into its transcript."""

SECOND_PLACE: Final = (
    "This conversation is open in two places, and the customer's messages now come from the other one. "
    "If that seems odd, ask who is there before you say anything private."
)
"""A notice to the agent alone."""
NOBODY: Final = "Nobody is here at the moment. Your message is kept, and the next agent who comes will answer you."
NOT_PROVEN: Final = "Sent to a client that hasn't written since it connected; it may not have reached the customer."

MOST_NAMED: Final = 20
"""Conversations that one socket may name at a time; in the protocol it names one."""

RESUME_KEY: Final = "resume"
"""The payload's field with the secret: in the acknowledgement of the event that began a conversation, and where a client shows
it."""
REFUSED: Final = "resume_needed"

RESUME_SECRETS: Final = Table(
    "resume_secrets",
    METADATA,
    Column("handoff_id", String(LONGEST_ID), ForeignKey("handoffs.handoff_id", ondelete="CASCADE"), primary_key=True),
    Column("secret", String(64), nullable=False),
    Column("shown", Boolean, nullable=False),
)


class Client(Value, frozen=True, kw_only=True):
    """A client, by its bot and its conversation."""

    bot_id: str
    conversation_id: str


def read_client(data: Any, known: Client | None) -> Client:
    """Return the client of a payload. Ids that are missing are those this socket gave before.

    Raises:
        Refused: with code ``invalid``; an id is missing or too long.
    """
    conversation_id, bot_id = _first(data, CONVERSATION_KEYS), _first(data, BOT_KEYS)
    if known is not None:
        conversation_id, bot_id = conversation_id or known.conversation_id, bot_id or known.bot_id
    if not conversation_id or not bot_id or max(len(conversation_id), len(bot_id)) > LONGEST_ID:
        raise Refused("invalid", f"ConversationID and BotID are needed, of at most {LONGEST_ID} characters each.")
    return Client(bot_id=bot_id, conversation_id=conversation_id)


def read_text(data: Any) -> str:
    """Return the text in a payload, which may be the payload itself.

    Raises:
        Refused: with code ``empty`` or ``too_long``.
    """
    text = _text(data)
    if not text.strip():
        raise Refused("empty", "The message is empty: send a text as 'message'.")
    if len(text) > LONGEST_MESSAGE:
        raise Refused("too_long", f"A message has at most {LONGEST_MESSAGE:,} characters, this one has {len(text):,}.")
    return text


def _text(data: Any) -> str:
    return in_text(data.get("message") if isinstance(data, dict) else data)


def read_id(data: Any) -> str:
    """Return the id of a message, or make one.

    An ``id`` counts only beside a ``number``, as our own client sends it; that client may repeat a message. The protocol
    doesn't define an ``id`` alone.
    """
    given = _first(data, ("id",))[:LONGEST_ID] if isinstance(data, dict) and "number" in data else ""
    return given or uuid.uuid4().hex


def read_resume(data: Any) -> Any:
    """Return the secret in a payload; None if there is none."""
    return data.get(RESUME_KEY) if isinstance(data, dict) else None


def read_lines(data: Any) -> list[Line]:
    """Return the transcript in a payload, its last ``MOST_LINES``; a line is the bot's unless its sender is the customer.

    Lines without text are left out.
    """
    listed = data.get("messages") if isinstance(data, dict) else data
    items = [item for item in listed if isinstance(item, dict)] if isinstance(listed, list) else []
    said = [item for item in items if _text(item).strip()][-MOST_LINES:]
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
    """A client's conversation.

    ``secret``: the secret it is resumed with, if it has just begun. ``own``: whether the client has shown that the
    conversation is its own.
    """

    record: Record
    secret: str | None = None
    own: bool = False


class EnteredAnswer(Acknowledgement, frozen=True, kw_only=True):
    """The acknowledgement of what registers a client. ``resume``: the secret, if the conversation has just begun."""

    resume: str | None = None


def enter(unit: UnitOfWork, client: Client, may_begin: Callable[[], None], resume: Any = None) -> Entered:
    """Return the client's conversation: the open one, else one whose end still waits for it, else a new one in the queue.

    Raises:
        Refused: the secret is missing or another one, or ``may_begin`` refuses a new conversation.
    """
    record = handoffs.newest_of(unit.connection, BOTLHALE, client.bot_id, client.conversation_id)
    if record is not None and (record.assignment.stage is not Stage.ENDED or has_waiting(unit, record.handoff_id)):
        return Entered(record=record, own=check_secret(unit.connection, record.handoff_id, resume))
    may_begin()
    offer = Offer(
        handoff_id=uuid.uuid4().hex, conversation_id=client.conversation_id, bot_id=client.bot_id, channel=CHANNEL
    )
    record = queues.arrive(unit, offer, BOTLHALE)
    secret = make_secret(unit.connection, record.handoff_id)
    if not availability.serving(unit.connection, None, only_online=True):
        record = unit.notice(record, NOBODY, unit.now)  # the protocol has no refusal, so it waits in the queue
    return Entered(record=record, secret=secret, own=True)


def keep_message(
    unit: UnitOfWork,
    client: Client,
    id: str,
    text: str,
    may_begin: Callable[[], None],
    resume: Any = None,
    elsewhere: bool = False,
) -> Entered:
    """Keep a message of the client, which enters the conversation with it.

    ``elsewhere``: another socket had the conversation until now.
    """
    entered = enter(unit, client, may_begin, resume)
    if elsewhere and entered.record.assignment.stage is not Stage.ENDED:
        unit.notice_for_desk(entered.record, SECOND_PLACE)
    record = handoffs.must_find(unit.connection, entered.record.handoff_id)
    unit.say(record, CustomerWrote(at=unit.now, id=id, text=text))
    return entered


def keep_transcript(unit: UnitOfWork, client: Client, lines: list[Line], resume: Any = None) -> None:
    """Keep the transcript before the handoff. Only the first is kept: a later one has the live messages in it, too."""
    record = handoffs.newest_of(unit.connection, BOTLHALE, client.bot_id, client.conversation_id)
    if record is None:
        return
    check_secret(unit.connection, record.handoff_id, resume)
    if record.offer.transcript or not lines:
        return
    completed = replace(record, offer=replace(record.offer, transcript=tuple(lines)))
    handoffs.save_offer(unit.connection, completed)
    unit.show_whole(completed)


def has_waiting(unit: UnitOfWork, handoff_id: str) -> bool:
    """Return whether something waits for the client in the outbox."""
    return bool(OUTBOX.head(unit.connection, BOTLHALE, handoff_id, 1))


def _first(data: Any, keys: tuple[str, ...]) -> str:
    found = (data.get(key) for key in keys) if isinstance(data, dict) else ()
    return next((str(value) for value in found if value not in (None, "")), "")


class ClientSockets:
    """The sockets of all conversations, by the rules above. ``sid``: a socket's id."""

    def __init__(self) -> None:
        # The conversations that each socket has named, the latest last.
        self._named: dict[str, list[Client]] = {}
        # The sockets of each conversation; the one that has the conversation comes last.
        self._joined: dict[Client, list[str]] = {}
        self._proven: set[tuple[str, Client]] = set()
        # The last entry that was sent and doesn't count as delivered yet: lane -> (sid, entry).
        self._sent: dict[str, tuple[str, int]] = Recent()

    def client(self, sid: str) -> Client | None:
        """Return the conversation that a socket named last."""
        named = self._named.get(sid)
        return named[-1] if named else None

    def holder(self, client: Client) -> str | None:
        """Return the socket that has the conversation; None if there is none."""
        joined = self._joined.get(client)
        return joined[-1] if joined else None

    def join(self, sid: str, client: Client, *, proven: bool) -> None:
        """Add a socket that has named the conversation. ``proven``: it has the conversation from now on."""
        named = self._named.setdefault(sid, [])
        named[:] = [*(one for one in named if one != client), client]
        if len(named) > MOST_NAMED:
            self._remove(sid, named.pop(0))
        joined = self._joined.setdefault(client, [])
        if proven:
            self._proven.add((sid, client))
        elif sid in joined:
            return
        holder = joined[-1] if joined else None
        if sid in joined:
            joined.remove(sid)
        # A socket that only joins comes before the last one, which has the conversation.
        joined.insert(len(joined) if proven or holder is None else len(joined) - 1, sid)

    def leave(self, sid: str) -> list[Client]:
        """Remove a socket that has closed; return its conversations."""
        named = self._named.pop(sid, [])
        for client in named:
            self._remove(sid, client)
        return named

    def _remove(self, sid: str, client: Client) -> None:
        self._proven.discard((sid, client))
        self._joined[client].remove(sid)
        if not self._joined[client]:
            del self._joined[client]

    def counts_as_delivered(self, sid: str, client: Client) -> bool:
        """Return whether what is sent to this socket counts as delivered."""
        return (sid, client) in self._proven and len(self._joined[client]) == 1

    def last_sent(self, lane: str, sid: str) -> int:
        """Return the last entry of the lane that was sent to this socket without counting as delivered."""
        sent = self._sent.get(lane)
        return sent[1] if sent is not None and sent[0] == sid else 0

    def note_sent(self, lane: str, sid: str, key: int) -> None:
        """Note an entry that was sent to this socket and doesn't count as delivered."""
        self._sent[lane] = (sid, key)

    def forget(self, lane: str) -> None:
        """Forget a lane: everything was delivered, or the conversation has ended."""
        self._sent.pop(lane, None)


def make_secret(connection: Connection, handoff_id: str) -> str:
    """Make the secret of a conversation that has just begun, and return it."""
    secret = secrets.token_hex(32)
    connection.execute(insert(RESUME_SECRETS).values(handoff_id=handoff_id, secret=secret, shown=False))
    return secret


def check_secret(connection: Connection, handoff_id: str, given: Any) -> bool:
    """Return whether the client has shown the conversation's secret; the first time is noted in the database.

    Raises:
        Refused: another secret was given, or none although it was shown before.
    """
    table = RESUME_SECRETS.c
    of_handoff = table.handoff_id == handoff_id
    known = connection.execute(select(table.secret, table.shown).where(of_handoff)).one_or_none()
    if known is None:
        return False
    fits = isinstance(given, str) and hmac.compare_digest(given.encode(), known.secret.encode())
    if not fits and (known.shown or given is not None):
        raise Refused(REFUSED, "This conversation is resumed with the secret that it began with.")
    if fits and not known.shown:
        connection.execute(update(RESUME_SECRETS).where(of_handoff).values(shown=True))
    return fits
