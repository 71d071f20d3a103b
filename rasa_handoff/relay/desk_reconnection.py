"""The desk's reconnection: what each side still has of the handoffs under way, and offering again what the desk has lost.

Either side may have lost messages (the connection broke) or everything (its database was lost, or restored from an earlier copy).
After the handshake both know what the other has: what the desk has acknowledged is removed from the outbox, and a handoff that
it doesn't know is offered again, with everything said since.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from rasa_handoff.core.control import Conversation, IllegalEvent
from rasa_handoff.protocol import events
from rasa_handoff.protocol.logs import get_log, short_id
from rasa_handoff.protocol.payloads import OpenHandoffPayload
from rasa_handoff.protocol.values import Offer
from rasa_handoff.relay import page_connections, repository
from rasa_handoff.relay.handoff_requests import OFFER, ConversationAccess
from rasa_handoff.store.engine import Store
from rasa_handoff.store.failures import isolated

log = get_log(__name__)


class DeskReconnection:
    """The relay's part of the reconciliation with a desk that has (re)connected: each side says what it has.

    ``is_away`` and ``has_page`` are set by the channel: whether this process knows the customer of a conversation to be away, and
    whether they have a channel with pages. Where several processes share the database, its rows say who is away.
    """

    def __init__(self, conversations: ConversationAccess, store: Store) -> None:
        self._conversations, self._store = conversations, store
        self.is_away: Callable[[str], bool] = lambda _: False
        self.has_page: Callable[[str], bool] = lambda _: False
        # The handoffs that the desk had accepted when the last `hello` was made; None: none was made.
        self._accepted: frozenset[str] | None = None

    async def open_handoffs(self) -> list[OpenHandoffPayload]:
        """Return the handoffs under way, with what came last from the desk, as sent in ``hello`` (docs/protocol.md)."""

        def read(connection: Connection) -> tuple[frozenset[str], list[OpenHandoffPayload]]:
            found = repository.under_way(connection)
            accepted = frozenset(str(one.handoff_id) for one in found if one.desk_active)
            return accepted, repository.open_handoffs(connection, found, self._away(connection))

        self._accepted, hello = await self._store.write(read)
        return hello

    async def away_now(self) -> Callable[[str], bool]:
        """Return what tells of a conversation whether its customer is known to be away now."""
        return await self._store.write(self._away)

    def _away(self, connection: Connection) -> Callable[[str], bool]:
        if not self._store.shared:
            return self.is_away
        away = page_connections.away(connection)
        return lambda conversation_id: conversation_id in away and self.has_page(conversation_id)

    async def remove_acknowledged(self, last: Mapping[str, str]) -> None:
        """Remove what the desk has acknowledged. ``last``: the id of the last entry it has, by handoff."""
        if last:
            await self._store.write(lambda connection: remove_acknowledged(connection, last))

    async def complete(self, epoch: str, unknown: Sequence[str] | None = None) -> None:
        """Offer the handoffs again that the (re)connected desk has lost, and end its absence for all conversations.

        ``epoch``: the id of the desk's database. ``unknown``: the handoffs that the desk doesn't have, because its database was
        lost or restored from an earlier copy. A desk that doesn't report them (None) has lost everything if its epoch is new.
        What it has accepted since the ``hello`` isn't lost: the offer was under way then, perhaps from another process.
        """
        before = await self._store.write(repository.desk_epoch)
        lost = before not in (None, epoch)
        for conversation in self._conversations.under_way:
            forgotten = lost if unknown is None else conversation.handoff_id in unknown
            is_older = self._accepted is None or str(conversation.handoff_id) in self._accepted
            if forgotten and conversation.desk_active and is_older:
                log.warning("The desk has lost handoff %s: it is offered again.", conversation.handoff_id)
                with isolated(log, "Handoff %s can't be offered again.", conversation.handoff_id):
                    await self.offer_again(conversation)
        if before != epoch:  # last: if the process is killed before, all offers are repeated
            await self._store.write(lambda connection: repository.keep_desk_epoch(connection, epoch))
        await self.apply_to_all(events.DeskBack)

    async def apply_to_all(self, kind: type[events.DeskLost | events.DeskBack]) -> None:
        """Apply an event of this kind to every conversation in which the desk is active."""
        for conversation in self._conversations.under_way:
            if conversation.desk_active:
                whose = short_id(conversation.conversation_id)
                with (
                    isolated(log, "%s can't be applied to %s.", kind.__name__, whose),
                    contextlib.suppress(IllegalEvent),
                ):
                    await self._conversations.apply(kind(**_of(conversation)))

    async def offer_again(self, conversation: Conversation) -> None:
        """Offer a handoff that the desk has lost again, with everything said since."""
        handoff_id = str(conversation.handoff_id)
        offer = await self._store.write(lambda connection: repository.offer_with_messages(connection, handoff_id))
        with contextlib.suppress(IllegalEvent):
            await self._conversations.apply(events.DeskForgot(**_of(conversation), offer=offer))

    async def offer_of_message_left(self, handoff_id: str) -> Offer | None:
        """Return the offer, with everything said since, if the customer left a message with this handoff; else None."""

        def read(connection: Connection) -> Offer | None:
            if not repository.message_was_left(connection, handoff_id):
                return None
            return repository.offer_with_messages(connection, handoff_id)

        return await self._store.write(read)


def remove_acknowledged(connection: Connection, last: Mapping[str, str]) -> None:
    """Remove outbox entries that the desk has acknowledged: of each handoff, up to and including this id.

    An offer stays until it is answered.
    """
    for handoff_id, entry_id in last.items():
        lane = repository.conversation_of(connection, handoff_id)
        waiting = repository.waiting_for_desk(connection, lane, handoff_id) if lane is not None else []
        counts = [count for count, entry in enumerate(waiting, start=1) if entry.id == entry_id]
        acknowledged = waiting[: counts[0]] if counts else []
        repository.outbox.remove(connection, [entry for entry in acknowledged if entry.name != OFFER])


def _of(conversation: Conversation) -> dict[str, Any]:
    return {"conversation_id": conversation.conversation_id, "handoff_id": conversation.handoff_id}
