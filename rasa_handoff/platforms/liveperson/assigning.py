"""Handing over, in LivePerson's words: a transfer to a skill, and a private note for whoever gets it."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from rasa_handoff.platforms.liveperson.sayings import TRANSFER, Action, Saying, Text
from rasa_handoff.thinking.transcript import transcript
from rasa_handoff.vocabulary.liveperson import LivePersonSettings
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.marker import HandoffRequest
from rasa_handoff.vocabulary.values import Line, Priority, Speaker

log = get_log(__name__)

LONGEST_NOTE: Final = 2_000
"""Characters; the transcript's last lines that fit. LivePerson's agents can read the whole above it."""
SPEAKERS: Final = {Speaker.CUSTOMER: "Customer", Speaker.BOT: "Bot", Speaker.AGENT: "Agent", Speaker.SYSTEM: "Notice"}


def transfer(request: HandoffRequest, settings: LivePersonSettings) -> Action:
    """The transfer for a wish of the bot's. A name the settings don't know goes to ``skill``: somebody comes."""
    department = settings.departments.get(request.department or "")
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
    """What an agent should know, for agents alone: what the handoff says, and what was said last. None: nothing."""
    told = _told(request)
    room = LONGEST_NOTE - sum(len(line) + 1 for line in told)
    words = "\n".join([*told, *_last(transcript(happened), room)])
    return Text(text=words[:LONGEST_NOTE], private=True) if words else None


def _told(request: HandoffRequest) -> list[str]:
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


def _last(lines: Sequence[Line], room: int) -> list[str]:
    kept: list[str] = []
    for line in reversed(lines):
        words = f"{SPEAKERS[line.speaker]}: {line.text}"
        room -= len(words) + 1
        if room < 0:
            break
        kept.insert(0, words)
    return kept
