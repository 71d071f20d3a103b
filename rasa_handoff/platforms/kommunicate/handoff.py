"""Handoffs and directives in Kommunicate's terms.

A handoff is metadata of a message, which says who has the conversation from now on. The directives (``protocol/markers.py``)
become actions at the desk:

- ``handoff_close: {}`` resolves the conversation;
- ``handoff_assign: thandi`` gives it to an agent, by the name in the settings or by Kommunicate's id, or to a bot, by its id;
- ``handoff_transfer: {bot: my-bot-id}`` gives it to a bot.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from rasa_handoff.platforms.kommunicate.settings import KommunicateSettings
from rasa_handoff.protocol.errors import MarkerError
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.markers import (
    Assign,
    Close,
    Directive,
    HandoffRequest,
    SetPriority,
    Transfer,
    key_of,
    read_directives,
    without_directives,
)
from rasa_handoff.protocol.values import Priority, Value

log = get_log(__name__)

KommunicateMessage = dict[str, Any]
"""A message as Kommunicate's webhook and REST API take it."""

AGENT: Final = "KM_ASSIGN_TO"
"""Key of an agent's id; empty: the agent that the dashboard's conversation rules name. It takes precedence over the team."""
TEAM: Final = "KM_ASSIGN_TEAM"
"""Key of a team's id."""
CONTEXT: Final = "KM_CHAT_CONTEXT"
"""Key of the chat context, which the customer doesn't see. What the bot says about a handoff is in it, under ``handoff``."""


def assignment(request: HandoffRequest, settings: KommunicateSettings) -> dict[str, Any]:
    """Return the metadata that carries out a handoff request: who gets the conversation, and what the bot says about it."""
    about = about_handoff(request) if settings.handoff_context else {}
    return {**_assignee(request, settings), **({CONTEXT: {"handoff": about}} if about else {})}


def about_handoff(request: HandoffRequest) -> dict[str, Any]:
    """Return reason, priority, note and contact, as far as the request has them."""
    found = {"reason": request.reason, "note": request.note}
    if (priority := request.priority or Priority.NORMAL) is not Priority.NORMAL:
        found["priority"] = priority.value
    contact = {"name": request.contact.name, "email": request.contact.email, "phone": request.contact.phone}
    about: dict[str, Any] = {name: value for name, value in found.items() if value}
    if contact := {name: value for name, value in contact.items() if value}:
        about["contact"] = contact
    return about


def details(request: HandoffRequest) -> dict[str, Any]:
    """Return :func:`about_handoff` as Kommunicate's customer details: name and e-mail as fields, the rest in ``metadata``."""
    about = about_handoff(request)
    contact = about.pop("contact", {})
    notes = {f"handoff_{name}": value for name, value in about.items()}
    if "phone" in contact:
        notes["phone"] = contact["phone"]
    found = {"displayName": contact.get("name"), "email": contact.get("email"), "metadata": notes}
    return {name: value for name, value in found.items() if value}


def _assignee(request: HandoffRequest, settings: KommunicateSettings) -> dict[str, str]:
    """Return who gets the conversation.

    A name that isn't in the settings is left to the dashboard's rules, so that somebody comes.
    """
    if request.agent is not None:
        if request.agent in settings.agents:
            return {AGENT: str(settings.agents[request.agent])}
        log.warning("The agent %r doesn't stand under 'agents': passed over.", request.agent)
    department = settings.departments.get(settings.department_name(request.department))
    if request.department is not None and department is None:
        log.warning("The department %r doesn't stand under 'departments': left to the rules.", request.department)
    if department is not None and department.agent is not None:
        return {AGENT: str(department.agent)}
    if department is not None and department.team is not None:
        return {TEAM: str(department.team)}
    return {AGENT: ""}


def with_assignment(messages: Sequence[KommunicateMessage], metadata: dict[str, Any]) -> list[KommunicateMessage]:
    """Return the messages with the handoff on the last one if it is a plain text, else on a message of its own, which the
    widget hides."""
    if messages and "metadata" not in messages[-1]:
        return [*messages[:-1], {**messages[-1], "metadata": metadata}]
    return [*messages, {"message": "", "metadata": metadata}]


def assigns(message: KommunicateMessage) -> bool:
    """Return whether this message says who has the conversation from now on."""
    metadata: Any = message.get("metadata")
    return isinstance(metadata, dict) and (AGENT in metadata or TEAM in metadata)


def hands_over(message: KommunicateMessage, bots: Collection[str]) -> bool:
    """Return whether this message gives the conversation to people, and not to one of our bots."""
    if not assigns(message):
        return False
    agent = message["metadata"].get(AGENT)  # it takes precedence over the team
    return not (isinstance(agent, str) and agent in bots)


def handoff_metadata(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a message's metadata that is about a handoff."""
    return {name: value for name, value in metadata.items() if name in (AGENT, TEAM, CONTEXT)}


class DeskAction(Value, frozen=True):
    """An action at the desk: give the conversation to ``assign``, an agent's or bot's id at Kommunicate; None: resolve it."""

    assign: str | None = None


def split_directives(
    message: Mapping[str, Any], settings: KommunicateSettings
) -> tuple[Mapping[str, Any], list[DeskAction]]:
    """Return one of Rasa's messages without its directives, and the desk actions they ask for. One that can't be carried out is
    logged and left out."""
    custom = message.get("custom")
    if not isinstance(custom, Mapping):
        return message, []
    try:
        desk_actions = [desk_action for one in read_directives(custom) if (desk_action := _desk_action(one, settings))]
    except MarkerError as problem:
        log.error("A directive can't be read: %s", problem)
        desk_actions = []
    # Resolving comes last: any other action in a resolved conversation opens it again.
    desk_actions.sort(key=lambda desk_action: desk_action.assign is None)
    return {**message, "custom": without_directives(custom)}, desk_actions


def _desk_action(directive: Directive, settings: KommunicateSettings) -> DeskAction | None:
    if isinstance(directive, Close):
        return DeskAction()
    if isinstance(directive, Assign):
        return DeskAction(assign=str(settings.agents.get(directive.to, directive.to)))
    if isinstance(directive, Transfer) and directive.bot in settings.bots:
        return DeskAction(assign=directive.bot)
    if isinstance(directive, Transfer):
        log.error("The bot %r doesn't stand under 'bots': nothing is transferred.", directive.bot or directive.skill)
        return None
    if isinstance(directive, SetPriority):
        log.info("Kommunicate has no priorities: this one is only in the handoff's details, if at all.")
        return None
    log.error("Kommunicate's channel can't do what %s asks for.", key_of(directive))
    return None
