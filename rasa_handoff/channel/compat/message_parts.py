"""Parts of messages: Rasa may send one message in several (paragraphs, a picture, buttons), and each gets an id of its own."""

from typing import Any

from rasa.core.channels.channel import CollectingOutputChannel, OutputChannel

Message = dict[str, Any]
Emission = tuple[str, Any, dict[str, Any]]
"""An event, its payload and the other arguments of ``emit``."""


def ids_of_parts(id: str, parts: int) -> list[str]:
    """Return the ids for the parts of one message; the last part has the message's own."""
    return [*(f"{id}.{number}" for number in range(1, parts)), id][:parts]


async def send_with_ids(output: OutputChannel, conversation_id: str, message: Message, id: str) -> None:
    """Send a message through a collecting output, each part with an ``id`` beside Rasa's keys, which front ends ignore."""
    # The method of the class: the instance's may be observed, or write to the outbox, where this message comes from.
    send = type(output).send_response
    if not isinstance(output, CollectingOutputChannel):
        await send(output, conversation_id, message)
        return
    parts: list[Message] = []
    persist = output._persist_message

    async def collect(part: Message) -> None:
        parts.append(part)

    output._persist_message = collect
    try:
        await send(output, conversation_id, message)
    finally:
        del output._persist_message
    for part, part_id in zip(parts, ids_of_parts(id, len(parts)), strict=True):
        await persist({**part, "id": part_id})


class Recorder:
    """Stands in for the Socket.IO server, to record what an output emits."""

    def __init__(self) -> None:
        self.emitted: list[Emission] = []

    async def emit(self, event: str, data: Any = None, **more: Any) -> None:
        """Record an emission."""
        self.emitted.append((event, data, more))
