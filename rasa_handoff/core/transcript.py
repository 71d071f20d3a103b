"""The transcript: the conversation as the customer saw it.

It is read from a Rasa tracker's events as plain dicts (``Event.as_dict()``), so nothing here needs Rasa. A pressed button is
shown by its title; a message with images, buttons or cards has them as parts too; internal events are left out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from rasa_handoff.core.rasa_messages import attachment_parts, bot_parts
from rasa_handoff.protocol.limits import LONGEST_TRANSCRIPT
from rasa_handoff.protocol.message_parts import AnyPart, TextPart, in_words, read_parts, size_of, worth_keeping
from rasa_handoff.protocol.names import PARTS_KEY, UNREAD_KEY
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
    lines: list[Line] = []
    for event in session:
        lines += _unread_before(event)
        speaker, parts = _speaker_and_parts(event, titles)
        if speaker is not None and (text := in_words(parts)):
            at = float(event.get("timestamp") or 0)
            lines.append(Line(speaker=speaker, text=text, at=at, parts=worth_keeping(parts)))
    return tuple(lines)


def _unread_before(event: TrackerEvent) -> Iterator[Line]:
    """Return what the customer sent before a message and the bot wasn't given (``UNREAD_KEY``)."""
    metadata = event.get("metadata") if event.get("event") == "user" else None
    for sent in mappings(metadata.get(UNREAD_KEY) if isinstance(metadata, Mapping) else None):
        yield Line(
            speaker=Speaker.CUSTOMER,
            text=str(sent.get("text")),
            at=float(sent.get("at") or 0),
            parts=read_parts(sent.get("parts")),
        )


def latest(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Return the last lines, as many as fit into an offer.

    Of the line before them the end is kept, as much as fits, after a line that says that something is left out.
    """
    kept: list[Line] = []
    left = LONGEST_TRANSCRIPT
    for line in reversed(lines):
        left -= LINE_COST + size_of(line.parts)
        if len(line.text) > left:
            shown = msgspec.structs.replace(line, text=f"[...]{line.text[len(line.text) - max(left, 0) :]}", parts=())
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


def _speaker_and_parts(event: TrackerEvent, titles: Mapping[str, str]) -> tuple[Speaker | None, Sequence[AnyPart]]:
    kind = event.get("event")
    if kind == "user":
        return Speaker.CUSTOMER, _said(event) or _with_files(_customer_text(event, titles), event)
    if kind == "agent":
        return Speaker.AGENT, _said(event) or _with_files(str(event.get("text") or ""), event)
    if kind == "bot":
        return Speaker.BOT, bot_parts(event.get("text"), event.get("data") or {})
    return None, ()


def _said(event: TrackerEvent) -> tuple[AnyPart, ...]:
    """Return the parts that a message had, if it had any (:data:`~rasa_handoff.protocol.names.PARTS_KEY`)."""
    return read_parts((event.get("metadata") or {}).get(PARTS_KEY))


def _with_files(text: str, event: TrackerEvent) -> tuple[AnyPart, ...]:
    """Return a text and the files that came with it, as the channel described them."""
    words = (TextPart(text=text),) if text else ()
    return *words, *attachment_parts((event.get("metadata") or {}).get("attachments"))


def _customer_text(event: TrackerEvent, titles: Mapping[str, str]) -> str:
    text = str(event.get("text") or "").strip()
    if text in titles:
        return titles[text]
    # What was said to an agent has a speaker in its metadata (``channel/tracker``): it is shown as it was typed.
    if text.startswith(COMMAND) and not (event.get("metadata") or {}).get("speaker"):
        return ""  # a payload, and of no button that was shown: internal
    return "" if text.startswith(EXTERNAL_PREFIX) else text


def _buttons(data: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [
        *own_buttons(data),
        *(button for card in mappings(data.get("elements")) for button in buttons_in(card.get("buttons"))),
    ]
