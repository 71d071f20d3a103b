"""Turns of the bot that Rasa couldn't save, kept as outbox entries until the tracker can be written again.

A turn's entry waits in the tracker's lane of its conversation, so it is written in order with everything else.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy.engine import Connection

from rasa_handoff.protocol.errors import StoreError
from rasa_handoff.protocol.limits import LONGEST_LANE
from rasa_handoff.protocol.logs import short_id
from rasa_handoff.protocol.outbox_bodies import TurnBody
from rasa_handoff.relay import repository
from rasa_handoff.relay.relay import Relay
from rasa_handoff.relay.repository import TRACKER
from rasa_handoff.store.outbox import Entry
from rasa_handoff.store.tasks import finish_despite_cancellation

TURN: Final = TurnBody.kind
"""The name of an outbox entry that holds the events of a turn."""


async def keep_turn(relay: Relay, conversation_id: str, turn: Sequence[Mapping[str, Any]]) -> None:
    """Store the events of a turn, each as Rasa's ``Event.as_dict`` gives it, to be written to the tracker later.

    Raises:
        StoreError: they can't be stored, for example because too many wait already.
    """
    entry = Entry.of(TRACKER, conversation_id, TURN, TurnBody(events=[dict(event) for event in turn]))

    def put(connection: Connection) -> None:
        if repository.outbox.is_full(connection, TRACKER, conversation_id):
            raise StoreError(f"{LONGEST_LANE:,} changes wait for the tracker of {short_id(conversation_id)}.")
        repository.outbox.put(connection, [entry])

    async def keep() -> None:
        await relay.store.write(put)
        await relay.notify(TRACKER, conversation_id)

    await finish_despite_cancellation(keep())


async def has_kept_turn(relay: Relay, conversation_id: str) -> bool:
    """Return whether a turn of this conversation waits to be written to the tracker.

    Raises:
        StoreError: the database can't be used now.
    """
    # A lane of the tracker has a task of the dispatcher as long as entries wait in it, so most calls need no query.
    if not relay.delivers(TRACKER, conversation_id):
        return False
    return any(entry.name == TURN for entry in await relay.waiting_entries(TRACKER, conversation_id))
