"""What the bot says, written for the surface that asked: a Function's answer, or Custom Endpoint's."""

from collections.abc import Sequence
from typing import Any, Final

from rasa_handoff.platforms.liveperson.native import PRIVATE
from rasa_handoff.platforms.liveperson.sayings import (
    ACTIONS,
    INVOCATION,
    TRANSFER,
    Action,
    Delay,
    Intent,
    Rich,
    Saying,
    Text,
    Understood,
)
from rasa_handoff.vocabulary.log_values import get_log

log = get_log(__name__)

SILENCE: Final = Delay(seconds=1, typing=False)
"""The answer that says nothing: one with no message at all is a bot that failed."""
LONGEST_NAME: Final = 256
"""Characters of an intent's id and name."""


def function_answer(sayings: Sequence[Saying]) -> dict[str, Any]:
    """https://developers.liveperson.com/third-party-bots-liveperson-functions-basic-content.html"""
    action, intents = _action(sayings), _intents(sayings)
    shown = _shown(sayings, action)
    context: dict[str, Any] = {}
    for text in (one for one in shown if isinstance(one, Text) and not one.private):
        context.update(_attached(text))  # a plain text has no place for it: LivePerson's goes for all messages
    if intents:
        context.update(_function_intent(intents[0]))
        if intents[1:]:
            context["alternativeIntents"] = [_function_intent(intent) for intent in intents[1:]]
    if action is not None:
        context["action"] = action.name
        if action.parameters:
            context["actionParameters"] = action.parameters
    return {"messages": [_function_message(one) for one in shown], "context": context}


def endpoint_answer(sayings: Sequence[Saying]) -> dict[str, Any]:
    """https://developers.liveperson.com/third-party-bots-custom-endpoint-basic-content.html"""
    action = _action(sayings)
    response = [_endpoint_message(one) for one in _shown(sayings, action)]
    if action is not None:
        response.append({"type": "ACTION", "data": _endpoint_action(action)})
    intents = [
        {"id": "_".join(one.id.split())[:LONGEST_NAME], "description": one.name, "confidenceScore": one.confidence}
        for one in _intents(sayings)
    ]
    return {"response": response, "analytics": {"intents": intents}}


def _action(sayings: Sequence[Saying]) -> Action | None:
    """The one that is asked for. LivePerson takes one in an answer: a transfer before all."""
    asked = sorted((one for one in sayings if isinstance(one, Action)), key=lambda one: ACTIONS.index(one.name))
    for other in asked[1:]:
        log.warning("LivePerson takes one action in an answer: %s goes before %s.", asked[0].name, other.name)
    return asked[0] if asked else None


def _intents(sayings: Sequence[Saying]) -> tuple[Intent, ...]:
    told = [one.intents for one in sayings if isinstance(one, Understood)]
    return told[-1] if told else ()


def _shown(sayings: Sequence[Saying], action: Action | None) -> list[Text | Rich | Delay]:
    shown = [one for one in sayings if isinstance(one, Text | Rich | Delay)]
    return shown or ([] if action is not None else [SILENCE])


def _attached(saying: Text | Rich) -> dict[str, Any]:
    attached: dict[str, Any] = {"metadata": list(saying.metadata)} if saying.metadata else {}
    return {**attached, **({"encodedMetadata": saying.encoded} if saying.encoded else {})}


def _function_message(saying: Text | Rich | Delay) -> Any:
    if isinstance(saying, Delay):
        return {"delay": saying.seconds, "typing": saying.typing}
    if isinstance(saying, Rich):
        return {"structuredContent": saying.content, **_attached(saying)}
    return {"text": saying.text, "messageAudience": PRIVATE, **_attached(saying)} if saying.private else saying.text


def _function_intent(intent: Intent) -> dict[str, Any]:
    id, name = intent.id[:LONGEST_NAME], intent.name[:LONGEST_NAME]
    return {"intentId": id, "intentName": name, "confidenceScore": intent.confidence}


def _endpoint_message(saying: Text | Rich | Delay) -> dict[str, Any]:
    if isinstance(saying, Delay):
        return {"type": "DELAY", "data": {"seconds": saying.seconds, "typing": saying.typing}}
    if isinstance(saying, Rich):
        return {"type": "STRUCTURED_CONTENT", "data": {"structuredContent": saying.content, **_attached(saying)}}
    private = {"messageAudience": PRIVATE} if saying.private else {}
    return {"type": "TEXT", "data": {"message": saying.text, **private, **_attached(saying)}}


def _endpoint_action(action: Action) -> dict[str, Any]:
    """The same by its names there."""
    parameters = dict(action.parameters)
    if action.name == TRANSFER and "skill" in parameters:
        parameters = {"skillName": parameters.pop("skill"), **parameters}
    return {"name": "INVOKE_FUNCTION" if action.name == INVOCATION else action.name, "parameters": parameters}
