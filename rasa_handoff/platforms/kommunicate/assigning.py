"""Handing over, in Kommunicate's words: metadata of a message that says whose the conversation is now."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from rasa_handoff.platforms.kommunicate.writing import Message
from rasa_handoff.vocabulary.kommunicate import KommunicateSettings
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.marker import HandoffRequest
from rasa_handoff.vocabulary.values import Priority

log = get_log(__name__)

AGENT: Final = "KM_ASSIGN_TO"
"""An agent's id; empty: whoever the conversation rules of the dashboard name. It wins over the team."""
TEAM: Final = "KM_ASSIGN_TEAM"
CONTEXT: Final = "KM_CHAT_CONTEXT"
"""What a message means, beside its words; here: why it hands over, under ``handoff``."""


def assignment(request: HandoffRequest, settings: KommunicateSettings) -> dict[str, Any]:
    """The metadata for a wish of the bot's: whose the conversation is, and what the bot says about it."""
    about = about_handoff(request) if settings.handoff_context else {}
    return {**_assignee(request, settings), **({CONTEXT: {"handoff": about}} if about else {})}


def about_handoff(request: HandoffRequest) -> dict[str, Any]:
    """Reason, priority, note and contact, as far as the marker has them."""
    found = {"reason": request.reason, "note": request.note}
    if (priority := request.priority or Priority.NORMAL) is not Priority.NORMAL:
        found["priority"] = priority.value
    contact = {"name": request.contact.name, "email": request.contact.email, "phone": request.contact.phone}
    about: dict[str, Any] = {name: value for name, value in found.items() if value}
    if contact := {name: value for name, value in contact.items() if value}:
        about["contact"] = contact
    return about


def details(request: HandoffRequest) -> dict[str, Any]:
    """The same as a customer's details at Kommunicate: name and e-mail in their fields, the rest in ``metadata``."""
    about = about_handoff(request)
    contact = about.pop("contact", {})
    notes = {f"handoff_{name}": value for name, value in about.items()}
    if "phone" in contact:
        notes["phone"] = contact["phone"]
    found = {"displayName": contact.get("name"), "email": contact.get("email"), "metadata": notes}
    return {name: value for name, value in found.items() if value}


def _assignee(request: HandoffRequest, settings: KommunicateSettings) -> dict[str, str]:
    """A name the settings don't know is left to the rules: somebody comes."""
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


def with_assignment(messages: Sequence[Message], metadata: dict[str, Any]) -> list[Message]:
    """The messages with the handoff on the last text; a message of its own, which the widget hides, where there is none."""
    if messages and "metadata" not in messages[-1]:
        return [*messages[:-1], {**messages[-1], "metadata": metadata}]
    return [*messages, {"message": "", "metadata": metadata}]


def assigns(message: Message) -> bool:
    """Whether this message says whose the conversation is now."""
    metadata: Any = message.get("metadata")
    return isinstance(metadata, dict) and (AGENT in metadata or TEAM in metadata)


def hands_over(message: Message, bots: Collection[str]) -> bool:
    """Whether this message gives the conversation to people, and not to one of our bots. The agent wins over the team."""
    if not assigns(message):
        return False
    agent = message["metadata"].get(AGENT)
    return not (isinstance(agent, str) and agent in bots)


def handing(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What of a message's metadata is about a handoff."""
    return {name: value for name, value in metadata.items() if name in (AGENT, TEAM, CONTEXT)}
