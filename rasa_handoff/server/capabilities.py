"""Capabilities of our server for front ends of other systems (the matrix in docs/adapters)."""

from typing import Final

from rasa_handoff.protocol.features import YES, Feature, Features

BOTLHALE: Final[Features] = {
    Feature.RULES: "our desk's queue",
    Feature.TRANSCRIPT: YES,
    Feature.ALERT: YES,
    Feature.RELAY: "their front end",
    Feature.SEVERAL: YES,
    Feature.KEPT: "kept until the front end is back",
    Feature.ACTIVE: YES,
    Feature.TIMERS: "the desk's",
    Feature.BACK: "`disconnect_socket`",
    Feature.SEVERAL_BOTS: "by BotID",
    Feature.AUTHENTICATION: "a token, or an option",
}

TKINTER: Final[Features] = {
    Feature.INTENTS: "by the trigger text",
    Feature.RULES: "our desk's queue",
    Feature.ALERT: YES,
    Feature.RELAY: "its streams",
    Feature.SEVERAL: "one; the next waits",
    Feature.TIMERS: "the desk's",
}
