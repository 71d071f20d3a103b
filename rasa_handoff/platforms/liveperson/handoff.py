"""Handoffs and directives in LivePerson's terms.

A handoff is a transfer to a skill, with a private note for the agent who gets it. The directives (``protocol/markers.py``) become
LivePerson's actions.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rasa_handoff.core.transcript import transcript
from rasa_handoff.platforms.liveperson.answer_parts import CHANGE_TTR, CLOSE, TRANSFER, Action, Saying, Text
from rasa_handoff.platforms.liveperson.settings import LivePersonSettings
from rasa_handoff.protocol.errors import MarkerError
from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.markers import (
    Close,
    Directive,
    HandoffRequest,
    SetPriority,
    Transfer,
    key_of,
    read_directives,
)
from rasa_handoff.protocol.values import Line, Priority, Speaker

log = get_log(__name__)

LONGEST_NOTE: Final = 2_000
"""Characters of the note. It has the transcript's last lines that fit; agents can read the whole transcript above it."""
SPEAKERS: Final = {Speaker.CUSTOMER: "Customer", Speaker.BOT: "Bot", Speaker.AGENT: "Agent", Speaker.SYSTEM: "Notice"}
TTR: Final = {
    Priority.LOW: "NORMAL",
    Priority.NORMAL: "NORMAL",
    Priority.HIGH: "PRIORITIZED",
    Priority.URGENT: "URGENT",
}
"""LivePerson's names for our priorities. How long each may take is set at LivePerson."""


def transfer(request: HandoffRequest, settings: LivePersonSettings) -> Action:
    """Return the transfer that carries out a handoff request.

    A department that isn't in the settings goes to ``skill``, so that somebody comes.
    """
    department = settings.departments.get(settings.department_name(request.department))
    if request.department is not None and department is None:
        log.warning("The department %r doesn't stand under 'departments': left to 'skill'.", request.department)
    skill = settings.skill
    if department is not None:
        skill = department.priorities.get(request.priority or Priority.NORMAL, department.skill)
    parameters = {"skill": skill}
    if agent := _agent(request, settings) or (department.agent if department is not None else None):
        parameters["agentId"] = agent
    return Action(name=TRANSFER, parameters=parameters)


def _agent(request: HandoffRequest, settings: LivePersonSettings) -> str | None:
    if request.agent is not None and request.agent not in settings.agents:
        log.warning("The agent %r doesn't stand under 'agents': passed over.", request.agent)
    return settings.agents.get(request.agent or "")


def note(request: HandoffRequest, happened: Iterable[Mapping[str, Any]]) -> Saying | None:
    """Return the private note for the agent: the handoff request and the transcript's last lines.

    None if there is nothing to say.
    """
    about = _request_lines(request)
    space = LONGEST_NOTE - sum(len(line) + 1 for line in about)
    text = "\n".join([*about, *_last_lines(transcript(happened), space)])
    return Text(text=text[:LONGEST_NOTE], private=True) if text else None


def _request_lines(request: HandoffRequest) -> list[str]:
    priority = request.priority or Priority.NORMAL
    contact = (request.contact.name, request.contact.email, request.contact.phone)
    fields = {
        "Department": request.department,
        "Priority": priority.value if priority is not Priority.NORMAL else None,
        "Reason": request.reason,
        "Note": request.note,
        "Contact": ", ".join(part for part in contact if part),
        "Language": request.language,
    }
    return [f"{name}: {value}" for name, value in fields.items() if value]


def _last_lines(lines: Sequence[Line], space: int) -> list[str]:
    """Return the last lines that fit into so many characters."""
    kept: list[str] = []
    for line in reversed(lines):
        shown = f"{SPEAKERS[line.speaker]}: {line.text}"
        space -= len(shown) + 1
        if space < 0:
            break
        kept.insert(0, shown)
    return kept


def actions_for_directives(custom: Mapping[str, Any], other_bots: Mapping[str, str]) -> list[Saying] | None:
    """Return the actions that directives ask for; None if there are no directives. One that can't be carried out is logged."""
    try:
        directives = read_directives(custom)
    except MarkerError as problem:
        log.error("A directive can't be read: %s", problem)
        return []
    return [action for one in directives if (action := _action(one, other_bots))] if directives else None


def _action(directive: Directive, other_bots: Mapping[str, str]) -> Action | None:
    if isinstance(directive, Close):
        return Action(name=CLOSE, parameters={"withoutPcs": True} if directive.without_survey else {})
    if isinstance(directive, SetPriority):
        return Action(name=CHANGE_TTR, parameters=_ttr(directive))
    if isinstance(directive, Transfer):
        skill = directive.skill or other_bots.get(directive.bot or "")
        if skill is not None:
            return Action(name=TRANSFER, parameters={"skill": skill})
        log.error("The bot %r doesn't stand under 'other_bots': nothing is transferred.", directive.bot)
    else:
        log.error(
            "LivePerson's channel can't do what %s asks for: write handoff or handoff_transfer.", key_of(directive)
        )
    return None


def _ttr(directive: SetPriority) -> dict[str, str]:
    if directive.seconds is not None:
        return {"ttrType": "CUSTOM", "value": str(directive.seconds)}
    return {"ttrType": TTR[directive.priority or Priority.NORMAL]}
