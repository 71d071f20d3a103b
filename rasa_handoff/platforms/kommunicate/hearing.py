"""What the bot hears of a request: the customer's words, or the intent or payload the settings put in an event's place."""

from typing import Any, Final

from rasa_handoff.platforms.hearing import Happened, as_payload, payload_behind
from rasa_handoff.platforms.kommunicate.fields import HIDDEN, NOTIFY
from rasa_handoff.platforms.kommunicate.reading import WELCOME, Incoming
from rasa_handoff.vocabulary.kommunicate import KommunicateSettings
from rasa_handoff.vocabulary.log_values import get_log, short_id
from rasa_handoff.vocabulary.values import plain

log = get_log(__name__)

CREATED: Final = "created group"
"""How the platform's first message in a conversation begins; it stands for a welcome."""


def heard(incoming: Incoming, settings: KommunicateSettings, happened: Happened) -> str | None:
    """The text for the bot, given the session's events so far; None: nothing for it, and nothing to answer."""
    if incoming.talk_to_human:
        return as_payload(settings.talk_to_human or settings.intents.execute)
    if _is_welcome(incoming, happened):
        skipped = any(name in WELCOME for name in incoming.skips)
        return None if skipped or settings.welcome is None else as_payload(settings.welcome)
    if incoming.event in settings.events:
        intent = settings.events[incoming.event]
        return None if intent is None else as_payload(intent)
    if incoming.location is not None and settings.location is not None:
        return as_payload(settings.location)
    if incoming.files and settings.attachment is not None:
        return as_payload(settings.attachment)
    if incoming.content_type in (NOTIFY, HIDDEN):
        _leave_unsaid(incoming)
        return None  # what the platform tells about the conversation; nobody has said it
    return _in_words(incoming, happened)


def metadata(incoming: Incoming) -> dict[str, Any]:
    """What Rasa gets as the message's metadata: ``attachments`` and ``location`` for any action to read, the rest beside."""
    found = {**incoming.rest, **plain(incoming)}
    for name in ("rest", "text", "files", "location", "talk_to_human", "pressed", "skips"):
        found.pop(name, None)
    attached: dict[str, Any] = {"kommunicate": found}
    if incoming.files:
        attached["attachments"] = list(incoming.files)
    if incoming.location is not None:
        attached["location"] = incoming.location
    return attached


def _is_welcome(incoming: Incoming, happened: Happened) -> bool:
    if incoming.event in WELCOME:
        return True
    first = not any(event.get("event") == "user" for event in happened)
    return first and incoming.text.casefold().startswith(CREATED)


def _in_words(incoming: Incoming, happened: Happened) -> str | None:
    described = [f"[Attachment: {file.get('name') or file.get('url') or file.get('type')}]" for file in incoming.files]
    if incoming.location is not None:
        described.append(f"[Location: {incoming.location['lat']}, {incoming.location['lon']}]")
    text = payload_behind(incoming.text, happened, incoming.pressed)
    if words := " ".join(part for part in (text, *described) if part):
        return words
    _leave_unsaid(incoming)
    return None


def _leave_unsaid(incoming: Incoming) -> None:
    if incoming.event is None:
        log.info("Nothing to say to a message of %s without words.", short_id(incoming.conversation_id))
    else:
        log.info(
            "Nothing to say to the event %r of %s: it doesn't stand under 'events'.",
            incoming.event[:100], short_id(incoming.conversation_id),
        )  # fmt: skip
