"""Edits of ``credentials.yml``: move the project's channels under HandoffChannel, with their comments."""

import json
import re
from typing import Any, Final

import msgspec

from rasa_handoff.cli.project import parse_yaml
from rasa_handoff.cli.text_files import (
    comments_below,
    complete_lines,
    end_of_block,
    indented,
    key_lines,
    start_of_comments,
)
from rasa_handoff.protocol import names
from rasa_handoff.protocol.channel_capabilities import STOCK_CHANNELS
from rasa_handoff.protocol.channel_settings import CHANNEL_NAME, read_settings
from rasa_handoff.protocol.errors import HandoffError, SettingsError

FILE: Final = "credentials.yml"

_HEAD: Final = """{channel}:
  bot_id: {bot_id}
  desk:
    url: {url}
    # token: ${{HANDOFF_TOKEN}}    # once the desk has one: rasa-handoff token add {bot_id}
"""

_SLOTS: Final = """  slots: [{slots}]    # what agents see; take out what they shouldn't
  # settable_slots: [{slots}]    # what agents may set when they give the conversation back
"""

DEFAULT_URL: Final = "http://localhost:5065"

_NOT_TEXT: Final = re.compile("true|false|null|yes|no|on|off|y|n", re.IGNORECASE)
"""Plain scalars that YAML doesn't read as text."""

_DEFAULT_CHANNELS: Final = """    rest:
    socketio:
      user_message_evt: user_uttered
      bot_message_evt: bot_uttered
      session_persistence: true
"""


class ChannelValues(msgspec.Struct, frozen=True):
    """The values to write under HandoffChannel; ``slots`` are the project's."""

    bot_id: str
    url: str = DEFAULT_URL
    slots: tuple[str, ...] = ()


class NotEditable(HandoffError):
    """A file can't be edited by this command. The sentence says what a person has to do, and where."""


def is_channel(key: object) -> bool:
    """Return whether a key of ``credentials.yml`` is a channel that HandoffChannel can host."""
    return key in STOCK_CHANNELS or ("." in str(key) and key not in (CHANNEL_NAME, *names.PLATFORM_CHANNELS))


def edit_credentials(text: str, values: ChannelValues) -> str:
    """Add HandoffChannel to the text, unless it has it or has only channels with a desk of their own.

    Raises:
        NotEditable: it isn't YAML, or not of the usual shape, or there are channels beside HandoffChannel.
    """
    before = parse_yaml(text, FILE)
    outside = [str(key) for key in before if is_channel(key)]
    if CHANNEL_NAME in before:
        if outside:
            raise NotEditable(f"{FILE}: move '{outside[0]}' under 'channels' of {CHANNEL_NAME}.")
        try:
            read_settings(before[CHANNEL_NAME])
        except SettingsError as problem:
            raise NotEditable(f"{FILE}: {problem}") from problem
        return text
    if not outside and any(name in before for name in names.PLATFORM_CHANNELS):
        return text  # the platform has a desk of its own
    after = _moved(text, outside, values) if outside else _added(text, values)
    _check(before, after, outside)
    return after


def _added(text: str, values: ChannelValues) -> str:
    gap = "\n" if text.strip() else ""
    return "".join(complete_lines(text)) + gap + _head(values) + _DEFAULT_CHANNELS


def _moved(text: str, channels: list[str], values: ChannelValues) -> str:
    lines, where = complete_lines(text), key_lines(text)
    if not where:
        raise NotEditable(f"{FILE} is written in one line with braces. Write one key per line and run this again.")
    ranges = [_range(lines, where[channel]) for channel in channels]
    first = min(ranges)[0]
    body = [line for start, end in ranges for line in indented(lines[start:end], 4)]
    kept_above = lines[:first]
    taken = {number for start, end in ranges for number in range(start, end)}
    kept_below = [line for number, line in enumerate(lines) if number >= first and number not in taken]
    return "".join([*kept_above, _head(values), *body, *kept_below])


def _range(lines: list[str], start: int) -> tuple[int, int]:
    """Return the range of a channel's lines: its key and settings, with the comments that belong to it."""
    end = end_of_block(lines, start)
    if end == start + 1:
        end = comments_below(lines, end)  # a channel without settings: the comment below is about it
    return start_of_comments(lines, start), end


def _head(values: ChannelValues) -> str:
    head = _HEAD.format(channel=CHANNEL_NAME, bot_id=_scalar(values.bot_id), url=_scalar(values.url))
    slots = _SLOTS.format(slots=", ".join(_scalar(name) for name in values.slots)) if values.slots else ""
    return f"{head}{slots}  channels:\n"


def _scalar(text: str) -> str:
    """Write a text as a YAML scalar that is read back as this text, within braces too; without quotes where possible."""
    return (
        text
        if re.fullmatch(r"[A-Za-z_][\w.-]*|https?://[\w.:/-]+", text) and not _NOT_TEXT.fullmatch(text)
        else json.dumps(text)
    )


def _check(before: dict[str, Any], text: str, moved: list[str]) -> None:
    after = parse_yaml(text, FILE)
    hosted = (after.pop(CHANNEL_NAME, None) or {}).get("channels")
    if (moved and hosted != {key: before[key] for key in moved}) or after != _without(before, moved):
        raise NotEditable(
            f"{FILE} has a shape this command doesn't know: move its channels under {CHANNEL_NAME} by hand."
        )


def _without(mapping: dict[str, Any], keys: list[str]) -> dict[str, Any]:
    return {key: body for key, body in mapping.items() if key not in keys}
