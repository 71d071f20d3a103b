"""The capabilities of Kommunicate's channel, for the capability matrix."""

from typing import Final

from rasa_handoff.protocol.features import YES, Feature, Features, Theirs

FEATURES: Final[Features] = {
    Feature.INTENTS: YES,
    Feature.OPTIONS: YES,
    Feature.DEPARTMENT: "team or agent",
    Feature.AGENT: YES,
    Feature.RULES: "its conversation rules",
    Feature.OTHER_BOT: "with `api_key`",
    Feature.SILENT: YES,
    Feature.TRANSCRIPT: Theirs("Kommunicate has it"),
    Feature.REASON: "message metadata, or customer details",
    Feature.RELAY: Theirs("Kommunicate"),
    Feature.SEVERAL: YES,
    Feature.TRACKED: "with `account_token`",
    Feature.ACTIVE: Theirs("Kommunicate knows"),
    Feature.BACK: "its next call, or at once with `account_token`",
    Feature.OUTCOME: "`resolved`, and a note with `account_token`",
    Feature.CLOSE: "with `api_key`",
    Feature.WELCOME: YES,
    Feature.FILES: YES,
    Feature.EVENTS: YES,
    Feature.BUTTONS: YES,
    Feature.PICTURES: YES,
    Feature.CUSTOM: YES,
    Feature.METADATA: YES,
    Feature.LATE: "by the REST API, else with the next",
    Feature.SEVERAL_BOTS: YES,
    Feature.AUTHENTICATION: "a header per bot",
    Feature.ONCE: YES,
}
