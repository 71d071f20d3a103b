"""The transcript: the conversation as the customer saw it.

It is read from a Rasa tracker's events as plain dicts (``Event.as_dict()``), so nothing here needs Rasa. A pressed button is
shown by its title; images, buttons and cards are described in text; internal events are left out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from rasa_handoff.protocol.errors import MarkerError
from rasa_handoff.protocol.limits import LONGEST_TRANSCRIPT
from rasa_handoff.protocol.markers import read_directives, read_marker
from rasa_handoff.protocol.text import buttons_in, mappings, own_buttons, payload_of
from rasa_handoff.protocol.values import Line, Speaker

TrackerEvent = Mapping[str, Any]

LINE_COST: Final = 100
"""Characters that a line counts in addition to its text."""
LEFT_OUT: Final = "[What was said before this is left out: it is too long.]"

SESSION_STARTS: Final = ("session_started", "restart")
COMMAND: Final = "/"
"""First character of a payload that isn't text: ``/intent{...}``."""
EXTERNAL_PREFIX: Final = "EXTERNAL: "
"""Prefix that Rasa gives the text of an externally triggered intent (``UserUttered.create_external``)."""


def current_session(events: Iterable[TrackerEvent]) -> list[TrackerEvent]:
    """Return the events since the last start of a session, or all where there is none.

    A start after the customer's last message doesn't count: the same turn may restart the conversation and hand it over, and
    the handoff is about what was said before.
    """
    found = list(events)
    last = max((index for index, event in enumerate(found) if event.get("event") == "user"), default=0)
    starts = (index for index, event in enumerate(found[:last]) if event.get("event") in SESSION_STARTS)
    return found[max(starts, default=0) :]


def transcript(events: Iterable[TrackerEvent]) -> tuple[Line, ...]:
    """Return the lines of the current session, oldest first."""
    session = current_session(events)
    titles = button_titles(session)
    lines = []
    for event in session:
        speaker, text = _speaker_and_text(event, titles)
        if speaker is not None and text:
            lines.append(Line(speaker=speaker, text=text, at=float(event.get("timestamp") or 0)))
    return tuple(lines)


