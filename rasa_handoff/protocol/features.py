"""The capabilities of channels, desks and platforms, feature by feature.

Each adapter lists its own in its file. ``tools/matrix.py`` makes the table in ``docs/adapters/README.md`` from them, and
``tests/repository/test_features.py`` requires a test for each claim.
"""

import enum
from collections.abc import Mapping
from typing import Final

YES: Final = "yes"


class Theirs(str):
    """A capability of the other system itself, so no test of ours shows it."""


class Feature(enum.Enum):
    """A row of the table; the value is its label."""

    # handing over
    INTENTS = "handed over by `execute_handoff`, a marker or a button"
    OPTIONS = "the options: one button per department"
    DEPARTMENT = "to a department (team, skill)"
    AGENT = "to a named agent"
    RULES = "to the agent that the desk's own rules choose"
    OTHER_BOT = "to another bot"
    SILENT = "silently, or with a message in the same answer"
    TRANSCRIPT = "the agent sees what was said before"
    REASON = "reason, priority, note and contact reach the agent"
    PRIORITY = "the bot sets the priority outside a handoff"
    RECOGNISED = "the intents the bot recognised, with confidence"
    QUEUE = "place in the queue and expected wait"
    ALERT = "the agent is told of the arrival"
    # while it lasts
    RELAY = "who relays the messages"
    SEVERAL = "several conversations at once"
    KEPT = "messages survive a cut connection"
    STATUS = "the agent sees what became of each message"
    TYPING = "typing is shown"
    TRACKED = "the agent's messages are in Rasa's tracker"
    ACTIVE = "the front end learns who is active"
    LEAVING = "the customer leaves with a word"
    TIMERS = "timed ways out of silence"
    TRANSLATION = "translation between customer and agent"
    # and after
    BACK = "the bot gets it back"
    OUTCOME = "with outcome, note and slots"
    CLOSE = "the bot ends the conversation"
    # the bot's turn on a platform
    WELCOME = "the bot's welcome, unless the page wants none"
    FILES = "files and places from the customer"
    EVENTS = "the platform's own events"
    BUTTONS = "buttons, their payloads out of sight"
    PICTURES = "images, cards and lists"
    CUSTOM = "the platform's own content, as `custom`"
    DELAYS = "delays between messages"
    METADATA = "what the platform knows reaches the actions"
    LATE = "an answer later than the platform's limit"
    SEVERAL_BOTS = "several bots on one address"
    # incoming calls
    AUTHENTICATION = "who calls is checked"
    ONCE = "a repeated call is answered once"
    TEST = "its connection test is answered"


GROUPS: Final[Mapping[str, Feature]] = {
    "Handing over": Feature.INTENTS,
    "While it lasts": Feature.RELAY,
    "And after": Feature.BACK,
    "The bot's turn": Feature.WELCOME,
    "Incoming calls": Feature.AUTHENTICATION,
}
"""Headings of the table, with the first feature under each."""

Features = Mapping[Feature, str]
"""The capabilities of one system: ``YES``, or a few words of detail. A feature that isn't listed isn't supported."""
