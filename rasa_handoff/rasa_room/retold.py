"""A turn that was finished by a process that was killed before it could say so: what came of it is in the tracker.

Rasa saves a turn whole or not at all, and each user event carries its message's id.
"""

from typing import Any

from rasa.core.channels.channel import UserMessage
from rasa.shared.core.events import BotUttered, UserUttered
from rasa.shared.core.trackers import DialogueStateTracker

Told = tuple[dict[str, Any], list[dict[str, Any]]]
"""What the NLU made of a message, and what the bot said to it, as Rasa's message dicts."""


def told_in_turn(tracker: DialogueStateTracker, message: UserMessage) -> Told | None:
    """What the NLU and the bot made of this message in a turn that was finished; None if there was none."""
    events = list(tracker.events)
    for place in reversed(range(len(events))):
        event = events[place]
        if isinstance(event, UserUttered) and event.message_id == message.message_id:
            after = events[place + 1 :]
            end = next((at for at, later in enumerate(after) if isinstance(later, UserUttered)), len(after))
            return dict(event.parse_data), [later.message() for later in after[:end] if isinstance(later, BotUttered)]
    return None
