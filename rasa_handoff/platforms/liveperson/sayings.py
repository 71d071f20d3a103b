"""What a bot says to LivePerson, before it is written for one of the two surfaces (``responding.py``)."""

from typing import Any, Final

from rasa_handoff.vocabulary.values import Value

TRANSFER: Final = "TRANSFER"
CLOSE: Final = "CLOSE_CONVERSATION"
CHANGE_TTR: Final = "CHANGE_TTR"
INVOCATION: Final = "INVOCATION"
ACTIONS: Final = (TRANSFER, CLOSE, INVOCATION, CHANGE_TTR)
"""What LivePerson can be asked to do, in a Function's words; one in an answer, and the first of these wins."""

Metadata = tuple[dict[str, Any], ...]


class Text(Value, frozen=True):
    """A message. ``private``: for agents and managers alone. ``encoded``: base64."""

    text: str
    private: bool = False
    metadata: Metadata = ()
    encoded: str | None = None


class Rich(Value, frozen=True):
    """Structured content, checked (``checking.py``)."""

    content: dict[str, Any]
    metadata: Metadata = ()
    encoded: str | None = None


class Delay(Value, frozen=True):
    """A pause before what follows, in whole seconds. Alone it is the answer that says nothing."""

    seconds: int
    typing: bool = True


class Action(Value, frozen=True):
    """What is to happen after the messages. ``parameters`` by a Function's names."""

    name: str
    parameters: dict[str, Any] = {}


class Intent(Value, frozen=True):
    """An intent, with its confidence from 0 to 1."""

    id: str
    name: str
    confidence: float


class Understood(Value, frozen=True):
    """What the NLU made of the customer's words, likeliest first; agents see it."""

    intents: tuple[Intent, ...]


Saying = Text | Rich | Delay | Action | Understood


def hands_over(saying: Saying) -> bool:
    """Whether this gives the conversation to somebody else."""
    return isinstance(saying, Action) and saying.name == TRANSFER
