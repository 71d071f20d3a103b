"""Closing: the bot ends a conversation (``custom: {handoff_close: {}}``), and the customer's next message begins a new session.

The only record is the tracker, which has the bot's message with its ``custom``.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Final

from rasa.core.channels.channel import OutputChannel
from rasa.shared.core.events import BotUttered, SessionStarted, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

from rasa_handoff.protocol.errors import MarkerError
from rasa_handoff.protocol.markers import Close, read_directives
from rasa_handoff.protocol.names import STATE_KEY

CLOSED: Final[Mapping[str, Any]] = {"active": "closed", "agent": None}
"""The state that a front end gets for a closed conversation, in place of ``Conversation.active_party``."""


class Closing:
    """Tells front ends that a conversation is closed.

    ``state_messages``: the channels on which a message with the state is sent. ``on_closed``, if set, is called with the
    conversation's id.
    """

    def __init__(self, state_messages: Collection[str]) -> None:
        self._state_messages = state_messages
        self.on_closed: Callable[[str], Awaitable[None]] | None = None

    async def tell(self, conversation_id: str, channel: str, output: OutputChannel) -> None:
        """Tell the front end that the bot has just ended this conversation."""
        if self.on_closed is not None:
            await self.on_closed(conversation_id)
        if channel in self._state_messages:
            await output.send_response(conversation_id, {"custom": {STATE_KEY: CLOSED}})


def closed(tracker: DialogueStateTracker) -> bool:
    """Return whether the bot ended the conversation in its last turn."""
    for event in reversed(tracker.events):
        if isinstance(event, UserUttered | SessionStarted):
            return False
        if isinstance(event, BotUttered) and _closes((event.data or {}).get("custom")):
            return True
    return False


def _closes(custom: Any) -> bool:
    try:
        return any(isinstance(directive, Close) for directive in read_directives(custom))
    except MarkerError:
        return False  # logged when it was sent
