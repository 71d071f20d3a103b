"""What the systems of the field can do, feature by feature, as their documents name it.

Each adapter says in its own file what it does of these; ``tools/matrix.py`` makes the table in ``docs/adapters/README.md`` of
that, and ``tests/unit/test_features.py`` holds each claim to a test.
"""

import enum
from collections.abc import Mapping
from typing import Final

YES: Final = "yes"


class Theirs(str):
    """What the other system does by itself: nothing of ours, so no test of ours shows it."""


class Feature(enum.Enum):
    """A row of the table; the value is how it reads."""

    # handing over
    INTENTS = "handed over by `execute_handoff`, a marker or a button"
    OPTIONS = "the options: one button per department"
    DEPARTMENT = "to a department (team, skill)"
    AGENT = "to a named agent"
    RULES = "to whom the desk's own rules choose"
    OTHER_BOT = "to another bot"
    SILENT = "silently, or with words in the same answer"
    TRANSCRIPT = "the agent sees what was said before"
    REASON = "reason, priority, note and contact reach the agent"
    PRIORITY = "how soon it is to be answered, without a handoff"
    RECOGNISED = "the intents the bot recognised, with confidence"
    QUEUE = "place in the queue and expected wait"
    ALERT = "the agent is told of the arrival"
    # while it lasts
    RELAY = "who carries the words"
    SEVERAL = "several conversations at once"
    KEPT = "words survive a cut connection"
    STATUS = "the agent sees what became of their words"
    TYPING = "typing is shown"
    TRACKED = "the agent's words are in Rasa's tracker"
    ACTIVE = "the front end learns who is active"
    LEAVING = "the customer leaves with a word"
    TIMERS = "timed ways out of silence"
    TRANSLATION = "translation between customer and agent"
    # and after
    BACK = "the bot gets it back"
    OUTCOME = "with outcome, note and slots"
    CLOSE = "the bot ends the conversation"
    # the bot's turn on a platform
    WELCOME = "welcome, and leaving it out"
    FILES = "files and places from the customer"
    EVENTS = "the platform's own events"
    BUTTONS = "buttons, their payloads out of sight"
    PICTURES = "images, cards and lists"
    CUSTOM = "the platform's own content, as `custom`"
    DELAYS = "delays between words"
    METADATA = "what the platform knows reaches the actions"
    LATE = "an answer later than the platform's limit"
    SEVERAL_BOTS = "several bots on one address"
    # at the door
    KNOCK = "who calls is checked"
    ONCE = "a repeated call is answered once"
    TEST = "its connection test is answered"


GROUPS: Final[Mapping[str, Feature]] = {
    "Handing over": Feature.INTENTS,
    "While it lasts": Feature.RELAY,
    "And after": Feature.BACK,
    "The bot's turn": Feature.WELCOME,
    "At the door": Feature.KNOCK,
}
"""Headings, by the first feature under each."""

Features = Mapping[Feature, str]
"""What one system does: ``YES``, or in a few words how. What isn't named it doesn't do."""
