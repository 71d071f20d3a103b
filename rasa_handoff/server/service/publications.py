"""Publications: what gateways are informed of after a commit (:class:`~rasa_handoff.server.service.unit_of_work.Publisher`).

Where several servers share the database, a publication is written to the change log in the transaction that it is about, and each
server, the one that wrote it too, publishes what it reads there. A conversation is locked when something about it is written, so
the log has what happened to it in the order of the commits, and no desk ends up with an older state, whichever server it is
connected to.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from sqlalchemy.engine import Connection

from rasa_handoff.protocol.desk_payloads import Message, Summary, WholeConversation
from rasa_handoff.protocol.text import as_json
from rasa_handoff.protocol.values import Availability, Status, Value
from rasa_handoff.server.storage.tables import OUTBOX
from rasa_handoff.store.change_log import LoggedChange
from rasa_handoff.store.writer import PROCESS

PUBLICATION: Final = "publication"
"""The topic of a publication in the change log."""


class Publication(Value, frozen=True, kw_only=True, tag=True):
    """Something that changed. ``viewers``: ids of the agents it is for. ``elsewhere``: whether another server has written it."""

    viewers: frozenset[str] = frozenset()
    elsewhere: bool = False


class Arrival(Publication, frozen=True, kw_only=True):
    """A conversation joined the queue; its summary."""

    summary: Summary


class Changed(Publication, frozen=True, kw_only=True):
    """A conversation changed; its summary."""

    summary: Summary


class Completed(Publication, frozen=True, kw_only=True):
    """A conversation's offer was completed; the whole conversation."""

    summary: WholeConversation


class InConversation(Publication, frozen=True, kw_only=True):
    """Something in a conversation. ``viewers``: who gets it at once, beside desks that have the conversation open."""

    handoff_id: str


class Said(InConversation, frozen=True, kw_only=True):
    """A message was stored."""

    message: Message


class Marked(InConversation, frozen=True, kw_only=True):
    """A message has another status."""

    message_id: str
    status: Status
    reason: str | None


class CustomerTyping(InConversation, frozen=True, kw_only=True):
    """The customer types, or stopped."""

    on: bool


class AgentTyping(Publication, frozen=True, kw_only=True):
    """The agent types, or stopped; for the customer's side."""

    side: str
    bot_id: str
    handoff_id: str
    on: bool


class AgentRead(Publication, frozen=True, kw_only=True):
    """The agent who has the conversation has read the customer's messages up to this one; for the relay.

    It is in the change log only if its bot's relay is connected to another server (``is_logged``).
    """

    bot_id: str
    handoff_id: str
    message_id: str
    is_logged: bool = False


class Overdue(Publication, frozen=True, kw_only=True):
    """The customer's message has waited so many seconds for this agent's answer."""

    handoff_id: str
    seconds: float


class PresenceChanged(Publication, frozen=True, kw_only=True):
    """An agent chose to be online or away."""

    online: bool


class AvailabilityChanged(Publication, frozen=True, kw_only=True):
    """Which departments are open or staffed, or an expected wait, has changed. For everybody: it has no ``viewers``.

    Each server finds that by itself, so it isn't in the change log.
    """

    availability: Availability


class Deleted(Publication, frozen=True, kw_only=True):
    """Handoffs were deleted, and leave every desk. For everybody: it has no ``viewers``."""

    handoff_ids: tuple[str, ...]


Logged = (
    Arrival
    | Changed
    | Completed
    | Said
    | Marked
    | CustomerTyping
    | AgentTyping
    | AgentRead
    | Overdue
    | PresenceChanged
    | Deleted
)
_DECODER: Final = msgspec.json.Decoder(Logged)


def note(connection: Connection, publications: Iterable[Publication]) -> None:
    """Write publications to the change log; nothing on a database with one owner."""
    if connection.info.get(PROCESS) is not None:
        for publication in publications:
            OUTBOX.change_log.note(connection, PUBLICATION, "", as_json(publication))


def read_logged(change: LoggedChange, process: str) -> Publication:
    """Return the publication of a logged change. ``process``: this server's.

    Raises:
        msgspec.MsgspecError: it can't be read: a server of another version may have written it.
    """
    publication: Publication = _DECODER.decode(change.body)
    return publication if change.process == process else msgspec.structs.replace(publication, elsewhere=True)
