"""The parts of an answer to LivePerson (messages, actions, intents), and how a list of them is written.

What the bot says is first collected in the types below, then written for the surface that called: a LivePerson Function or Custom
Endpoint.
"""

from collections.abc import Sequence
from typing import Any, Final

from rasa_handoff.protocol.logs import get_log
from rasa_handoff.protocol.values import Value

log = get_log(__name__)

TRANSFER: Final = "TRANSFER"
CLOSE: Final = "CLOSE_CONVERSATION"
CHANGE_TTR: Final = "CHANGE_TTR"
INVOCATION: Final = "INVOCATION"
ACTIONS: Final = (TRANSFER, CLOSE, INVOCATION, CHANGE_TTR)
"""LivePerson's actions, as a Function names them. An answer may have one: of several, the one that is first here."""

PRIVATE: Final = "AGENTS_AND_MANAGERS"
"""The audience of a message that the customer doesn't see."""
LONGEST_NAME: Final = 256
"""Characters of an intent's id and name."""

Metadata = tuple[dict[str, Any], ...]


class Text(Value, frozen=True, tag=True):
    """A message. ``private``: for agents and managers alone. ``encoded``: ``encodedMetadata``, in base64."""

    text: str
    private: bool = False
    metadata: Metadata = ()
    encoded: str | None = None


class Rich(Value, frozen=True, tag=True):
    """Structured content that was checked (``structured_content.py``). ``encoded``: ``encodedMetadata``, in base64."""

    content: dict[str, Any]
    metadata: Metadata = ()
    encoded: str | None = None


class Delay(Value, frozen=True, tag=True):
    """A pause before the next message, in whole seconds."""

    seconds: int
    typing: bool = True


class Action(Value, frozen=True, tag=True):
    """An action that LivePerson carries out after the messages. ``parameters``: by a Function's names."""

    name: str
    parameters: dict[str, Any] = {}


class Intent(Value, frozen=True):
    """An intent, with its confidence from 0 to 1."""

    id: str
    name: str
    confidence: float


class Understood(Value, frozen=True, tag=True):
    """The intents that the NLU found in the customer's message, likeliest first; agents see them."""

    intents: tuple[Intent, ...]


Saying = Text | Rich | Delay | Action | Understood
"""One part of an answer. It is also stored as JSON, with the name of its type."""

SILENCE: Final = Delay(seconds=1, typing=False)
"""The answer that says nothing. Without any message LivePerson takes the bot for failed."""


def hands_over(saying: Saying) -> bool:
    """Return whether this gives the conversation to somebody else."""
    return isinstance(saying, Action) and saying.name == TRANSFER


def function_answer(sayings: Sequence[Saying]) -> dict[str, Any]:
    """Write the answer to a Function.

    https://developers.liveperson.com/third-party-bots-liveperson-functions-basic-content.html
    """
    action, intents = _action(sayings), _intents(sayings)
    shown = _shown(sayings, action)
    context: dict[str, Any] = {}
    for text in (one for one in shown if isinstance(one, Text) and not one.private):
        # A plain text has no place for metadata, so the context gets it; of several texts, the last one's counts.
        context.update(_attached(text))
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
    """Write the answer to Custom Endpoint.

    https://developers.liveperson.com/third-party-bots-custom-endpoint-basic-content.html
    """
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
    """Return the answer's action. LivePerson takes only one; a transfer takes precedence."""
    actions = sorted((one for one in sayings if isinstance(one, Action)), key=lambda one: ACTIONS.index(one.name))
    for other in actions[1:]:
        log.warning("LivePerson takes one action in an answer: %s goes before %s.", actions[0].name, other.name)
    return actions[0] if actions else None


def _intents(sayings: Sequence[Saying]) -> tuple[Intent, ...]:
    found = [one.intents for one in sayings if isinstance(one, Understood)]
    return found[-1] if found else ()


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
    """Translate an action into Custom Endpoint's names."""
    parameters = dict(action.parameters)
    if action.name == TRANSFER and "skill" in parameters:
        parameters = {"skillName": parameters.pop("skill"), **parameters}
    return {"name": "INVOKE_FUNCTION" if action.name == INVOCATION else action.name, "parameters": parameters}
