"""The capabilities of LivePerson's channel, for the capability matrix."""

from typing import Final

from rasa_handoff.protocol.features import YES, Feature, Features, Theirs

FEATURES: Final[Features] = {
    Feature.INTENTS: YES,
    Feature.OPTIONS: YES,
    Feature.DEPARTMENT: "skill, by priority too",
    Feature.AGENT: YES,
    Feature.RULES: "the skill's routing",
    Feature.OTHER_BOT: YES,
    Feature.SILENT: YES,
    Feature.TRANSCRIPT: "a private note",
    Feature.REASON: "the note; the priority by the skill, or with the options",
    Feature.PRIORITY: YES,
    Feature.RECOGNISED: YES,
    Feature.RELAY: Theirs("LivePerson"),
    Feature.SEVERAL: YES,
    Feature.ACTIVE: Theirs("LivePerson knows"),
    Feature.BACK: "its next call",
    Feature.OUTCOME: "`resolved`",
    Feature.CLOSE: YES,
    Feature.WELCOME: "in its three forms",
    Feature.FILES: YES,
    Feature.EVENTS: "rich content",
    Feature.BUTTONS: YES,
    Feature.PICTURES: YES,
    Feature.CUSTOM: "checked before it leaves",
    Feature.DELAYS: YES,
    Feature.METADATA: "engagement attributes too",
    Feature.LATE: "with the next",
    Feature.SEVERAL_BOTS: YES,
    Feature.AUTHENTICATION: "a header per Function; a signed token",
    Feature.ONCE: YES,
    Feature.TEST: YES,
}
