"""Telling apart what a customer receives: an agent's message, a notice of the relay, or the bot's."""

import re
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

import rasa_handoff

AGENT_WORD = re.compile(r"a\d+-c\d+-[0-9a-f]{8}-\d+( ~.*~)?", re.DOTALL)
BOTS = ("utter_handoff_options", "utter_handoff_welcome_back", "utter_handoff_carried_on", "utter_default")
"""Responses of the preset that the bot says in its turns."""
TITLES = (
    "utter_handoff_anybody",
    "utter_handoff_carry_on",
    "utter_handoff_go_on_waiting",
    "utter_handoff_leave_message",
    "utter_handoff_back_to_bot",
)

STARTS = ("utter_handoff_queued", "utter_handoff_requested")
JOINS = "utter_handoff_joined"
PASSES = ("utter_handoff_passed_on", "utter_handoff_transferred")
NOT_TAKEN = "utter_handoff_not_taken"
ENDS = (
    "utter_handoff_resolved",
    "utter_handoff_ended",
    "utter_handoff_left",
    "utter_handoff_left_queue",
    "utter_handoff_failed",
    "utter_handoff_fell_silent",
    "utter_handoff_unreachable",
    "utter_handoff_nobody",
    "utter_handoff_refused",
    "utter_handoff_message_left",
)
ASKED_ENDS = ("utter_handoff_resolved", "utter_handoff_ended", "utter_handoff_left", "utter_handoff_left_queue")
"""Ends that the agent or the customer asked for; the relay makes the others by itself."""


def _notices() -> list[tuple[str, re.Pattern[str]]]:
    """Return the preset's responses as patterns, the most specific first."""
    preset = Path(rasa_handoff.__file__).parent / "presets" / "common" / "domain.yml"
    responses: dict[str, Any] = YAML(typ="safe").load(preset.read_text())["responses"]
    found = []
    for name, (variant, *_) in responses.items():
        if name not in (*BOTS, *TITLES):
            pattern = re.sub(r"\\\{\w+\\\}", ".*", re.escape(variant["text"]))
            found.append((name, re.compile(pattern)))
    return sorted(found, key=lambda pair: -len(pair[1].pattern))


NOTICES = _notices()


def kind_of(text: str) -> tuple[str, str]:
    """Return ``agent``, ``notice`` or ``bot``, and which notice it is."""
    if AGENT_WORD.fullmatch(text):
        return "agent", ""
    for name, pattern in NOTICES:
        if pattern.fullmatch(text):
            return "notice", name
    return "bot", ""