def latest(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Return the last lines, as many as fit into an offer.

    Of the line before them the end is kept, as much as fits, after a line that says that something is left out.
    """
    kept: list[Line] = []
    left = LONGEST_TRANSCRIPT
    for line in reversed(lines):
        left -= LINE_COST
        if len(line.text) > left:
            shown = msgspec.structs.replace(line, text=f"[...]{line.text[len(line.text) - max(left, 0) :]}")
            return Line(speaker=Speaker.SYSTEM, text=LEFT_OUT, at=line.at), shown, *reversed(kept)
        left -= len(line.text)
        kept.append(line)
    return tuple(lines)


def button_titles(events: Iterable[TrackerEvent]) -> dict[str, str]:
    """Return the titles of the buttons the bot has shown, by payload; the latest title wins.

    Only payloads that begin with ``/`` are included: others, such as ``yes``, are text that a customer may type themselves.
    """
    return {payload: title for title, payload in _buttons_shown(events) if payload.startswith(COMMAND)}


def button_payloads(events: Iterable[TrackerEvent]) -> dict[str, str]:
    """Return the payloads of the buttons the bot has shown, by title; the latest payload wins."""
    return {title.strip(): payload for title, payload in _buttons_shown(events)}


def _buttons_shown(events: Iterable[TrackerEvent]) -> Iterator[tuple[str, str]]:
    for event in events:
        if event.get("event") == "bot":
            for button in _buttons(event.get("data") or {}):
                yield str(button["title"]), payload_of(button)


def _speaker_and_text(event: TrackerEvent, titles: Mapping[str, str]) -> tuple[Speaker | None, str]:
    kind = event.get("event")
    if kind == "user":
        return Speaker.CUSTOMER, _customer_text(event, titles)
    if kind == "agent":
        return Speaker.AGENT, str(event.get("text") or "")
    if kind == "bot":
        return Speaker.BOT, in_words(event.get("text"), event.get("data") or {})
    return None, ""


def _customer_text(event: TrackerEvent, titles: Mapping[str, str]) -> str:
    text = str(event.get("text") or "").strip()
    if text in titles:
        return titles[text]
    # What was said to an agent has a speaker in its metadata (``channel/tracker``): it is shown as it was typed.
    if text.startswith(COMMAND) and not (event.get("metadata") or {}).get("speaker"):
        return ""  # a payload, and of no button that was shown: internal
    return "" if text.startswith(EXTERNAL_PREFIX) else text


def in_words(text: Any, data: Mapping[str, Any]) -> str:
    """Return a bot's message as text: its text, then a description of everything else.

    >>> in_words("Which one?", {"buttons": [{"title": "Red", "payload": "/red"}, {"title": "Blue"}]})
    'Which one? [Red] [Blue]'
    """
    parts = ["" if text is None else str(text), *(_card(card) for card in mappings(data.get("elements")))]
    if titles := " ".join(f"[{button['title']}]" for button in own_buttons(data)):
        parts.append(titles)
    parts.extend(_pictures(data))
    if data.get("custom"):
        parts.append(_custom(data["custom"]))
    return " ".join(part for part in parts if part)


def _pictures(data: Mapping[str, Any]) -> list[str]:
    image, attachment = data.get("image"), data.get("attachment")
    found = [f"[Image: {image}]"] if image else []
    if attachment and attachment != image:  # Rasa stores an image as an attachment too
        found.append(f"[Attachment: {attachment}]")
    return found


def files_in_words(attachments: Any) -> str:
    """Describe what came with a customer's message, by name and address.

    Microsoft Teams sends each text a second time as HTML, in an attachment without name and address: that is left out.

    >>> files_in_words([{"contentType": "text/html", "content": "<p>Hi</p>"}, {"name": "a.pdf", "contentUrl": "https://x/a"}])
    '[Attachment: a.pdf https://x/a]'
    """
    files = attachments if isinstance(attachments, list | tuple) else [attachments]
    return " ".join(f"[Attachment: {words}]" for file in files if (words := _file(file)))


def _file(file: Any) -> str:
    if not isinstance(file, Mapping):
        return str(file) if isinstance(file, str | int) else ""
    inner = file.get("payload")  # Messenger has the address there
    holders = [file, inner] if isinstance(inner, Mapping) else [file]
    address = _first_text(holders, "contentUrl", "url", "file_url")
    name = _first_text(holders, "name", "title", "filename")
    kind = _first_text(holders, "contentType", "type")
    if name is None and address is None and kind is not None and kind.startswith("text/"):
        return ""
    return " ".join(part for part in (name or kind or "a file", address) if part)


def _first_text(holders: Sequence[Mapping[str, Any]], *keys: str) -> str | None:
    found = (holder.get(key) for holder in holders for key in keys)
    return next((value for value in found if isinstance(value, str) and value), None)


def _custom(custom: Any) -> str:
    try:
        if read_marker(custom) is not None or read_directives(custom):
            return ""
    except MarkerError:
        return ""
    text = custom.get("text") if isinstance(custom, Mapping) else None
    return str(text) if text else "[a message only the chat window can show]"


def _card(card: Mapping[str, Any]) -> str:
    text = ": ".join(str(card[key]) for key in ("title", "subtitle") if card.get(key))
    image = f"[Image: {card['image_url']}]" if card.get("image_url") else ""
    buttons = " ".join(f"[{button['title']}]" for button in buttons_in(card.get("buttons")))
    return " ".join(part for part in (text, image, buttons) if part)


def _buttons(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [
        *own_buttons(data),
        *(button for card in mappings(data.get("elements")) for button in buttons_in(card.get("buttons"))),
    ]
