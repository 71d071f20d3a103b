"""Who speaks in a message to a customer, as a page or a mailbox learns it beside the message."""

from typing import Any

from rasa_handoff.protocol import names
from rasa_handoff.protocol.outbox_bodies import CustomerBody
from rasa_handoff.protocol.values import Speaker
from rasa_handoff.store.outbox import Entry


def speaker_of(entry: Entry) -> dict[str, Any]:
    """Return who speaks, under :data:`~rasa_handoff.protocol.names.SPEAKER_KEY`; nothing for the bot."""
    kind = {Speaker.AGENT.value: "agent", Speaker.SYSTEM.value: "notice"}.get(entry.name)
    return {names.SPEAKER_KEY: {"kind": kind, "name": entry.read(CustomerBody).agent}} if kind is not None else {}
