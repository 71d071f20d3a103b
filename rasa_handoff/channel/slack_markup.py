"""Slack's markup: a customer's text as its author sees it, and an agent's text so that Slack shows it as it is.

Slack escapes what a customer writes and marks addresses and mentions: ``a &lt; b``, ``<mailto:a@b.c|a@b.c>``, ``<@U02>``
("Formatting message text" in Slack's documentation).
"""

import re
from re import Match
from typing import Final

LINK: Final = re.compile(r"<((?:https?|mailto|tel):[^<>|]+)(?:\|([^<>]*))?>")
MENTION: Final = re.compile(r"<([@#!])([^<>|]+)(?:\|([^<>]*))?>")
ESCAPED: Final = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
"""In this order, so that ``&amp;lt;`` becomes ``&lt;``."""


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
    for escaped, character in ESCAPED:
        shown = shown.replace(escaped, character)
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
