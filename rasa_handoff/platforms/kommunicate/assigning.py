"""Handing over, in Kommunicate's words: metadata of a message that says whose the conversation is now."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from rasa_handoff.platforms.kommunicate.writing import Message
from rasa_handoff.vocabulary.kommunicate import KommunicateSettings
from rasa_handoff.vocabulary.marker import HandoffRequest

log = logging.getLogger(__name__)

AGENT: Final = "KM_ASSIGN_TO"
"""An agent's id; empty: whoever the conversation rules of the dashboard name. It wins over the team."""
TEAM: Final = "KM_ASSIGN_TEAM"


def assignment(request: HandoffRequest, settings: KommunicateSettings) -> dict[str, str]:
    """The metadata for a wish of the bot's. A name the settings don't know is left to the rules: somebody comes."""
    if request.agent is not None:
        if request.agent in settings.agents:
            return {AGENT: str(settings.agents[request.agent])}
        log.warning("The agent %r doesn't stand under 'agents': passed over.", request.agent)
    department = settings.departments.get(request.department or "")
    if request.department is not None and department is None:
        log.warning("The department %r doesn't stand under 'departments': left to the rules.", request.department)
    if department is not None and department.agent is not None:
        return {AGENT: str(department.agent)}
    if department is not None and department.team is not None:
        return {TEAM: str(department.team)}
    return {AGENT: ""}


def with_assignment(messages: Sequence[Message], metadata: dict[str, str]) -> list[Message]:
    """The messages with the handoff on the last text; a message of its own, which the widget hides, where there is none."""
    if messages and "metadata" not in messages[-1]:
        return [*messages[:-1], {**messages[-1], "metadata": metadata}]
    return [*messages, {"message": "", "metadata": metadata}]


def hands_over(message: Message) -> bool:
    """Whether this message gives the conversation to people."""
    metadata: Any = message.get("metadata")
    return isinstance(metadata, dict) and (AGENT in metadata or TEAM in metadata)
