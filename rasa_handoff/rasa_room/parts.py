"""One of Rasa's messages may go out in several parts (paragraphs, a picture, buttons): each has an id of its own."""

from typing import Any

from rasa.core.channels.channel import CollectingOutputChannel, OutputChannel

Message = dict[str, Any]
Emission = tuple[str, Any, dict[str, Any]]
"""An event, its payload and what else ``emit`` was given."""


def ids_of_parts(id: str, parts: int) -> list[str]:
    """Ids for the parts one message is sent in; the last one's is the message's."""
    return [*(f"{id}.{number}" for number in range(1, parts)), id][:parts]


async def send_with_ids(output: OutputChannel, conversation_id: str, message: Message, id: str) -> None:
    """Through a collecting output, each part with an ``id`` beside Rasa's keys, which front ends pass over."""
    # The class's own: on this object it may be watched, or kept for the outbox, where these words come from.
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
    """Stands in for the Socket.IO server while an output says what it would emit."""

    def __init__(self) -> None:
        self.emitted: list[Emission] = []

    async def emit(self, event: str, data: Any = None, **more: Any) -> None:
        """Note it."""
        self.emitted.append((event, data, more))
