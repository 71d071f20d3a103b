"""Outbox entries that lead to the customer's side: the targets relay, botlhale and tkinter."""

from msgspec.structs import replace

from rasa_handoff.protocol.payloads import DeskStatusPayload, MessagePayload
from rasa_handoff.protocol.values import Value
from rasa_handoff.store.outbox import Entry


class MessageEntry(Value, frozen=True, kw_only=True):
    """The body of an entry with a message. ``bot_id``, ``conversation_id``: where it goes."""

    bot_id: str
    conversation_id: str
    payload: MessagePayload


class StatusEntry(Value, frozen=True, kw_only=True):
    """The body of an entry with a status of the handoff."""

    bot_id: str
    conversation_id: str
    payload: DeskStatusPayload


def read_entry(entry: Entry) -> MessageEntry | StatusEntry:
    """Return the body of an entry.

    Raises:
        Refused: it can't be read, which makes a dead letter of the entry.
    """
    return entry.read(MessageEntry) if entry.name == MessagePayload.event else entry.read(StatusEntry)


def renumbered(entry: Entry, number: int, text: str | None = None) -> Entry:
    """Return the entry under another number, to be added anew; a message with another ``text``, if given."""
    body = read_entry(entry)
    if isinstance(body, MessageEntry):
        said = body.payload
        message = replace(said, number=number, text=said.text if text is None else text)
        return Entry.of(entry.target, entry.lane, entry.name, replace(body, payload=message))
    return Entry.of(entry.target, entry.lane, entry.name, replace(body, payload=replace(body.payload, number=number)))
