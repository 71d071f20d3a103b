"""What the bot hears in place of what a platform sends; the same on each."""

from collections.abc import Mapping, Sequence
from typing import Any

from rasa_handoff.thinking.transcript import button_payloads, current_session

Happened = Sequence[Mapping[str, Any]]


def as_payload(intent: str) -> str:
    """An intent of the settings as Rasa's short form; a payload stays what it is."""
    return intent if intent.startswith("/") else f"/{intent}"


def payload_behind(text: str, happened: Happened, pressed: bool) -> str:
    """The payload of the button with this title, else the text. Of the buttons shown last: the same word may mean something
    else by now, unless the customer is known to have ``pressed`` it."""
    session = current_session(happened)
    last = max((at for at, event in enumerate(session) if event.get("event") == "user"), default=0)
    return button_payloads(session if pressed else session[last:]).get(text, text)
