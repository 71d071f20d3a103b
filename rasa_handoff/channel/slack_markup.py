"""Slack's markup: a customer's text as its author sees it, and an agent's text so that Slack shows it as it is.

Also what Slack sends when a customer deletes or edits an earlier message: read as a message that says so.

Slack escapes what a customer writes and marks addresses and mentions: ``a &lt; b``, ``<mailto:a@b.c|a@b.c>``, ``<@U02>``
("Formatting message text" in Slack's documentation).
"""

import re
from collections.abc import Mapping
from re import Match
from textwrap import shorten
from typing import Any, Final

LINK: Final = re.compile(r"<((?:https?|mailto|tel):[^<>|]+)(?:\|([^<>]*))?>")
MENTION: Final = re.compile(r"<([@#!])([^<>|]+)(?:\|([^<>]*))?>")
ESCAPED: Final = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
"""In this order, so that ``&amp;lt;`` becomes ``&lt;``."""

SHOWN_OF_DELETED: Final = 200
"""Characters that are shown of a deleted message, by which the agent knows which one it was."""
TOMBSTONE: Final = "tombstone"
"""The subtype of a deleted message that has replies."""


def escaped(text: str) -> str:
    """Return a text so that Slack shows it as it is: ``<!channel>`` calls nobody.

    >>> escaped("a < b & c")
    'a &lt; b &amp; c'
    """
    for written, character in reversed(ESCAPED):
        text = text.replace(character, written)
    return text


def shown_links(text: str) -> str:
    """Return the text with its addresses as their author sees them."""
    return LINK.sub(_link, text)


def as_shown(text: str) -> str:
    """Return a text of Slack's as its author sees it.

    >>> as_shown("1 &lt; 2, ask <mailto:thabo@example.org|thabo@example.org> or <#C1|help>")
    '1 < 2, ask thabo@example.org or #help'
    """
    shown = MENTION.sub(_mention, shown_links(text))
    for written, character in ESCAPED:
        shown = shown.replace(written, character)
    return shown


def _link(found: Match[str]) -> str:
    """Return an address, with its label before it if that says something else."""
    address, label = found[1], found[2]
    short = address.partition(":")[2] if not address.startswith("http") else address
    if not label or label == short or label in short.rstrip("/"):
        return short
    return f"{label} ({short})"


def _mention(found: Match[str]) -> str:
    """Return a person, a channel or a group by name, if Slack gives it, else by id."""
    kind, id, name = found[1], found[2], found[3]
    if kind == "!":  # <!here>, <!subteam^S01|@support>, <!date^1392734382^{date}|18 February>
        return name or f"@{id.partition('^')[0]}"
    return f"{kind}{(name or id).removeprefix(kind)}"


def message_of_change(event: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the message that tells what a customer did to an earlier one; None if the event isn't of that kind.

    A link's preview and a new reply change a message too, but not its text: None for these too.
    """
    before, now = event.get("previous_message"), event.get("message")
    if event.get("type") != "message" or not isinstance(before, Mapping) or before.get("bot_id"):
        return None
    old = before.get("text")
    if not isinstance(old, str) or not old or not isinstance(before.get("user"), str):
        return None
    text = _text_of_change(event.get("subtype"), old, now if isinstance(now, Mapping) else {})
    if text is None:
        return None
    kept = {name: event[name] for name in ("channel", "channel_type") if name in event}
    place = {name: before[name] for name in ("ts", "thread_ts") if name in before}
    return {"type": "message", "user": before["user"], "text": text, **kept, **place}


def _text_of_change(kind: Any, old: str, now: Mapping[str, Any]) -> str | None:
    if kind == "message_deleted" or (kind == "message_changed" and now.get("subtype") == TOMBSTONE):
        return f"[Deleted: {shorten(old, SHOWN_OF_DELETED, placeholder='...')}]"
    new = now.get("text")
    if kind == "message_changed" and isinstance(new, str) and new and new != old:
        return f"[Edited: {new}]"
    return None
