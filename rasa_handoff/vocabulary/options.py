"""The options a customer is offered, as Rasa buttons. The channel and the actions both offer these."""

import json
from collections.abc import Mapping
from typing import Any

from rasa_handoff.vocabulary.names import CARRY_ON_INTENT, DEPARTMENT_ENTITY, EXECUTE_INTENT
from rasa_handoff.vocabulary.shapes import own_buttons, payload_of
from rasa_handoff.vocabulary.values import Availability

Button = dict[str, str]


def somebody_there(availability: Availability) -> bool:
    """Whether there is anything to offer: a department, or anybody at all where there are no departments."""
    return bool(availability.offered) or (availability.staffed and not availability.departments)


def option_buttons(
    availability: Availability,
    *,
    anybody: str,
    carry_on: str,
    execute_intent: str = EXECUTE_INTENT,
    carry_on_intent: str = CARRY_ON_INTENT,
) -> list[Button]:
    """One button per available department, then carry on with the bot.

    Where the desk has no departments, one button hands over to whoever is free; ``anybody`` is its title,
    ``carry_on`` that of the last one. The payload is ``/execute_handoff{"department": "billing"}``.
    """
    buttons = [
        {"title": department.label, "payload": f"/{execute_intent}{_entity(department.name)}"}
        for department in availability.offered
    ]
    if not availability.departments:
        buttons = [{"title": anybody, "payload": f"/{execute_intent}"}]
    return [*buttons, {"title": carry_on, "payload": f"/{carry_on_intent}"}]


def shows_options(message: Mapping[str, Any], prefix: str) -> bool:
    """Whether one of Rasa's messages has such buttons. ``prefix``: how their payloads begin, ``/execute_handoff``."""
    return any(payload_of(button).startswith(prefix) for button in own_buttons(message))


def title_of(domain: Any, response: str, otherwise: str) -> str:
    """The text of a response, to be used as a button's title; ``otherwise`` where the domain has none."""
    responses = (domain or {}).get("responses") or {}
    for variation in responses.get(response) or ():
        if variation.get("text"):
            return str(variation["text"])
    return otherwise


def _entity(department: str) -> str:
    return json.dumps({DEPARTMENT_ENTITY: department})
