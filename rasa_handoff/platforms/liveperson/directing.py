"""The directives (``vocabulary/directives.py``) in LivePerson's words."""

from collections.abc import Mapping
from typing import Any, Final

from rasa_handoff.platforms.liveperson.sayings import CHANGE_TTR, CLOSE, TRANSFER, Action, Saying
from rasa_handoff.vocabulary.directives import Close, Directive, SetPriority, Transfer, key_of, read_directives
from rasa_handoff.vocabulary.errors import MarkerError
from rasa_handoff.vocabulary.log_values import get_log
from rasa_handoff.vocabulary.values import Priority

log = get_log(__name__)

TTR: Final = {
    Priority.LOW: "NORMAL",
    Priority.NORMAL: "NORMAL",
    Priority.HIGH: "PRIORITIZED",
    Priority.URGENT: "URGENT",
}
"""How LivePerson calls our priorities; how long each may take is set there."""


def directed(custom: Mapping[str, Any], other_bots: Mapping[str, str]) -> list[Saying] | None:
    """The actions that directives ask for; None if there is none. What doesn't fit is logged and does nothing."""
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
