"""What the bot hears of a call: the customer's words, or the intent or payload the settings put in an event's place."""

from typing import Any

from rasa_handoff.platforms.hearing import Happened, as_payload, payload_behind
from rasa_handoff.platforms.liveperson.reading import CLOSED, NOTICE, WELCOME, Incoming
from rasa_handoff.vocabulary.liveperson import LivePersonSettings
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.values import plain

log = get_log(__name__)


def heard(incoming: Incoming, settings: LivePersonSettings, happened: Happened) -> str | None:
    """The text for the bot, given the session's events so far; None: nothing for it, and nothing to answer."""
    if incoming.kind == WELCOME:
        return _at_welcome(incoming, settings, happened)
    if incoming.kind in (CLOSED, NOTICE):
        type = str(incoming.rest.get("type") or incoming.event.get("type"))[:40]
        log.info(
            "Nothing to say to an event of %s: %s, of type %r.", short_id(incoming.conversation_id), incoming.kind, type
        )
        return None
    if incoming.location is not None and settings.location is not None:
        return as_payload(settings.location)
    if incoming.files and settings.attachment is not None:
        return as_payload(settings.attachment)
    if incoming.rich_content is not None and settings.rich_content is not None:
        return as_payload(settings.rich_content)
    return _in_words(incoming, happened)


def metadata(incoming: Incoming) -> dict[str, Any]:
    """What Rasa gets as the message's metadata: ``attachments`` and ``location`` for any action to read, the rest beside."""
    found = {**incoming.rest, **plain(incoming)}
    for name in ("rest", "text", "files", "location", "pressed"):
        found.pop(name, None)
    attached: dict[str, Any] = {"liveperson": found}
    if incoming.files:
        attached["attachments"] = list(incoming.files)
    if incoming.location is not None:
        attached["location"] = incoming.location
    return attached


def _at_welcome(incoming: Incoming, settings: LivePersonSettings, happened: Happened) -> str | None:
    """Of the customer's last words only if the bot hasn't met the customer: else it may have answered them by handing over."""
    fresh = not any(event.get("event") == "user" for event in happened)
    intent = settings.welcome if fresh else settings.welcome_back or settings.welcome
    if intent is not None:
        return as_payload(intent)
    return incoming.last_words or None if fresh else None


def _described(file: dict[str, Any]) -> str:
    known = " ".join(str(part) for part in file.values())
    return f"[Attachment: {known}]" if known else "[Attachment]"


def _in_words(incoming: Incoming, happened: Happened) -> str | None:
    described = [_described(file) for file in incoming.files]
    if incoming.location is not None:
        described.append(f"[Location: {incoming.location['lat']}, {incoming.location['lon']}]")
    elif incoming.rich_content is not None:
        described.append("[Rich content]")
    text = payload_behind(incoming.text, happened, incoming.pressed)
    if words := " ".join(part for part in (text, *described) if part):
        return words
    log.info("Nothing to say to a %s of %s without words.", incoming.kind, short_id(incoming.conversation_id))
    return None
