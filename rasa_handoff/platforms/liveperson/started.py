"""Conversations of Custom Endpoint, which are created before the first event and carry the engagement attributes.

They live in this process. LivePerson answers a 404 by creating the conversation again and sending its event once more, so after a
restart the attributes come back. That is asked for once: with several processes the second call may come to another one.
"""

from typing import Any

from rasa_handoff.platforms.answers import put

Context = dict[str, Any]


class Started:
    """What each was created with; bounded."""

    def __init__(self) -> None:
        self._contexts: dict[str, Context | None] = {}

    def create(self, conversation_id: str, context: Context) -> bool:
        """Note what it is created with; False if it was there."""
        new = self._contexts.get(conversation_id) is None
        put(self._contexts, conversation_id, context)
        return new

    def context(self, conversation_id: str) -> Context | None:
        """What it was created with; None the first time it isn't known, then nothing."""
        known = conversation_id in self._contexts
        context = self._contexts.get(conversation_id)
        put(self._contexts, conversation_id, context)
        return (context or {}) if known else None
